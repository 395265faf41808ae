"""A double of Amazon Redshift: a proxy before a real PostgreSQL. What it proves, and what not: docs/warehouses.md."""

from .server import RedshiftDouble

__all__ = ["RedshiftDouble"]
