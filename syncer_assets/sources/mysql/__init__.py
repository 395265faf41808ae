"""MySQL and MariaDB as a source."""

from .source import MySQLSource

__all__ = ["MySQLSource"]
