"""`[start, end)` at a partition's edges, `(low, high]` inside; closed only when `safe` has reached the end (rule 7)."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from syncer_assets.model.errors import ConfigError
from syncer_assets.model.partition import PartitionScheme
from syncer_assets.model.table import Load
from syncer_assets.sync.checksum import compare
from syncer_assets.sync.pending import partition_keys
from syncer_assets_tests.sync.tables import ORDERS, Rig, check, spec_of, transaction

MICROSECOND = timedelta(microseconds=1)
FEBRUARY = datetime(2024, 2, 1, tzinfo=UTC)
MARCH = datetime(2024, 3, 1, tzinfo=UTC)
MONTHS = PartitionScheme(by="time", every="month", start="2024-01-01")
BY_MONTH = spec_of(partitions=MONTHS)
BY_ID = spec_of(cursor=["id"], partitions=PartitionScheme(by="id", size=10))
FIRST, SECOND = "000000000000-000000000009", "000000000010-000000000019"


def insert(rig: Rig, *times: datetime) -> None:
    with rig.database.connect() as connection, connection.cursor() as cursor:
        cursor.executemany("INSERT INTO orders (status, updated_at) VALUES (%s, %s)", [(str(t), t) for t in times])


def sync_all(rig: Rig, spec: Any, *partitions: str) -> dict[str, list[Any]]:
    """What each partition holds, ordered."""
    for partition in partitions:
        rig.sync(spec, partition)
    column = spec.cursor[0]
    return {
        partition: sorted(value for (value,) in rig.in_lake(spec, column, partition=partition).elements())
        for partition in partitions
    }


@pytest.mark.parametrize("months_later", [False, True], ids=["in one sync", "in a second sync"])
def test_the_first_microsecond_of_a_month_belongs_to_it(rig: Rig, months_later: bool) -> None:
    rig.database.execute(ORDERS)
    edges = [FEBRUARY - MICROSECOND, FEBRUARY, FEBRUARY + MICROSECOND, MARCH - MICROSECOND, MARCH]
    spec = replace(BY_MONTH, late_commit_lag=timedelta(days=365 * 50)) if months_later else BY_MONTH
    if months_later:
        insert(rig, FEBRUARY - timedelta(days=1), MARCH + timedelta(days=1))
        sync_all(rig, spec, "2024-01-01", "2024-02-01", "2024-03-01")
    insert(rig, *edges)
    held = sync_all(rig, spec, "2024-01-01", "2024-02-01", "2024-03-01")
    assert held["2024-02-01"] == edges[1:4]
    assert held["2024-01-01"][-1] == edges[0] and held["2024-03-01"][0] == edges[4]
    assert sum(map(len, held.values())) == rig.database.scalar("SELECT count(*) FROM orders")


def test_ids_at_the_edges_belong_to_one_partition_each(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    rig.database.execute("INSERT INTO orders (status) SELECT 'x' FROM generate_series(1, 25)")
    third = "000000000020-000000000029"
    held = sync_all(rig, BY_ID, third, SECOND, FIRST)
    assert held == {third: list(range(20, 26)), SECOND: list(range(10, 20)), FIRST: list(range(1, 10))}
    assert [rig.head(BY_ID, key).closed for key in (FIRST, SECOND, third)] == [True, True, False]


def test_the_first_partition_is_open_to_the_left(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    insert(rig, datetime(1999, 12, 31, tzinfo=UTC), FEBRUARY)
    assert len(sync_all(rig, BY_MONTH, "2024-01-01")["2024-01-01"]) == 1
    rig.database.execute("INSERT INTO orders (id) VALUES (-5)")
    spec = replace(BY_ID, source="another")
    assert sync_all(rig, spec, FIRST)[FIRST] == [-5, 1, 2]


@pytest.mark.parametrize("spec", [BY_ID, BY_MONTH], ids=["id", "time"])
def test_a_partition_is_closed_only_when_safe_has_reached_its_end(rig: Rig, spec: Any) -> None:
    key = FIRST if spec is BY_ID else "2024-01-01"
    rig.database.execute(ORDERS)
    rig.database.execute("INSERT INTO orders (status, updated_at) SELECT 'x', '2024-01-05' FROM generate_series(1, 8)")
    with transaction(rig.database, "INSERT INTO orders (status, updated_at) VALUES ('late', '2024-01-06')") as writer:
        rig.database.execute("INSERT INTO orders (status) SELECT 'beyond' FROM generate_series(1, 5)")
        rig.sync(spec, key, writers_open=True)
        assert not rig.head(spec, key).closed
        writer.commit()
    rig.sync(spec, key)
    assert rig.head(spec, key).closed
    assert rig.in_lake(spec, "status", partition=key)[("late",)] == 1


@pytest.mark.parametrize(("cursor", "column"), [("day", "date"), ("noted", "timestamp")])
def test_edges_of_dates_and_naive_times(rig: Rig, cursor: str, column: str) -> None:
    rig.database.execute(f"CREATE TABLE orders (id bigserial PRIMARY KEY, {cursor} {column} NOT NULL)")
    rig.database.execute(f"INSERT INTO orders ({cursor}) VALUES ('2024-01-31'), ('2024-02-01'), ('2024-02-29')")
    spec = spec_of(cursor=[cursor], partitions=MONTHS, cursor_zone="Asia/Tokyo")
    held = sync_all(rig, spec, "2024-01-01", "2024-02-01", "2024-03-01")
    assert [len(rows) for rows in held.values()] == [1, 2, 0]
    assert str(held["2024-02-01"][0]).startswith("2024-02-01") and isinstance(held["2024-01-01"][0], date)


@pytest.mark.parametrize("every", ["hour", "day", "week", "month"])
def test_partitions_tile_the_time(rig: Rig, every: Any) -> None:
    scheme = PartitionScheme(by="time", every=every, start="2024-01-01")
    keys = scheme.keys(None, datetime(2024, 2, 3, tzinfo=UTC))
    partitions = [scheme.partition(key, "timestamptz") for key in keys]
    assert partitions[0].start is None
    assert all(one.end == other.start for one, other in pairwise(partitions))


@pytest.mark.parametrize(
    ("spec", "key"),
    [
        *((BY_MONTH, key) for key in ("2024-01-02", "2024-1-01", "2023-12-01", "january")),
        *((BY_ID, key) for key in ("5-9", "0-9", "all")),
        (replace(BY_MONTH, partitions=replace(MONTHS, every="week")), "2024-01-07"),
        (spec_of(), "x"),
    ],
)
def test_a_key_that_is_no_partition_is_refused(rig: Rig, spec: Any, key: str) -> None:
    rig.database.execute(ORDERS)
    with pytest.raises(ConfigError, match=f"'{key}'.*keys look like|'{key}'.*leave it out"):
        rig.sync(spec, key)


def test_prefixes_hold_their_rows_and_others_are_counted(rig: Rig) -> None:
    spec = spec_of(partitions=PartitionScheme(by="prefix", column="status", prefixes=("a", "B%")))
    rig.database.execute(ORDERS)
    rig.database.execute(
        "INSERT INTO orders (status) VALUES ('a1'), ('A2'), ('B%1'), ('Bx2'), ('c'), (NULL), (''), ('a'), ('Ba')"
    )
    for key in ("a", "B%"):
        report = rig.sync(spec, key)
        outside = check(report, "rows_outside_partitions")
        assert (outside.passed, outside.severity, outside.metadata["rows_unlisted_prefix"]) == (False, "ERROR", 6)
    assert rig.in_lake(spec, "status", partition="a") == {("a1",): 1, ("a",): 1}
    assert rig.in_lake(spec, "status", partition="B%") == {("B%1",): 1}


@pytest.mark.parametrize("load", ["upsert", "append"])
def test_a_text_shorter_than_the_prefix_is_its_own_partition(rig: Rig, load: Load) -> None:
    """By length: 'ab' is not in the way of 'abc', and who has no text is counted."""
    spec = spec_of(load=load, partitions=PartitionScheme(by="prefix", column="status", length=3))
    rig.database.execute(f"{ORDERS}; INSERT INTO orders (status) VALUES ('abcd'), ('ab'), ('abe'), ('x'), (''), (NULL)")
    keys = partition_keys(rig.source, spec)
    assert keys == ["ab", "abc", "abe", "x"]
    read = Counter[tuple]()
    for key in keys:
        report = rig.sync(spec, key)
        rig.load(spec, key)
        read += rig.in_lake(spec, "status", partition=key)
    assert read == rig.in_warehouse("status") == {("abcd",): 1, ("ab",): 1, ("abe",): 1, ("x",): 1}
    outside = check(report, "rows_outside_partitions")
    assert (outside.passed, outside.severity, outside.metadata["rows_unlisted_prefix"]) == (False, "ERROR", 2)
    compared = compare(rig.source, rig.warehouse, spec, rig.target)
    assert compared.rows_pending == 2, "in no partition; of the others each is held against its own"


def test_a_prefix_that_looks_like_a_folder_of_ours_is_a_partition(rig: Rig) -> None:
    keys = ("_a", ".b", "_manifests", "c/d", "100%")
    spec = spec_of(partitions=PartitionScheme(by="prefix", column="status", prefixes=keys))
    rig.database.execute(f"{ORDERS}; INSERT INTO orders (status) SELECT unnest(ARRAY{list(keys)})")
    for key in keys:
        rig.sync(spec, key)
        assert rig.in_lake(spec, "status", partition=key) == {(key,): 1}
    assert rig.lake.partitions(spec.source, spec.table) == sorted(keys)


def test_prefixes_that_overlap_are_refused(rig: Rig) -> None:
    """A row of both would be doubled in an `append` target."""
    rig.database.execute(ORDERS)
    with pytest.raises(ConfigError, match="the prefix 'ab' of `partitions` lies within 'a'"):
        rig.sync(spec_of(partitions=PartitionScheme(by="prefix", column="status", prefixes=("b", "ab", "a"))), "a")
