"""The `syncer` command (DESIGN 9). A module a command; each has `add`, which declares it, and `run`."""

from .main import main

__all__ = ["main"]
