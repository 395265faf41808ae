"""The standalone checks: they look at whole tables, not at one run, and run by hand or by the clock."""

from collections.abc import Sequence

import dagster as dg

from .bloat import BLOAT, build_bloat_check
from .checksum import CHECKSUM, build_checksum_check
from .freshness import FRESHNESS, build_freshness_checks
from .table import SyncedTable

__all__ = ["BLOAT", "CHECKSUM", "FRESHNESS", "build_checks", "checks_of"]


def build_checks(name: str, tables: Sequence[SyncedTable]) -> list[dg.AssetChecksDefinition]:
    """The checks of a component's tables: `checksum` and `bloat` a step each, `freshness` one step for all."""
    freshness = [build_freshness_checks(f"{FRESHNESS}__{name}", tables)] if tables else []
    own = [check for table in tables for check in (build_checksum_check(table), build_bloat_check(table))]
    return [*own, *freshness]


def checks_of(table: SyncedTable) -> list[dg.AssetChecksDefinition]:
    """The checks of one table alone, for a run that is not the deployment's."""
    return build_checks(table.name, [table])
