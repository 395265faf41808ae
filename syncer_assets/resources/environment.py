"""Secrets: read from the environment at the moment of use, and nowhere else."""

import os

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
