"""A repair that is killed, and one that runs while everything moves: nothing is lost, nothing alive is deleted."""

import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from syncer_assets.model.table import TableSpec
from syncer_assets_tests.faults.invariants import Footprint, assert_invariants
from syncer_assets_tests.faults.job import ITEMS, ORDERS, Job, Opened, data_objects, start_worker, target_of
from syncer_assets_tests.faults.record import struck
from syncer_assets_tests.servers import Database

HARD = replace(ORDERS, deletes="hard", late_commit_lag=timedelta(0))
PARTS = replace(ITEMS, deletes="hard")
LATER = "later"
BETWEEN = {"compared", "repair committed", "load planned", "epoch taken", "rows staged", "load committed"}
"""Events that are told while no lock is held."""
STEPS = [
    ("compared", 1),
    ("before upload", 1),
    ("after complete", 1),
    ("before put", 2),  # the _table.json, and the manifest
    ("after put", 1),
    ("repair committed", 1),
    ("epoch taken", 1),
    ("rows staged", 1),
    ("rows merged", 1),
    ("load committed", 1),
    ("compared", 2),
]


MATRIX = [*((HARD, *step) for step in STEPS), (PARTS, "before put", 2), (PARTS, "load committed", 1)]


def _id(value: object) -> str:
    return value.name if isinstance(value, TableSpec) else str(value).replace(" ", "_")


@pytest.mark.parametrize(("spec", "step", "nth"), MATRIX, ids=_id)
def test_a_repair_that_was_killed_is_finished_by_the_next(
    spec: TableSpec, step: str, nth: int, job: Job, source_db: Database, warehouse_db: Database, tmp_path: Path
) -> None:
    with job.only(spec).opened() as opened:
        source_db.execute(f"CREATE TABLE {LATER} AS SELECT * FROM {spec.name} WHERE id IN (7, 407)")
        source_db.execute(f"DELETE FROM {spec.name} WHERE id IN (7, 407)")
        opened.run()
        _differ(spec, source_db, warehouse_db)
        child = start_worker(opened.job, tmp_path, "--at", step, "--nth", str(nth), "--run", "reconcile")
        assert child.wait() == -signal.SIGKILL
        struck()
        done = opened.reconcile(spec)
        assert done.equal and not done.left
        target = target_of(spec)
        opened.run()
        assert_invariants(source_db, opened.lake, warehouse_db, [(spec, target)])
        before, objects = Footprint.of(warehouse_db, target), data_objects(opened.lake)
        assert opened.reconcile(spec).manifests == 0
        assert (Footprint.of(warehouse_db, target), data_objects(opened.lake)) == (before, objects)


def _differ(spec: TableSpec, source: Database, warehouse: Database) -> None:
    """Rows that came below the mark, that are gone, changed without their time, and altered in the warehouse: in two
    partitions."""
    column = "status" if spec.table == "public.orders" else "name"
    source.execute(f"INSERT INTO {spec.name} OVERRIDING SYSTEM VALUE SELECT * FROM {LATER}")
    source.execute(f"DELETE FROM {spec.name} WHERE id IN (5, 405)")
    source.execute(f"UPDATE {spec.name} SET {column} = 'silently' WHERE id IN (6, 406)")
    warehouse.execute(f"UPDATE shop.{spec.name} SET {column} = 'by hand' WHERE id IN (8, 408)")


@dataclass
class World:
    """Applications, syncs and loads that do something at each step, by one seed. `seen` are the ids whose last change a
    cursor sees: a sync alone has to bring them."""

    source: Database
    opened: Opened
    drawn: random.Random
    alive: dict[int, bool] = field(default_factory=dict)
    dead: set[int] = field(default_factory=set)
    moving: bool = False

    def step(self) -> None:
        """What happens between two statements of a reconcile."""
        if self.moving:
            return
        self.moving = True
        try:
            for _ in range(self.drawn.randint(0, 2)):
                self.drawn.choice([*[self._write] * 9, self.sync])()
        finally:
            self.moving = False

    def _write(self) -> None:
        kind = self.drawn.choice(["insert", "touch", "touch", "silent", "delete", "delete", "back", "back", "old"])
        now = "clock_timestamp()"
        if kind == "insert":
            new = max([*self.alive, *self.dead]) + 1
            self.source.execute(f"INSERT INTO orders OVERRIDING SYSTEM VALUE VALUES ({new}, 'new', 1, {now})")
            self.alive[new] = True
        elif kind in ("touch", "silent") and self.alive:
            id = self.drawn.choice(list(self.alive))
            moved = f", updated_at = {now}" if kind == "touch" else ""
            self.source.execute(f"UPDATE orders SET total = coalesce(total, 0) + 1{moved} WHERE id = {id}")
            self.alive[id] = kind == "touch"
        elif kind == "delete" and len(self.alive) > 1:
            id = self.drawn.choice([id for id in self.alive if id != 1])
            self.source.execute(f"DELETE FROM orders WHERE id = {id}")
            del self.alive[id]
            self.dead.add(id)
        elif kind in ("back", "old") and self.dead:
            id = self.drawn.choice(sorted(self.dead))
            moment = now if kind == "back" else "now() - interval '1 hour'"
            self.source.execute(f"INSERT INTO orders OVERRIDING SYSTEM VALUE VALUES ({id}, 'back', 2, {moment})")
            self.dead.remove(id)
            self.alive[id] = kind == "back"

    def sync(self) -> None:
        self.source.execute("UPDATE orders SET updated_at = clock_timestamp() WHERE id = 1")  # or its maximum may fall
        self.opened.extract(HARD)
        self.opened.load(HARD)


@pytest.mark.parametrize("trial", range(6))
def test_nothing_alive_is_deleted_while_everything_moves(
    trial: int, job: Job, source_db: Database, warehouse_db: Database
) -> None:
    seed = f"reconcile {trial}"
    print(f"seed {seed!r}")
    source_db.execute("DELETE FROM orders WHERE id > 40")
    with job.only(HARD).opened() as opened, job.only(HARD).opened() as other:
        world = World(source_db, other, random.Random(seed), dict.fromkeys(range(1, 41), True))
        other.run()
        for _ in range(3):
            with stepping(opened, world.step):
                opened.reconcile(HARD, lambda event, **fields: world.step() if event in BETWEEN else None)
        world.sync()
        world.sync()
        here = {row[0]: row[1:] for row in warehouse_db.execute("SELECT id, status, total FROM shop.orders")}
        there = {row[0]: row[1:] for row in source_db.execute("SELECT id, status, total FROM orders")}
        seen = [id for id, by_cursor in world.alive.items() if by_cursor]
        assert {id: there[id] for id in seen} == {id: here.get(id) for id in seen}, "lost, or as it was before"
        assert opened.reconcile(HARD).equal
        assert_invariants(source_db, opened.lake, warehouse_db, [(HARD, target_of(HARD))])


@contextmanager
def stepping(opened: Opened, step: Callable[[], None]) -> Iterator[None]:
    """Calls `step` before each control statement of the source, and of the warehouse unless it holds locks there."""
    execute = psycopg.Connection.execute

    def before(self: psycopg.Connection, *arguments: object, **options: object) -> object:
        idle = self.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        reads = "set_config" in str(arguments[0])
        if self is opened.source._control or (self is opened.warehouse._control and (idle or reads)):  # type: ignore[attr-defined]  # PostgreSQL's
            step()
        return execute(self, *arguments, **options)  # type: ignore[arg-type]  # handed on as they came

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg.Connection, "execute", before)
        yield
