"""The Redshift warehouse: COPY of the lake's own Parquet, one transaction for rows, ledger and marks."""

from .warehouse import RedshiftWarehouse

__all__ = ["RedshiftWarehouse"]
