"""The PostgreSQL warehouse: binary COPY into staging, one transaction for rows, ledger and marks."""

from .warehouse import PostgresWarehouse

__all__ = ["PostgresWarehouse"]
