"""The state machine: writers, syncs, crashes, zombies, backfills and reconciles in any order, and what must hold.

The engine is the real one (capture, window, loop, lake, manifests, load, reconcile, repair); source and warehouse are
simulated, or in `real` servers.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from syncer_assets.model.errors import LostRace
from syncer_assets.model.manifest import Manifest
from syncer_assets.model.marks import Mark, is_below
from syncer_assets.model.partition import PartitionScheme
from syncer_assets.model.table import ChunkSettings, FileSettings, Mode, TableSpec, Target
from syncer_assets.sync.extract import extract
from syncer_assets.sync.lake import Lake, Place, open_lake
from syncer_assets.sync.load import load
from syncer_assets.sync.pending import partition_keys
from syncer_assets.sync.reconcile import Reconciliation, reconcile
from syncer_assets.sync.retry import Backoff
from syncer_assets_tests.faults.model.process import CURRENT, Process
from syncer_assets_tests.faults.model.source import START, Row, SimulatedSource
from syncer_assets_tests.faults.model.warehouse import SimulatedWarehouse

TARGET = Target("dw", "shop", "rows")
AT_ONCE = Backoff(base_seconds=0.001, cap_seconds=0.001, budget_seconds=0.05)
_SPEC = TableSpec(
    source="shop",
    table="public.rows",
    late_commit_lag=timedelta(0),
    settle_seconds=0,
    chunk=ChunkSettings(rows=4),
    files=FileSettings(max_rows=6),
    deletes="hard",
    max_shrink=1.0,
    allow_empty=True,
)
KINDS = {
    "upsert by time": replace(_SPEC, cursor=("updated_at",)),
    "upsert by id in partitions": replace(_SPEC, cursor=("id",), partitions=PartitionScheme(by="id", size=10)),
    "append by id": replace(_SPEC, cursor=("id",), load="append"),
}
STEPS = (
    *("ceiling captured", "ceiling judged", "window opened", "chunk read", "files written", "before put", "after put"),
    *("manifest committed", "load planned", "epoch taken", "rows staged", "rows merged", "ledger written"),
    *("compared", "repair committed", "mark written", "rows committed", "load committed"),
)
"""Where a run or a reconcile may be stopped; the last but two only come where a protection is switched off."""

STOPS = ("window opened", "chunk read", "compared", "before put", "load planned", "rows staged", "rows merged")
"""Where others may do something that the one that wakes up again does not know of."""


class SteppedLake(Lake):
    """The lake, which tells before and after each manifest."""

    def commit(self, place: Place, manifest: Manifest) -> None:
        tell = getattr(CURRENT, "emit", None)
        if tell:
            tell("before put")
        super().commit(place, manifest)
        if tell:
            tell("after put")


class Protocol(RuleBasedStateMachine):
    """One table. `weak` names protections of the simulated warehouse that are switched off."""

    weak: frozenset[str] = frozenset()
    backoff = AT_ONCE

    def __init__(self) -> None:
        super().__init__()
        self.source, self.warehouse = self.servers()
        opened = open_lake("memory://")
        self.lake = SteppedLake(opened.url, opened.store, None)
        self.killed: list[Process] = []
        self.zombies: list[Process] = []
        self.inserted: list[Row] = []
        self.gone: set[int] = set()
        self.skewed: set[int] = set()
        self.safe: dict[str, Mark | None] = {}
        self.files: dict[str, list[tuple]] = {}
        self.parsed: dict[tuple[str, str | None], Manifest] = {}
        self.spec = _SPEC

    def servers(self) -> tuple[Any, Any]:
        """What writers and invariants use."""
        return SimulatedSource(), SimulatedWarehouse(weak=self.weak)

    @contextmanager
    def connected(self) -> Iterator[tuple[Any, Any]]:
        """What one process of the engine uses."""
        yield self.source, self.warehouse

    def end_sessions(self) -> None:
        """What the servers do when the process that began last is gone."""

    @initialize(kind=st.sampled_from(sorted(KINDS)))
    def choose(self, kind: str) -> None:
        self.spec = KINDS[kind]

    # Writers

    @rule(rows=st.integers(1, 6))
    def insert(self, rows: int) -> None:
        self.begin(rows)
        self.commit(-1)

    @rule(rows=st.integers(1, 3))
    def begin(self, rows: int) -> None:
        transaction = self.source.begin()
        for _ in range(rows):
            self.source.insert(transaction)

    @precondition(lambda self: self.source.open)
    @rule(which=st.integers(0, 20))
    def commit(self, which: int) -> None:
        transaction = self._open(which)
        self.source.commit(transaction)
        self.inserted += [row for row in transaction.writes.values() if row is not None]

    @precondition(lambda self: self.source.open)
    @rule(which=st.integers(0, 20))
    def roll_back(self, which: int) -> None:
        self.source.rollback(self._open(which))

    @precondition(lambda self: self.source.rows and self.spec.cursor == ("updated_at",))
    @rule(which=st.integers(0, 100), commits=st.booleans())
    def update(self, which: int, commits: bool) -> None:
        transaction = self.source.begin()
        self.source.update(transaction, sorted(self.source.rows)[which % len(self.source.rows)])
        if commits:
            self.source.commit(transaction)

    @precondition(lambda self: len(self.source.rows) > 1 and self.spec.load != "append")
    @rule(which=st.integers(0, 100))
    def delete(self, which: int) -> None:
        """Never the row with the highest cursor: a maximum below `safe` stops a sync, as it should."""
        cursor = self.spec.cursor[0]
        newest = max(self.source.rows.values(), key=lambda row: (getattr(row, cursor), row.id))
        others = sorted(id_ for id_ in self.source.rows if id_ != newest.id)
        transaction = self.source.begin()
        self.source.delete(transaction, others[which % len(others)])
        self.gone |= set(transaction.writes)
        self.source.commit(transaction)

    @precondition(lambda self: self.gone and self.spec.cursor == ("updated_at",))
    @rule(which=st.integers(0, 100))
    def bring_back(self, which: int) -> None:
        id_ = sorted(self.gone)[which % len(self.gone)]
        transaction = self.source.begin()
        self.source.bring_back(transaction, id_)
        self.gone -= set(transaction.writes)
        self.source.commit(transaction)

    @precondition(lambda self: self.source.rows and self.spec.cursor == ("updated_at",))
    @rule(which=st.integers(0, 100))
    def update_with_a_wrong_clock(self, which: int) -> None:
        """Its time lies in the past, below every mark: only a full read brings it, and has to win then."""
        newest = max(self.source.rows.values(), key=lambda row: (row.updated_at, row.id))
        id_ = sorted(self.source.rows)[which % len(self.source.rows)]
        if id_ != newest.id:
            transaction = self.source.begin()
            self.source.update(transaction, id_, START)
            self.skewed |= set(transaction.writes)
            self.source.commit(transaction)

    # Runs

    @rule()
    def sync(self) -> None:
        self._finish(Process(self.run_engine))

    @precondition(lambda self: self.spec.load != "append")
    @rule()
    def backfill(self) -> None:
        self._finish(Process(lambda emit: self.run_engine(emit, "full")))
        self.skewed.clear()

    @precondition(lambda self: self.may_reconcile)
    @rule()
    def reconcile(self) -> None:
        """Compare and repair: what is loaded as final is as the source has it, and what is gone there is gone."""
        done = self._finish(Process(self.run_reconcile))
        assert done.equal and not done.left, done
        there = self._there()
        assert set(there) <= set(self.source.rows), "a row that is gone at the source is still there"
        rows = self.source.rows
        self.skewed = {id_ for id_ in self.skewed & set(rows) if there.get(id_) != vars(rows[id_])}

    @rule(step=st.sampled_from(STEPS), nth=st.integers(1, 3), reconciles=st.booleans())
    def crash(self, step: str, nth: int, reconciles: bool) -> None:
        self._stop(step, nth, self.killed, reconciles)

    @rule(step=st.sampled_from(STOPS), nth=st.integers(1, 2), reconciles=st.booleans())
    def stop(self, step: str, nth: int, reconciles: bool) -> None:
        self._stop(step, nth, self.zombies, reconciles)

    @precondition(lambda self: self.zombies)
    @rule(which=st.integers(0, 20))
    def wake(self, which: int) -> None:
        zombie = self.zombies.pop(which % len(self.zombies))
        zombie.wake()
        _raise_unexpected(zombie)

    # What must hold

    @invariant()
    def nothing_at_or_below_safe_is_missing(self) -> None:
        """The promise: what is called final was read, whoever committed late, crashed, or woke up again."""
        for key, manifests in self._manifests().items():
            head = manifests[-1]
            if head.safe is None:
                continue
            partition = self.spec.partitions.partition(key, head.order[0].kind)
            read = {row for manifest in manifests for file in manifest.files for row in self._rows(file)}
            for row in self.source.rows.values():
                at: Any = getattr(row, self.spec.cursor[0])
                inside = (partition.start is None or at >= partition.start) and (
                    partition.end is None or at < partition.end
                )
                if inside and not is_below(head.safe, (at,)) and row.id not in self.skewed:
                    assert (row.id, row.updated_at) in read, f"row {row.id} of {row.updated_at} was lost below safe"

    @invariant()
    def marks_only_grow(self) -> None:
        for key, manifests in self._manifests().items():
            assert [manifest.seq for manifest in manifests] == list(range(1, len(manifests) + 1))
            safe = None
            for manifest in manifests:
                assert not is_below(manifest.safe, manifest.low) and not is_below(manifest.high, manifest.safe)
                assert not is_below(manifest.safe, safe), f"safe fell in {key}"
                assert manifest.rows == sum(file.rows for file in manifest.files)
                safe = manifest.safe
            assert not is_below(safe, self.safe.get(key)), f"safe fell in {key}"
            self.safe[key] = safe

    @invariant()
    def the_ledger_is_whole(self) -> None:
        """A row a manifest, without gaps, and as many rows as its manifest; the mark is that of the last one."""
        tables, manifests = self.warehouse.tables, self._manifests()
        for key, mark in tables.marks.items():
            seqs = sorted(seq for partition, seq in tables.ledger if partition == key)
            assert seqs == list(range(1, mark.seq + 1)), f"ledger of {key}: {seqs}, its mark {mark.seq}"
            for seq in seqs:
                row, manifest = tables.ledger[key, seq], manifests[key][seq - 1]
                assert row.manifest_sha256 == manifest.sha256, "another manifest was loaded than the lake has"
                told = row.rows_inserted + row.rows_updated + row.rows_unchanged + row.rows_stale
                assert row.rows_in == told + row.rows_deduplicated
                final = sum(file.rows for file in manifest.files if not file.provisional)
                assert row.superseded_by or row.rows_in >= final, "rows of a manifest were not loaded"

    @invariant()
    def what_was_loaded_is_there(self) -> None:
        """No row of a loaded file that is at the source as it was read is missing, or there in another version."""
        if self.spec.load == "append":
            counted = Counter(row.values["id"] for row in self.warehouse.tables.rows.values())
            assert not [id_ for id_, times in counted.items() if times > 1], "a row is there twice"
            return
        there, manifests = self._there(), self._manifests()
        for key, mark in self.warehouse.tables.marks.items():
            loaded = manifests[key][: mark.seq]
            live = [file for m in loaded for file in m.files if not file.provisional or m is loaded[-1]]
            for id_, updated_at in {row for file in live for row in self._rows(file)}:
                row = self.source.rows.get(id_)
                if row is not None and row.updated_at == updated_at and id_ not in self.skewed:
                    assert there.get(id_) == vars(row), f"row {id_} was loaded, and is now {there.get(id_)}"

    def teardown(self) -> None:
        """The source falls quiet and two runs follow: the warehouse is the source, and a third run changes nothing."""
        try:
            if not hasattr(self, "spec"):
                return
            while self.source.open:
                self.commit(0)
            while self.zombies:
                self.wake(0)
            self.sync()
            self.sync()
            if self.skewed:
                self.backfill()
            self._assert_same(self.gone)
            if self.may_reconcile:
                self.reconcile()
                self._assert_same(set())
            rows, ledger = dict(self.warehouse.tables.rows), dict(self.warehouse.tables.ledger)
            self.sync()
            assert (rows, ledger) == (self.warehouse.tables.rows, self.warehouse.tables.ledger)
            self._assert_no_orphans()
        finally:
            for process in (*self.killed, *self.zombies):
                process.bury()

    def _assert_same(self, gone: set[int]) -> None:
        if self.spec.load == "append":
            there = [row.values["id"] for row in self.warehouse.tables.rows.values()]
            assert sorted(there) == sorted(row.id for row in self.inserted)
            return
        by_id = self._there()
        for row in self.source.rows.values():
            assert by_id.get(row.id) == vars(row), f"row {row.id} differs: {by_id.get(row.id)}"
        extra = set(by_id) - set(self.source.rows)
        assert extra <= gone, f"rows that the source has not: {extra - gone}"

    def _assert_no_orphans(self) -> None:
        named = {file.path for found in self._manifests().values() for m in found for file in (*m.files, *m.deletes)}
        paths = {meta["path"] for page in self.lake.store.list() for meta in page if "/data/" in meta["path"]}
        assert paths <= named, f"data that no manifest names: {sorted(paths - named)}"

    def run_engine(self, emit: Callable[..., None], mode: Mode = "auto") -> None:
        """What `syncer run` does: every partition into the lake and into the warehouse."""
        with self.connected() as (source, warehouse):
            for key in partition_keys(source, self.spec):
                extract(source, self.lake, self.spec, key, mode=mode, emit=emit, backoff=self.backoff)
                load(self.lake, warehouse, self.spec, TARGET, key, emit=emit, backoff=self.backoff)

    def run_reconcile(self, emit: Callable[..., None]) -> Reconciliation:
        with self.connected() as (source, warehouse):
            return reconcile(source, warehouse, self.spec, TARGET, lake=self.lake, emit=emit, backoff=self.backoff)

    @property
    def may_reconcile(self) -> bool:
        return self.spec.load != "append" and bool(self.warehouse.tables.ledger)

    def _there(self) -> dict[int, dict[str, Any]]:
        """The target's rows by id."""
        return {row.values["id"]: row.values for row in self.warehouse.tables.rows.values()}

    def _finish(self, process: Process) -> Any:
        process.start()
        assert not process.is_stopped
        if process.error is not None:
            raise process.error
        return process.result

    def _stop(self, step: str, nth: int, where: list[Process], reconciles: bool) -> None:
        work = self.run_reconcile if reconciles and self.may_reconcile else self.run_engine
        process = Process(work, step, nth).start()
        if process.is_stopped:
            where.append(process)
            if where is self.killed:
                self.end_sessions()
        else:
            _raise_unexpected(process)

    def _open(self, which: int) -> Any:
        numbers = sorted(self.source.open)
        return self.source.open[numbers[which % len(numbers)] if which >= 0 else numbers[-1]]

    def _manifests(self) -> dict[str, list[Manifest]]:
        """The manifests of each partition, in order. An object is parsed once, and again if it is another one."""
        found: dict[str, list[Manifest]] = {}
        for meta in sorted((m for page in self.lake.store.list() for m in page), key=lambda m: m["path"]):
            if "/_manifests/" in meta["path"]:
                name = meta["path"], meta["e_tag"]
                if name not in self.parsed:
                    self.parsed[name] = Manifest.from_bytes(self.lake.get(meta["path"]), meta["path"])
                found.setdefault(self.parsed[name].partition, []).append(self.parsed[name])
        return found

    def _rows(self, file: Any) -> list[tuple]:
        if file.path not in self.files:
            with self.lake.batches(file) as batches:
                self.files[file.path] = [
                    (row["id"], row["updated_at"]) for batch in batches for row in batch.to_pylist()
                ]
        return self.files[file.path]


def _raise_unexpected(process: Process) -> None:
    """A process that woke up may find that others were faster; nothing else."""
    if process.error is not None and not isinstance(process.error, LostRace):
        raise process.error
