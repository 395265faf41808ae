"""Rows without a cursor lie in no window: refused, or read each time beside it."""

from dataclasses import replace

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
