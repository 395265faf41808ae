"""Rows without a cursor lie in no window: refused, or read each time beside it."""

from dataclasses import replace
from typing import Any

import pytest

from syncer_assets.model.errors import ConfigError
from syncer_assets.model.partition import PartitionScheme
from syncer_assets_tests.sync.tables import Rig, check, spec_of

TABLE = "CREATE TABLE orders (id bigserial PRIMARY KEY, status text, updated_at timestamptz)"
SPEC = spec_of(null_cursor="include")
ROWS = (
    "INSERT INTO orders (status, updated_at) VALUES ('dated', '2024-01-05'), ('later', '2024-03-05'), ('undated', NULL)"
)


def test_a_null_cursor_stops_the_sync_before_it_begins(rig: Rig) -> None:
    rig.database.execute(f"{TABLE}; {ROWS}")
    with pytest.raises(ConfigError, match=r"public\.orders: 1 rows have no 'updated_at'.*null_cursor: include"):
        rig.sync(spec_of())
    assert rig.manifests(SPEC) == []


def test_rows_without_a_cursor_arrive_and_are_counted(rig: Rig) -> None:
    rig.database.execute(f"{TABLE}; {ROWS}")
    report = rig.sync(SPEC)
    rig.load(SPEC)
    assert rig.in_lake(SPEC, "status") == rig.in_warehouse("status") == rig.in_source(SPEC, "status")
    assert check(report, "rows_outside_partitions").metadata["rows_null_cursor"] == 1


def test_a_change_of_them_arrives_though_nothing_else_is_new(rig: Rig) -> None:
    rig.database.execute(f"{TABLE}; {ROWS}")
    rig.sync(SPEC)
    again = rig.sync(SPEC)
    assert again.nothing_new and again.last_seq == 1, "read again, found to be the same, not committed"
    rig.database.execute("UPDATE orders SET status = 'changed' WHERE updated_at IS NULL")
    assert rig.sync(SPEC).rows == 1
    rig.database.execute("INSERT INTO orders (status) VALUES ('new and undated')")
    rig.sync(SPEC)
    rig.load(SPEC)
    assert rig.in_lake(SPEC, "status") == rig.in_warehouse("status") == rig.in_source(SPEC, "status")


def test_they_belong_to_the_first_partition_also_when_it_is_closed(rig: Rig) -> None:
    spec = replace(SPEC, partitions=PartitionScheme(by="time", every="month", start="2024-01-01"))
    rig.database.execute(f"{TABLE}; {ROWS}")
    for key in ("2024-01-01", "2024-02-01", "2024-03-01"):
        rig.sync(spec, key)
    assert rig.in_lake(spec, "status", partition="2024-01-01") == {("dated",): 1, ("undated",): 1}
    assert rig.in_lake(spec, "status", partition="2024-03-01") == {("later",): 1}
    assert rig.head(spec, "2024-01-01").closed
    rig.database.execute("INSERT INTO orders (status) VALUES ('new and undated')")
    rig.sync(spec, "2024-01-01")
    assert rig.in_lake(spec, "status", partition="2024-01-01")[("new and undated",)] == 1
    assert rig.head(spec, "2024-01-01").closed


def test_rows_arrive_where_every_cursor_is_null(rig: Rig) -> None:
    rig.database.execute(f"{TABLE}; INSERT INTO orders (status) VALUES ('undated')")
    rig.sync(SPEC)
    assert rig.in_lake(SPEC, "status") == {("undated",): 1}


PAIRS = "CREATE TABLE orders (id int, part int, updated_at timestamptz NOT NULL)"


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        (spec_of(cursor=["updated_at", "part"], key=("id",)), "part"),
        (spec_of(key=("part",)), "part"),
        (spec_of(key=("part",), load="append"), "part"),
    ],
)
def test_a_null_behind_the_cursor_stops_the_sync_before_the_row_is_passed_over(rig: Rig, spec: Any, name: str) -> None:
    """It is neither below nor above a mark: page or window, no comparison would ever bring it."""
    rig.database.execute(f"{PAIRS}; INSERT INTO orders VALUES (1, 1, '2024-01-01'), (2, 2, '2024-01-02')")
    assert rig.sync(spec).rows == 2
    rig.database.execute("INSERT INTO orders VALUES (3, NULL, '2024-01-02'), (4, 4, '2024-01-03')")
    with pytest.raises(ConfigError, match=rf"1 rows have no '{name}' \(NULL\), by which rows of one 'updated_at'"):
        rig.sync(spec)
    assert len(rig.manifests(spec)) == 1
    rig.database.execute("UPDATE orders SET part = 3 WHERE part IS NULL")
    assert rig.sync(spec).rows >= 1


def test_rows_without_a_cursor_have_a_key(rig: Rig) -> None:
    spec = spec_of(key=("part",), null_cursor="include")
    rig.database.execute("CREATE TABLE orders (part int, updated_at timestamptz); INSERT INTO orders DEFAULT VALUES")
    with pytest.raises(ConfigError, match="1 rows have no 'part'"):
        rig.sync(spec)
