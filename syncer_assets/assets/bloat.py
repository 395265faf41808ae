"""The check `bloat`: how much of the warehouse's table and of its indexes a rebuild would give back.

Like `checksum` it runs by hand or at a declared time. An index at the level `act` asks for a repair: the sensor of
`assets.repairs` runs it in the repair window. A heap is only told: giving its space back takes a lock on all readers.
"""

import dagster as dg

from ..model.upkeep import BloatLimits, BloatReport, RelationBloat
from ..resources.lookup import warehouse_of
from ..resources.warehouse import warehouse_resource
from .automation import runs_at
from .events import log_emitter
from .failures import engine_errors
from .metadata import plain_metadata
from .orphan import end_with_parent
from .table import SyncedTable

BLOAT = "bloat"
REPAIR_ASKED = "repair_asked"


def build_bloat_check(table: SyncedTable) -> dg.AssetChecksDefinition:
    """The check of one table."""

    @dg.asset_check(
        asset=table.warehouse_key,
        name=BLOAT,
        description="Neither the table nor one of its indexes is larger than `bloat:` allows.",
        required_resource_keys={warehouse_resource(table.target.warehouse)},
        automation_condition=runs_at(table.bloat),
        pool=table.load_pool,
    )
    def bloat(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return measure_table(context, table)

    return bloat


def measure_table(context: dg.AssetCheckExecutionContext, table: SyncedTable) -> dg.AssetCheckResult:
    """What a step does."""
    from ..sync.retry import retrying

    end_with_parent()
    resource = warehouse_of(context, table.target.warehouse)
    with engine_errors(), resource.open() as warehouse:
        found = retrying(
            lambda: warehouse.bloat(table.target, table.upkeep.bloat), resource.backoff, log_emitter(context.log)
        )
    return judge(found, table.upkeep.bloat)


def judge(report: BloatReport, limits: BloatLimits) -> dg.AssetCheckResult:
    """The result for what was measured. What cannot be judged is a warning, never a pass."""
    levels = {relation: limits.level(relation.wasted_bytes, relation.size_bytes) for relation in report.relations}
    bad = sorted((r for r in report.relations if levels[r] != "fine"), key=lambda r: r.wasted_bytes, reverse=True)
    is_error = "error" in levels.values()
    asks = any(levels[index] in ("act", "error") for index in report.indexes)
    judged = bool(report.relations) and not report.not_judged
    told = [f"{_told(relation)}" for relation in bad] + [f"not judged: {text}" for text in report.not_judged]
    if not report.relations and not report.not_judged:
        told = ["there is no such table yet"]
    return dg.AssetCheckResult(
        passed=judged and not bad,
        severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
        description="; ".join(told) or f"{report.percent:g} % of {_mb(report.size_bytes)} could be given back",
        metadata=plain_metadata(_facts(report, asks=asks)),
    )


def _facts(report: BloatReport, *, asks: bool) -> dict[str, object]:
    worst = report.worst_index
    heaps = [relation for relation in report.relations if not relation.is_index]
    return {
        "bloat_percent": report.percent,
        "bloat_bytes": report.wasted_bytes,
        "size_bytes": report.size_bytes,
        "table_bloat_bytes": round(sum(heap.wasted_bytes for heap in heaps)),
        "index_bloat_bytes": round(sum(index.wasted_bytes for index in report.indexes)),
        "worst_index": worst.name if worst else None,
        "worst_index_bloat_percent": worst.percent if worst else None,
        "worst_index_bloat_bytes": round(worst.wasted_bytes) if worst else None,
        "live_tuples": report.live_tuples,
        "dead_tuples": report.dead_tuples,
        "method": ", ".join(sorted({relation.method for relation in report.relations})),
        REPAIR_ASKED: asks,
    }


def _told(relation: RelationBloat) -> str:
    what = "index" if relation.is_index else "table"
    advice = "" if relation.is_index else ": VACUUM FULL in a quiet hour gives it back"
    wasted, size = _mb(relation.wasted_bytes), _mb(relation.size_bytes)
    return f"{what} {relation.name} wastes {wasted} of {size} ({relation.percent:g} %, {relation.method}){advice}"


def _mb(size_bytes: float) -> str:
    return f"{size_bytes / 2**20:.1f} MB"
