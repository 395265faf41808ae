"""Objects, tables and marks that are not what they were: an error that names the fix, before the target is touched."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from syncer_assets.model.errors import IdentityChanged, LakeCorrupt
from syncer_assets.model.table import TableSpec
from syncer_assets.sync.lake import Lake, Place, open_lake
from syncer_assets_tests.faults.invariants import Footprint, assert_invariants
from syncer_assets_tests.faults.job import COUNTRIES, EVENTS, ORDERS, Job, Opened, target_of, write
from syncer_assets_tests.faults.record import struck
from syncer_assets_tests.servers import Database

Damage = Callable[[Path], object]

DAMAGES: dict[str, tuple[Damage, str]] = {
    "deleted": (lambda path: path.unlink(), "is missing"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-7]), r"has \d+ bytes, its manifest says \d+"),
    "changed": (lambda path: path.write_bytes(_with_a_bit_flipped(path.read_bytes())), "has another hash"),
}
SPECS = [ORDERS, EVENTS, COUNTRIES]


@pytest.fixture
def opened(job: Job) -> Iterator[Opened]:
    with job.opened() as opened:
        yield opened


@pytest.mark.parametrize("loaded", [False, True], ids=["first load", "later load"])
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_damaged_data_object_stops_the_load(
    spec: TableSpec, damage: str, loaded: bool, opened: Opened, source_db: Database, warehouse_db: Database
) -> None:
    if loaded:
        opened.extract(spec)
        opened.load(spec)
        write(source_db, 1)
    opened.extract(spec)
    last = opened.lake.manifests(_place(spec))[-1].files[-1]
    path = _path(opened.lake, last.path)
    whole = path.read_bytes()
    before = _footprint(warehouse_db, spec)
    events: list[str] = []
    hurt, says = DAMAGES[damage]

    hurt(path)
    struck()
    with pytest.raises(LakeCorrupt, match=says) as raised:
        opened.load(spec, emit=lambda event, **fields: events.append(event))

    assert last.path in str(raised.value) and "Fix: restore the object" in str(raised.value)
    assert "rows merged" not in events
    assert _footprint(warehouse_db, spec) == before
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(whole)
    opened.load(spec)
    assert_invariants(source_db, opened.lake, warehouse_db, [(spec, target_of(spec))])


def test_a_missing_manifest_stops_both_halves(opened: Opened, source_db: Database, warehouse_db: Database) -> None:
    for round in range(3):
        opened.extract(EVENTS)
        opened.load(EVENTS)
        write(source_db, round)
    path = _path(opened.lake, _place(EVENTS).manifest(2))
    body = path.read_bytes()
    before = _footprint(warehouse_db, EVENTS)
    path.unlink()
    for half in (opened.extract, opened.load):
        with pytest.raises(LakeCorrupt, match=r"public\.events \[all\]: manifest 2 is missing .*Fix: restore"):
            half(EVENTS)
    assert _footprint(warehouse_db, EVENTS) == before
    path.write_bytes(body)
    opened.extract(EVENTS)
    opened.load(EVENTS)
    assert_invariants(source_db, opened.lake, warehouse_db, [(EVENTS, target_of(EVENTS))])


def test_a_manifest_that_is_no_json_any_more_is_named(opened: Opened) -> None:
    opened.extract(EVENTS)
    path = _place(EVENTS).manifest(1)
    _path(opened.lake, path).write_bytes(b'{"version": 1')
    with pytest.raises(LakeCorrupt, match=f"{re.escape(path)} cannot be read"):
        opened.load(EVENTS)


def test_an_older_lake_is_not_taken_for_the_newest(opened: Opened, source_db: Database, warehouse_db: Database) -> None:
    """The last manifest is gone, as after a restore of the bucket: never "already loaded"."""
    for round in range(2):
        opened.extract(EVENTS)
        opened.load(EVENTS)
        write(source_db, round)
    before = _footprint(warehouse_db, EVENTS)
    last = opened.lake.seqs(_place(EVENTS))[-1]
    _path(opened.lake, _place(EVENTS).manifest(last)).unlink()
    with pytest.raises(IdentityChanged, match=rf"has loaded manifest {last}, the lake's last one is {last - 1}"):
        opened.load(EVENTS)
    assert _footprint(warehouse_db, EVENTS) == before


def test_another_lake_generation_is_refused(opened: Opened, warehouse_db: Database, source_db: Database) -> None:
    opened.extract(ORDERS)
    opened.load(ORDERS)
    write(source_db, 1)
    opened.extract(ORDERS)
    before = _footprint(warehouse_db, ORDERS)
    path = _path(opened.lake, "_lake.json")
    path.write_text(json.dumps({"version": 1, "generation": "00000000-0000-4000-8000-000000000000"}))
    reopened = Opened(opened.job, opened.source, open_lake(opened.job.lake_url), opened.warehouse)
    with pytest.raises(IdentityChanged, match=r"shop\.orders: .*lake generation .*Fix: .*--full.*adopt"):
        reopened.load(ORDERS)
    assert _footprint(warehouse_db, ORDERS) == before
    opened.warehouse.adopt(target_of(ORDERS), reopened.lake.generation)
    reopened.load(ORDERS)
    assert_invariants(source_db, reopened.lake, warehouse_db, [(ORDERS, target_of(ORDERS))])


def test_a_lake_that_was_wiped_is_not_taken_for_a_new_one(
    opened: Opened, source_db: Database, warehouse_db: Database
) -> None:
    """Everything is read once more, and the load says that the warehouse is of another lake."""
    opened.extract(EVENTS)
    opened.load(EVENTS)
    before = _footprint(warehouse_db, EVENTS)
    assert opened.lake.root is not None
    for path in opened.lake.root.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    struck()
    write(source_db, 1)
    reopened = Opened(opened.job, opened.source, open_lake(opened.job.lake_url), opened.warehouse)
    reopened.extract(EVENTS)
    with pytest.raises(IdentityChanged, match=r"shop\.events: .*lake generation .*Fix: .*--full.*adopt"):
        reopened.load(EVENTS)
    assert _footprint(warehouse_db, EVENTS) == before


@pytest.mark.parametrize("made_anew", [False, True])
def test_a_dropped_target_is_told(made_anew: bool, opened: Opened, warehouse_db: Database, source_db: Database) -> None:
    opened.extract(ORDERS)
    opened.load(ORDERS)
    if made_anew:
        warehouse_db.execute(
            "CREATE TABLE shop.copy (LIKE shop.orders INCLUDING ALL); DROP TABLE shop.orders;"
            " ALTER TABLE shop.copy RENAME TO orders;"
            f" ALTER TABLE shop.orders OWNER TO syncer_loader_{warehouse_db.name}"
        )
    else:
        warehouse_db.execute("DROP TABLE shop.orders")
    write(source_db, 1)
    opened.extract(ORDERS)
    with pytest.raises(
        IdentityChanged, match=r"shop\.orders: the warehouse table (was dropped|is another one).*--full"
    ):
        opened.load(ORDERS)
    assert not made_anew or warehouse_db.scalar("SELECT count(*) FROM shop.orders") == 0
    assert warehouse_db.scalar("SELECT max(seq) FROM _syncer.loads") < opened.lake.seqs(_place(ORDERS))[-1]
    opened.warehouse.forget(target_of(ORDERS))
    opened.load(ORDERS)
    assert_invariants(source_db, opened.lake, warehouse_db, [(ORDERS, target_of(ORDERS))])


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_warehouse_that_went_back_in_time_catches_up(
    spec: TableSpec, opened: Opened, source_db: Database, warehouse_db: Database
) -> None:
    """A restore, or a failover that lost the last commits: the marks went back with the rows."""
    opened.extract(spec)
    opened.load(spec)
    tables = [f"shop.{spec.name}", "_syncer.targets", "_syncer.watermarks", "_syncer.loads"]
    for table in tables:
        warehouse_db.execute(f"CREATE TABLE backup_{table.replace('.', '_')} AS SELECT * FROM {table}")
    for round in (1, 2):
        write(source_db, round)
        opened.extract(spec)
        opened.load(spec)
    restore = "; ".join(
        f"DELETE FROM {table}; INSERT INTO {table} SELECT * FROM backup_{table.replace('.', '_')}" for table in tables
    )
    warehouse_db.execute(f"BEGIN; {restore}; COMMIT")
    assert opened.load(spec).manifests >= 1
    assert_invariants(source_db, opened.lake, warehouse_db, [(spec, target_of(spec))])


def test_a_source_that_went_back_in_time_is_refused(
    opened: Opened, source_db: Database, warehouse_db: Database
) -> None:
    opened.extract(EVENTS)
    opened.load(EVENTS)
    before = _footprint(warehouse_db, EVENTS)
    source_db.execute("TRUNCATE events RESTART IDENTITY; INSERT INTO events (what) VALUES ('restored')")
    with pytest.raises(IdentityChanged, match=r"public\.events \[all\]: .*lies below what was proven final.*Fix: "):
        opened.extract(EVENTS)
    opened.load(EVENTS)
    assert _footprint(warehouse_db, EVENTS) == before


def _place(spec: TableSpec) -> Place:
    return Place(spec.source, spec.table, "all")


def _path(lake: Lake, path: str) -> Path:
    assert lake.root is not None
    return lake.root / path


def _footprint(warehouse: Database, spec: TableSpec) -> Footprint | None:
    """None where the table does not exist."""
    target = target_of(spec)
    if warehouse.scalar("SELECT to_regclass(%s)", [target.name]) is None:
        return None
    return Footprint.of(warehouse, target)


def _with_a_bit_flipped(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
