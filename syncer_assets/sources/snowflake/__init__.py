"""Snowflake as a source."""

from .source import SnowflakeSource

__all__ = ["SnowflakeSource"]
