"""PostgreSQL as a source."""

from .source import PostgresSource

__all__ = ["PostgresSource"]
