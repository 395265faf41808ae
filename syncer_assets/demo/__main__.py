"""`python -m syncer_assets.demo COMMAND..` runs a command with the demo's databases in its environment.

The server starts before the command and ends with it, and so does the API of the shop's reviews; a shop is filled if
there is none yet. Nothing of that happens where SHOP_DSN and ANALYTICS_DSN are set already.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

from . import FILES, FOLDER
from .api import DemoApi
from .server import EmbeddedPostgres
from .shop import open_shop


def main(command: Sequence[str]) -> int:
    if {"SHOP_DSN", "ANALYTICS_DSN"} <= os.environ.keys():
        return run(command, {})
    FILES.mkdir(parents=True, exist_ok=True)
    with EmbeddedPostgres(FOLDER / "postgres") as server, DemoApi() as api:
        return run(command, {**open_shop(server, fresh=False).env, **api.env})


def run(command: Sequence[str], env: Mapping[str, str]) -> int:
    """Runs the command to its end, also when told to stop; returns its exit code."""
    signal.signal(signal.SIGINT, lambda *_: None)  # a terminal sends it to the command too
    process = subprocess.Popen(command, env={**env, **os.environ})
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    return process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
