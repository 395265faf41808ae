"""What is read again, by whom it was asked, and what that replaces (DESIGN 4 and 6)."""

from dataclasses import replace
from typing import Any

import pytest

from syncer_assets.model.errors import ConfigError
from syncer_assets.model.partition import PartitionScheme
from syncer_assets.model.table import Mode
from syncer_assets_tests.sync.tables import ORDERS, Rig, spec_of, transaction

BY_ID = spec_of(cursor=["id"], partitions=PartitionScheme(by="id", size=10), max_shrink=1.0)
BY_TIME = spec_of(partitions=PartitionScheme(by="time", every="month", start="2024-01-01"))
FIRST, SECOND = "000000000000-000000000009", "000000000010-000000000019"
ROWS = """
INSERT INTO orders (status, updated_at)
SELECT 'x', '2024-01-01'::timestamptz + g * interval '3 day' FROM generate_series(1, 25) g
"""


@pytest.mark.parametrize(
    ("mode", "asked_by_person", "reads"),
    [
        ("auto", True, True),
        ("auto", False, False),
        ("continue", True, False),
        ("continue", False, False),
        ("full", True, True),
        ("full", False, True),
    ],
)
def test_who_reads_a_closed_partition_again(rig: Rig, mode: Mode, asked_by_person: bool, reads: bool) -> None:
    rig.database.execute(f"{ORDERS}; {ROWS}")
    rig.sync(BY_ID, FIRST)
    assert rig.head(BY_ID, FIRST).closed
    rig.database.execute("UPDATE orders SET status = 'changed' WHERE id = 5")
    report = rig.sync(BY_ID, FIRST, mode=mode, asked_by_person=asked_by_person)
    assert report.nothing_new is not reads
    head = rig.head(BY_ID, FIRST)
    assert (head.seq, head.mode, head.closed) == ((2, "replace", True) if reads else (1, "append", True))
    assert rig.in_lake(BY_ID, "status", partition=FIRST)[("changed",)] == int(reads)


def test_an_open_partition_is_read_on_from_its_mark_though_a_person_asked(rig: Rig) -> None:
    rig.database.execute(f"{ORDERS}; {ROWS}")
    third = "000000000020-000000000029"
    rig.sync(BY_ID, third)
    rig.database.execute("INSERT INTO orders (status) VALUES ('new')")
    assert rig.sync(BY_ID, third, asked_by_person=True).rows == 1
    assert rig.sync(BY_ID, third, mode="full").rows == 7


def test_a_backfill_of_a_middle_partition_replaces_its_rows_in_the_warehouse(rig: Rig) -> None:
    """Changed, deleted and inserted below `safe`: no cursor sees that, a re-read of an id range does."""
    rig.database.execute(f"{ORDERS}; {ROWS}")
    for key in (FIRST, SECOND):
        rig.sync(BY_ID, key)
        rig.load(BY_ID, key)
    rig.database.execute("UPDATE orders SET status = 'changed' WHERE id = 12; DELETE FROM orders WHERE id IN (5, 15)")
    rig.sync(BY_ID, SECOND, asked_by_person=True)
    report = rig.load(BY_ID, SECOND)
    assert (report.rows_deleted, report.rows_updated, report.rows_unchanged) == (1, 1, 8)
    wanted = rig.in_source(BY_ID, "id", "status", where="id < 20")
    wanted[(5, "x")] = 1
    assert rig.in_warehouse("id", "status") == wanted, "the other partition is as it was"


def test_a_reread_of_a_time_partition_deletes_nothing(rig: Rig) -> None:
    """A row that is gone from January may have moved on."""
    rig.database.execute(f"{ORDERS}; {ROWS}")
    for key in ("2024-01-01", "2024-02-01"):
        rig.sync(BY_TIME, key)
        rig.load(BY_TIME, key)
    rig.database.execute("UPDATE orders SET updated_at = '2024-02-28', status = 'moved' WHERE id = 2")
    for key in ("2024-02-01", "2024-01-01"):
        rig.sync(BY_TIME, key, asked_by_person=True)
        assert rig.load(BY_TIME, key).rows_deleted == 0
    assert rig.in_warehouse("id", "status") == rig.in_source(BY_TIME, "id", "status", where="updated_at < '2024-03-01'")


def test_a_reread_deletes_no_row_whose_version_moved_on_while_it_was_read(rig: Rig) -> None:
    """An integer cursor that is no part of the key moves as a time does: absent below `safe` is not gone."""
    rig.database.execute("CREATE TABLE orders (id int PRIMARY KEY, version int NOT NULL, status text)")
    rig.database.execute("INSERT INTO orders SELECT g, g, 'x' FROM generate_series(1, 10) g")
    spec = spec_of(cursor=["version"], max_shrink=1.0)
    rig.sync(spec)
    rig.load(spec)

    def move_on(event: str, fields: dict[str, Any]) -> None:
        if event == "ceiling captured":
            rig.database.execute("UPDATE orders SET version = 11 WHERE id = 3")

    rig.sync(spec, mode="full", on=move_on)
    assert rig.load(spec).rows_deleted == 0
    assert rig.in_warehouse("id") == rig.in_source(spec, "id")


def test_provisional_rows_are_superseded_by_the_next_manifest(rig: Rig) -> None:
    spec = spec_of(cursor=["id"])
    rig.database.execute(f"{ORDERS}; {ROWS}")
    rig.sync(spec)
    with transaction(rig.database, "INSERT INTO orders (status) VALUES ('late')"):
        rig.database.execute("INSERT INTO orders (status) VALUES ('provisional')")
        rig.sync(spec, writers_open=True)
    rig.database.execute("UPDATE orders SET status = 'final' WHERE status = 'provisional'")
    rig.sync(spec)
    second, third = rig.manifests(spec)[1:]
    assert [file.provisional for file in (*second.files, *third.files)] == [True, False]
    rig.load(spec)
    ledger = rig.warehouse.ledger(rig.target, "all")
    assert [(row.seq, row.superseded_by, row.rows_in) for row in ledger] == [(1, None, 25), (2, 3, 0), (3, None, 1)]
    assert rig.in_warehouse("status") == {("x",): 25, ("final",): 1}


def test_a_provisional_row_that_was_loaded_is_replaced_by_its_final_version(rig: Rig) -> None:
    spec = spec_of(cursor=["id"])
    rig.database.execute(f"{ORDERS}; {ROWS}")
    with transaction(rig.database, "INSERT INTO orders (status) VALUES ('late')"):
        rig.database.execute("INSERT INTO orders (status) VALUES ('provisional')")
        rig.sync(spec, writers_open=True)
        rig.load(spec)
    rig.database.execute("UPDATE orders SET status = 'final' WHERE status = 'provisional'")
    rig.sync(spec)
    assert rig.load(spec).rows_updated == 1
    assert rig.in_warehouse("status") == {("x",): 25, ("final",): 1}


def test_a_changed_scheme_is_refused_without_full(rig: Rig) -> None:
    rig.database.execute(f"{ORDERS}; {ROWS}")
    rig.sync(BY_ID, FIRST)
    other = replace(BY_ID, partitions=PartitionScheme(by="id", size=20))
    key = "000000000000-000000000019"
    with pytest.raises(ConfigError, match=r"the partitions changed from id:10 to id:20.*--full"):
        rig.sync(other, key)
    assert rig.sync(other, key, mode="full").rows == 19
    assert rig.sync(other, key).nothing_new


def test_a_reread_that_would_double_an_append_target_is_refused(rig: Rig) -> None:
    rig.database.execute("CREATE TABLE orders (id bigint NOT NULL)")
    rig.database.execute("INSERT INTO orders SELECT generate_series(1, 5)")
    spec: Any = spec_of(cursor=["id"], load="append")
    rig.sync(spec)
    with pytest.raises(ConfigError, match=r"public\.orders \[all\]: a re-read would double"):
        rig.sync(spec, mode="full")
