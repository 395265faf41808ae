"""Snowflake as a warehouse."""

from .warehouse import SnowflakeWarehouse

__all__ = ["SnowflakeWarehouse"]
