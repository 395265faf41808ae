"""What the machine has: secrets, read from the environment at the moment of use and nowhere else, and folders."""

import os
from pathlib import Path
from urllib.parse import unquote

from ..model.errors import ConfigError


def secret(variable: str, needed_by: str) -> str:
    """The value of an environment variable. Raises ConfigError naming it and who needs it."""
    value = os.environ.get(variable, "")
    if not value:
        raise ConfigError(
            f"the environment variable {variable} is not set, which {needed_by} needs",
            fix=f"set {variable} where Dagster's code and runs start",
        )
    return value


def is_there(url: str) -> bool:
    """False for a folder that is not there, which looking must not make; a bucket is there until it is asked."""
    return not url.startswith("file://") or Path(unquote(url.removeprefix("file://"))).expanduser().is_dir()
