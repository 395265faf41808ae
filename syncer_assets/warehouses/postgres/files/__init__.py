"""PostgreSQL as a warehouse of files: raw tables of JSON documents, and core tables made of them."""

from .warehouse import PostgresFiles

__all__ = ["PostgresFiles"]
