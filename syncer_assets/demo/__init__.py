"""The demo: an embedded PostgreSQL and a shop to sync from it."""

from pathlib import Path

FOLDER = Path(".demo")
"""Where the demo keeps what it makes, below the working directory."""
