"""What the engine asserts before a manifest is put, and what the checks of the lake asset report (DESIGN 4)."""

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from ..model.errors import AttemptVoid, SyncError
from ..model.manifest import DataFile, Manifest
from ..model.marks import TIME_KINDS, show
from ..model.report import CheckResult
from ..model.table import TableSpec
from ..sources.base import Read, Source, TableFacts
from .lake import Lake
from .outside import rows_outside
from .rules import Resolved
from .window import Window


def count_window(source: Source, base: Read, manifest: Manifest) -> int:
    """The source's rows in `(low, safe]`, after the loop."""
    return 0 if manifest.safe is None else source.count(_final(base, manifest))


def verify_window(source: Source, lake: Lake, base: Read, manifest: Manifest, final_rows: int, found: int) -> int:
    """How many rows left the window since they were read (updated or deleted); `found` is what `count_window` counted.

    More rows than were written mean that some came below `safe` after they should have: a doubt that the keys settle.
    Raises AttemptVoid, before the manifest is put, where rows are missing, and SyncError where rows share a key.
    """
    if found <= final_rows:
        return final_rows - found
    final = [file for file in manifest.files if not file.provisional]
    plain = {column.name for column in manifest.columns if column.transform is None}
    comparable = manifest.key and plain.issuperset(manifest.key)
    read = _final(base, manifest)
    missing = _missing_keys(source, lake, read, final, manifest.key) if comparable else found - final_rows
    if missing:
        raise AttemptVoid(
            f"{missing} rows appeared at or below {show(manifest.safe)} after they were proven final "
            f"({found} at the source, {final_rows} read)",
            table=manifest.table,
            partition=manifest.partition,
            fix="the attempt is made again; if it stays, the cursor is written backwards: see `cursor_protected`",
        )
    return 0


def _final(base: Read, manifest: Manifest) -> Read:
    return replace(base, after=manifest.low, upto=manifest.safe, limit=None)


def columns_needing_full(source: Source, base: Read, head: Manifest | None, resolved: Resolved) -> tuple[str, ...]:
    """Columns that were added since the last sync and are filled in rows that were read before: a default, say.

    No cursor shows that: those rows have to be read again by `full`.
    """
    if head is None or head.safe is None:
        return ()
    known = {column.name for column in head.columns}
    below = replace(base, after=None, upto=head.safe, limit=None)
    added = [column.name for column in resolved.columns if column.name not in known]
    return tuple(name for name in added if source.count(replace(below, not_null=name)))


def lake_checks(
    source: Source,
    spec: TableSpec,
    resolved: Resolved,
    facts: TableFacts,
    window: Window,
    rows: int,
    left: int,
    needing_full: tuple[str, ...] = (),
) -> list[CheckResult]:
    """The results of the inline checks, after everything was asserted and committed."""
    return [
        CheckResult(
            "row_count",
            True,
            description="rows at the source in the same window = rows written",
            metadata={"rows": rows, "rows_left_window": left},
        ),
        CheckResult("reached_ceiling", True, metadata={"ceiling": show(window.high), "safe": show(window.safe)}),
        *standing_checks(source, spec, resolved, facts, window, needing_full),
    ]


def standing_checks(
    source: Source,
    spec: TableSpec,
    resolved: Resolved,
    facts: TableFacts,
    window: Window | None,
    needing_full: tuple[str, ...] = (),
) -> list[CheckResult]:
    """The checks that hold whether or not there was something to read."""
    return [
        rows_outside(source, spec, resolved, window),
        _cursor_protected(source, spec, resolved, facts, window, needing_full),
    ]


def _cursor_protected(
    source: Source,
    spec: TableSpec,
    resolved: Resolved,
    facts: TableFacts,
    window: Window | None,
    needing_full: tuple[str, ...],
) -> CheckResult:
    protection = source.protection(spec, facts, resolved.order)
    reason = protection.reason
    if protection.protected and window is not None and window.pinned_seconds > spec.pin_limit.total_seconds():
        reason = f"a transaction has been open for {window.pinned_seconds:.0f} s, so `safe` stands still until it ends"
    if protection.protected and window is not None and window.ids_from_elsewhere:
        reason = "many ids lie above the last one of the column's sequence: they are drawn elsewhere, in any order"
    if needing_full:
        names = ", ".join(needing_full)
        reason = f"rows read before have values in the new column {names}: `syncer run --full` reads them again"
    limits: dict[str, object] = {"proof": protection.proof, "reason": reason}
    limits["hard_deletes"] = "invisible to any cursor: reconcile finds them"
    if resolved.cursor is not None and resolved.cursor.kind not in TIME_KINDS:
        limits["updates"] = "invisible to an id cursor: reconcile finds them"
    return CheckResult("cursor_protected", not reason, "WARN", reason, limits)


def _missing_keys(source: Source, lake: Lake, read: Read, files: Sequence[DataFile], key: tuple[str, ...]) -> int:
    """How many keys the source has in the window that no file brought. Raises SyncError where rows share a key."""
    wanted = tuple(column for column in read.columns if column.column.name in (*key, *(c.name for c in read.order)))
    there = [batch.select(list(key)) for batch in source.read(replace(read, columns=wanted))]
    written = []
    for file in files:
        with lake.batches(file, columns=key) as batches:
            written += list(batches)
    if not there:
        return 0
    left = pa.Table.from_batches(there).select(list(key))
    if shared := left.num_rows - left.group_by(list(key)).aggregate([]).num_rows:
        raise SyncError(
            f"its key ({', '.join(key)}) is not unique: {shared} rows of the window have the key of another one, and"
            " paging by it passed rows over",
            table=read.table,
            fix="name columns in `key` that tell every row apart",
        )
    if not written:
        return left.num_rows
    right = pa.Table.from_batches(written).select(list(key)).cast(left.schema)
    return left.join(right, keys=list(key), join_type="left anti").num_rows
