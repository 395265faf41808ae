"""A simulated warehouse: its tables change by one assignment, so that a load which ends before it changes nothing."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from syncer_assets.model.columns import Column
from syncer_assets.model.errors import AssertionFailed, IdentityChanged, LostRace
from syncer_assets.model.keys import Buckets
from syncer_assets.model.marks import Mark, decode, encode
from syncer_assets.model.report import LoadReport
from syncer_assets.model.sizing import Usage
from syncer_assets.model.table import Target
from syncer_assets.warehouses.base import CAPTURED_AT, LedgerRow, LoadPlan, TargetColumn, Watermark
from syncer_assets_tests.faults.model import compare

CLOCK = datetime(2025, 1, 1, tzinfo=UTC)
COUNTED = ("in", "inserted", "updated", "unchanged", "stale", "dup")


@dataclass(frozen=True)
class Stored:
    """A row of the target, and when it was read at the source."""

    values: dict[str, Any]
    captured_at: datetime


@dataclass
class Tables:
    """All that a COMMIT makes durable. Without a key the target is a list, keyed by its places."""

    rows: dict[Any, Stored] = field(default_factory=dict)
    marks: dict[str, Watermark] = field(default_factory=dict)
    ledger: dict[tuple[str, int], LedgerRow] = field(default_factory=dict)


@dataclass
class SimulatedWarehouse:
    """Answers as `warehouses.base.Warehouse` promises, for one target. It follows the order of DESIGN 6.

    `weak` names protections that are switched off, so that a test can see what they are for.
    """

    name: str = "dw"
    engine: str = "simulated"
    tables: Tables = field(default_factory=Tables)
    generation: str | None = None
    epoch: int = 0
    weak: frozenset[str] = frozenset()

    def register(self, target: Target, lake_generation: str) -> None:
        if self.tables.ledger and self.generation not in (None, lake_generation):
            raise IdentityChanged("another lake", table=target.name)
        self.generation = lake_generation

    def forget(self, target: Target, partition: str | None = None) -> None:
        self.epoch += 1
        self.tables = Tables(self.tables.rows)

    def watermark(self, target: Target, partition: str) -> Watermark:
        return self.tables.marks.get(partition, Watermark(partition))

    def watermarks(self, target: Target) -> list[Watermark]:
        return list(self.tables.marks.values())

    def load(self, plan: LoadPlan) -> LoadReport:
        self.epoch += 1
        epoch = self.epoch
        plan.emit("epoch taken")
        self._check_position(plan)
        staged, gone = self._stage(plan), self._stage_deletes(plan)
        plan.emit("rows staged")
        if "fence" not in self.weak:
            self._fence(plan, epoch)
            self._check_position(plan)
        tables = deepcopy(self.tables)
        if "mark first" in self.weak:
            self._record(plan, tables, {})
            self.tables = deepcopy(Tables(self.tables.rows, tables.marks, tables.ledger))
            plan.emit("mark written")
        counts = self._merge(plan, tables, staged, gone)
        plan.emit("rows merged")
        if "ledger outside" in self.weak:
            self.tables = Tables(tables.rows, self.tables.marks, self.tables.ledger)
            plan.emit("rows committed")
        self._record(plan, tables, counts)
        plan.emit("ledger written")
        if "fence" not in self.weak:
            self._fence(plan, epoch)  # the row lock that a real transaction holds
        self.tables = tables
        plan.emit("load committed")
        rows = sum(len(found) for found in staged.values())
        return LoadReport(plan.target.name, plan.partition, rows=rows, seq=plan.manifests[-1].seq)

    def table_columns(self, target: Target) -> list[TargetColumn]:
        return [TargetColumn("id", "bigint", False)] if self.tables.ledger else []

    def incomparable(self, columns: Sequence[Column]) -> tuple[str, ...]:
        return ()

    def checksum(
        self,
        target: Target,
        columns: Sequence[Column],
        key: Sequence[str],
        buckets: int,
        only: Sequence[int] | None = None,
    ) -> dict[int, tuple[int, int]]:
        return compare.sums((row.values for row in self.tables.rows.values()), columns, key, buckets, only)

    def key_rows(
        self,
        target: Target,
        columns: Sequence[Column],
        key: Sequence[str],
        rows: Buckets,
        beside: Sequence[Column] = (),
    ) -> pa.Table:
        there = list(self.tables.rows.values())
        times = [row.captured_at for row in there]
        return compare.answer([row.values for row in there], columns, key, rows, beside, times)

    @contextmanager
    def sized(self, bytes: int, **_: object) -> Iterator[Usage]:
        """It has no sizes."""
        yield Usage()

    def restore_size(self, run_id: str | None, **_: object) -> bool:
        return True

    def close(self) -> None: ...

    def _fence(self, plan: LoadPlan, epoch: int) -> None:
        if self.epoch != epoch:
            raise LostRace("another load took the target over", table=plan.target.name)

    def _check_position(self, plan: LoadPlan) -> None:
        if self.watermark(plan.target, plan.partition).seq != plan.expected_seq:
            raise LostRace("another load moved the watermark", table=plan.target.name)

    def _stage(self, plan: LoadPlan) -> dict[int, list[Stored]]:
        staged: dict[int, list[Stored]] = {manifest.seq: [] for manifest in plan.manifests}
        for live in plan.files:
            with plan.open_file(live.file) as batches:
                found = [Stored(row, live.captured_at) for batch in batches for row in batch.to_pylist()]
            if len(found) != live.file.rows:
                raise AssertionFailed("rows staged are not those of the manifest", table=plan.target.name)
            staged[live.seq] += found
        return staged

    def _stage_deletes(self, plan: LoadPlan) -> dict[Any, datetime]:
        """Keys that are gone at the source, with the extraction that was judged."""
        gone: dict[Any, datetime] = {}
        for live in plan.deletes:
            with plan.open_file(live.file) as batches:
                for row in (row for batch in batches for row in batch.to_pylist()):
                    key = tuple(row[name] for name in plan.key)
                    judged: datetime = row[CAPTURED_AT]
                    gone[key] = max(judged, gone.get(key, judged))
        return gone

    def _merge(
        self, plan: LoadPlan, tables: Tables, staged: dict[int, list[Stored]], gone: dict[Any, datetime]
    ) -> dict[int, dict[str, int]]:
        counts: dict[int, dict[str, int]] = {seq: dict.fromkeys(COUNTED, 0) for seq in staged}
        for key, judged in gone.items():
            if key in tables.rows and tables.rows[key].captured_at <= judged:
                del tables.rows[key]
        best: dict[Any, tuple[Stored, int]] = {}
        for seq, rows in staged.items():
            counts[seq]["in"] = len(rows)
            for number, row in enumerate(rows):
                if not plan.key:
                    tables.rows[seq, number, plan.partition] = row
                    counts[seq]["inserted"] += 1
                    continue
                key = tuple(row.values[name] for name in plan.key)
                if key in gone and row.captured_at <= gone[key]:
                    counts[seq]["stale"] += 1
                    continue
                if key in best and self._is_older(row, best[key][0]):
                    counts[seq]["dup"] += 1
                    continue
                if key in best:
                    counts[best[key][1]]["dup"] += 1
                best[key] = row, seq
        for key, (row, seq) in best.items():
            there = tables.rows.get(key)
            if there is None:
                counts[seq]["inserted"] += 1
            elif self._is_older(row, there):
                counts[seq]["stale"] += 1
                continue
            elif there.values == row.values:
                counts[seq]["unchanged"] += 1
                continue
            else:
                counts[seq]["updated"] += 1
            tables.rows[key] = row
        self._delete(plan, tables, set(best))
        return counts

    def _is_older(self, row: Stored, other: Stored) -> bool:
        if "cursor order" in self.weak:
            return row.values["updated_at"] < other.values["updated_at"]
        return row.captured_at < other.captured_at

    def _delete(self, plan: LoadPlan, tables: Tables, brought: set[Any]) -> None:
        rule = plan.delete_missing
        if rule is None:
            return
        for key, row in list(tables.rows.items()):
            value = row.values[rule.column] if rule.column else None
            inside = value is None or (
                (rule.start is None or value >= rule.start)  # type: ignore[operator]  # one kind
                and (rule.end is None or value < rule.end)  # type: ignore[operator]
                and (rule.upto is None or value <= rule.upto)  # type: ignore[operator]
            )
            if inside and key not in brought and row.captured_at <= rule.captured_at:
                del tables.rows[key]

    def _record(self, plan: LoadPlan, tables: Tables, counts: dict[int, dict[str, int]]) -> None:
        for manifest in plan.manifests:
            n = counts.get(manifest.seq, {})
            tables.ledger[plan.partition, manifest.seq] = LedgerRow(
                plan.partition,
                manifest.seq,
                plan.superseded.get(manifest.seq),
                manifest.sha256,
                *(n.get(name, 0) for name in COUNTED),
                rows_deleted=0,
                run_id=plan.run_id,
                loaded_at=CLOCK,
            )
        last = plan.manifests[-1]
        tables.marks[plan.partition] = Watermark(
            plan.partition, last.seq, _text(last.low), _text(last.safe), _text(last.high), CLOCK
        )


def _text(mark: Mark | None) -> str | None:
    return None if mark is None else json.dumps(encode(mark))


def mark_of(text: str | None, order: Any) -> Mark | None:
    """The mark of a watermark's text."""
    return None if text is None else decode(json.loads(text), order)
