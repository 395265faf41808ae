"""Reconcile: compare source and warehouse, and repair what differs through the lake, as any other load (DESIGN 6).

Of each partition with differences one manifest `mode: repair` brings the rows, re-read by their keys, and names the
keys that are gone; marks stay as they are.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from ..model.errors import RefusedByGuard
from ..model.keys import Keys, key_fields
from ..model.report import Emit, LoadReport, silent
from ..model.table import TableSpec, Target
from ..sources.base import Source
from ..warehouses.base import Warehouse
from .checksum import Comparison, Scan, scan
from .differences import ROWS_KEPT
from .lake import Lake
from .load import load
from .repair import Repaired, Wanted, repair
from .retry import DEFAULT, Backoff, retrying

NO_KEY_UPSERT = "without a key rows cannot be matched: `syncer run --full` reads the table anew"
NO_KEY_APPEND = "an `append` table without a key cannot be repaired: name a `key`, or empty the target and the lake's"


@dataclass
class Reconciliation:
    """What was found, what was repaired, and (`after`, of the buckets that differed) what is left.

    `left` says why something was not repaired, and the way out. `keys` are named on demand only: they may be personal.
    """

    before: Comparison
    after: Comparison | None = None
    rows_repaired: int = 0
    rows_deleted: int = 0
    manifests: int = 0
    seconds: float = 0.0
    left: list[str] = field(default_factory=list)
    keys: dict[str, list[list[str]]] = field(default_factory=dict)

    @property
    def result(self) -> Comparison:
        """How the table is now."""
        return self.after or self.before

    @property
    def equal(self) -> bool:
        return self.result.equal

    @property
    def description(self) -> str:
        if self.after is None:
            return self.before.description
        left = "nothing differs any more" if self.equal else f"left: {self.after.description}"
        return f"{self.before.description}; {self.rows_repaired} repaired, {self.rows_deleted} deleted; {left}"


def reconcile(
    source: Source,
    warehouse: Warehouse,
    spec: TableSpec,
    target: Target,
    *,
    lake: Lake | None = None,
    keys: int = 0,
    run_id: str = "",
    emit: Emit = silent,
    backoff: Backoff = DEFAULT,
) -> Reconciliation:
    """Compare; with a `lake` also bring the warehouse to what the source has, and compare again what differed.

    `keys` differing keys of each kind are named. Rows that are gone at the source are deleted as `deletes` says. Raises
    SyncError; RefusedByGuard where more differs than a repair should touch, before anything is changed.
    """
    started = time.monotonic()
    first = retrying(lambda: scan(source, warehouse, spec, target), backoff, emit)
    done = Reconciliation(first.comparison, keys=_named(first, keys))
    _tell(emit, first.comparison)
    if lake is not None and first.different:
        wanted = _wanted(first, done)
        _guard(first, wanted)
        for each in wanted:
            _repair(source, lake, warehouse, first, each, done, run_id, emit, backoff)
        if wanted:
            done.after = retrying(lambda: scan(source, warehouse, spec, target, again=first), backoff, emit).comparison
            _tell(emit, done.after)
    done.seconds = round(time.monotonic() - started, 3)
    return done


def _repair(
    source: Source,
    lake: Lake,
    warehouse: Warehouse,
    first: Scan,
    wanted: Wanted,
    done: Reconciliation,
    run_id: str,
    emit: Emit,
    backoff: Backoff,
) -> None:
    """One partition: its manifest, and the load."""
    spec, target = first.table.spec, first.table.target
    repaired: Repaired = retrying(
        lambda: repair(source, lake, first.table, wanted, run_id=run_id, emit=emit), backoff, emit
    )
    loaded: LoadReport = load(
        lake, warehouse, spec, target, wanted.partition, run_id=run_id, emit=emit, backoff=backoff
    )
    done.rows_repaired += repaired.rows
    done.rows_deleted += loaded.rows_deleted
    done.manifests += repaired.manifests
    if repaired.alive:
        done.left.append(f"{repaired.alive} rows came back to the source meanwhile: the next reconcile looks at them")


def _wanted(first: Scan, done: Reconciliation) -> list[Wanted]:
    """What to repair, by partition; `done.left` gets the rest."""
    table, rows = first.table, first.found.rows
    if not table.resolved.key:
        done.left.append(NO_KEY_APPEND if table.spec.load == "append" else NO_KEY_UPSERT)
        return []
    if rows.is_empty():
        return []
    if not deletes_rows(table.spec) and (extra := first.comparison.rows_extra):
        if table.spec.deletes == "detect":
            done.left.append(
                f"{extra} rows are gone at the source: `deletes: soft` or `hard` says what to do with them"
            )
        rows = rows.filter(pl.col("verdict") != "extra")
    if nowhere := rows["partition"].null_count():
        done.left.append(f"{nowhere} rows lie in no partition that was loaded: see `rows_outside_partitions`")
        rows = rows.drop_nulls("partition")
    return [
        Wanted(
            str(partition),
            _keys(first, part.filter(~pl.col("no_cursor") & (pl.col("verdict") != "extra"))),
            _keys(first, part.filter(pl.col("no_cursor") & (pl.col("verdict") != "extra"))),
            part.filter(pl.col("verdict") == "extra"),
        )
        for (partition,), part in rows.partition_by("partition", as_dict=True).items()
    ]


def deletes_rows(spec: TableSpec) -> bool:
    """Whether rows that are gone at the source go from the target: a table that is read whole is its source's image."""
    return spec.deletes in ("soft", "hard") or spec.load == "replace"


def _keys(first: Scan, rows: pl.DataFrame) -> Keys:
    return Keys(first.table.keys, tuple(tuple(rows[name]) for name in key_fields(first.table.key)))


def _guard(first: Scan, wanted: Sequence[Wanted]) -> None:
    """Raises RefusedByGuard where a full read is cheaper, or where more rows would go than `max_shrink` allows."""
    table, found = first.table.spec, first.comparison
    if wanted and not first.found.complete:
        raise RefusedByGuard(
            f"more than {ROWS_KEPT:,} rows differ ({found.description}): a full read is cheaper than their repair",
            table=table.table,
            fix="`syncer run --full` reads the table anew; reconcile again then",
        )
    gone, present = sum(len(each.gone) for each in wanted), found.rows_target
    if gone > table.max_shrink * present and not (table.allow_empty and found.rows_source == 0):
        raise RefusedByGuard(
            f"{gone} of {present} rows would be deleted, more than max_shrink {table.max_shrink:g} allows;"
            " nothing was changed",
            table=table.table,
            fix=f"raise max_shrink above {gone / present:.2f} if that is right",
        )


def _named(first: Scan, most: int) -> dict[str, list[list[str]]]:
    """The first keys of each verdict."""
    if not most or first.found.rows.is_empty():
        return {}
    fields = key_fields(first.table.key)
    return {
        verdict: [list(row) for row in first.found.rows.filter(pl.col("verdict") == verdict)[:most][fields].rows()]
        for verdict in ("missing", "changed", "extra")
    }


def _tell(emit: Emit, found: Comparison) -> None:
    emit(
        "compared",
        table=found.table,
        rows_missing=found.rows_missing,
        rows_changed=found.rows_changed,
        rows_extra=found.rows_extra,
        buckets_different=found.buckets_different,
        seconds=found.seconds,
    )
