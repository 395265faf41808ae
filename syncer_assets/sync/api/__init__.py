"""Reads an API's pages into files of gzipped JSON lines that a manifest commits (docs/apis.md)."""

from .extract import extract_pages

__all__ = ["extract_pages"]
