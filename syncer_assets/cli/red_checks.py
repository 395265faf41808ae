"""The checks that are red now, of the instance that DAGSTER_HOME names."""

import os
from collections.abc import Sequence

from ..assets.red_checks import red_checks_of
from ..assets.table import SyncedTable
from .execution import open_instance


def red_checks(tables: Sequence[SyncedTable]) -> list[dict[str, list[str]]]:
    """For each table: partition -> names of its red checks. Empty without DAGSTER_HOME: nothing remembers them."""
    if not os.environ.get("DAGSTER_HOME"):
        return [{} for _ in tables]
    with open_instance() as instance:
        return red_checks_of(instance, tables)
