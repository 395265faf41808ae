"""The engine: extract a partition into the lake, load it into a warehouse, prove both. Imports no Dagster."""

from .extract import extract
from .load import load

__all__ = ["extract", "load"]
