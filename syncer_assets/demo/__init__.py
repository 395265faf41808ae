"""The demo: an embedded PostgreSQL and a shop to sync from it."""

from pathlib import Path

FOLDER = Path(".demo")
"""Where the demo keeps what it makes, below the working directory."""

FILES = Path("data/files")
"""Where the shipped definitions have an API's pages, unless SYNCER_FILES says otherwise."""
