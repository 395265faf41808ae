"""An id far above the rest is not the ceiling: rows inserted after it would lie below, unread (rule 5)."""

from dataclasses import replace

import pytest

from syncer_assets.model.errors import IdentityChanged
from syncer_assets.model.partition import PartitionScheme
from syncer_assets.sources.postgres import PostgresSource
from syncer_assets.sync.pending import partition_keys, pending
from syncer_assets_tests.sync.tables import ORDERS, Rig, check, spec_of

SENTINEL = 9_000_000_000_000_000_000
SPEC = spec_of(cursor=["id"])


def insert(rig: Rig, *, sentinel: bool = False) -> None:
    rig.database.execute("INSERT INTO orders (status) VALUES ('real')")
    if sentinel:
        rig.database.execute(f"INSERT INTO orders (id, status) VALUES ({SENTINEL}, 'sentinel')")


def test_a_sentinel_is_no_ceiling_and_its_row_arrives(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    insert(rig, sentinel=True)
    report = rig.sync(SPEC)
    assert rig.head(SPEC).high == rig.head(SPEC).safe == (1,)
    outside = check(report, "rows_outside_partitions")
    assert (outside.passed, outside.severity) == (False, "WARN")
    assert outside.metadata["highest_id_above_the_sequence"] == SENTINEL
    insert(rig)
    rig.sync(SPEC)
    rig.load(SPEC)
    expected = {("real",): 2, ("sentinel",): 1}
    assert rig.in_lake(SPEC, "status") == rig.in_warehouse("status") == expected


def test_more_than_a_few_rows_above_the_sequence_are_no_sentinels(rig: Rig) -> None:
    """A restored table whose sequence was never set: its ids are the ceiling, and the next ones come below it."""
    rig.database.execute(ORDERS)
    insert(rig)
    assert check(rig.sync(SPEC), "cursor_protected").passed
    rig.database.execute("INSERT INTO orders (id, status) SELECT g, 'restored' FROM generate_series(1000, 2500) g")
    protected = check(rig.sync(SPEC), "cursor_protected")
    assert not protected.passed and "above the last one of the column's sequence" in protected.description
    assert rig.head(SPEC).high == (2500,)
    assert rig.in_lake(SPEC, "status") == {("real",): 1, ("restored",): 1501}


def test_a_sentinel_makes_no_partitions_and_is_counted_outside_them(rig: Rig) -> None:
    spec = replace(SPEC, partitions=PartitionScheme(by="id", size=100))
    rig.database.execute(ORDERS)
    insert(rig, sentinel=True)
    assert partition_keys(rig.source, spec) == ["000000000000-000000000099"]
    assert [found.partition for found in pending(rig.source, rig.lake, [spec])] == ["000000000000-000000000099"]
    report = rig.sync(spec, "000000000000-000000000099")
    assert not rig.head(spec, "000000000000-000000000099").closed
    outside = check(report, "rows_outside_partitions")
    assert (outside.passed, outside.severity) == (False, "ERROR")
    assert outside.metadata["highest_id_above_the_sequence"] == SENTINEL


def test_a_sentinel_of_an_append_table_is_told_as_lost(rig: Rig) -> None:
    """Only final rows are shipped, and it is never final."""
    spec = replace(SPEC, load="append")
    rig.database.execute(ORDERS)
    insert(rig, sentinel=True)
    outside = check(rig.sync(spec), "rows_outside_partitions")
    assert (outside.passed, outside.severity) == (False, "ERROR")
    rig.load(spec)
    assert rig.in_warehouse("status") == {("real",): 1}


def test_a_change_of_a_sentinel_arrives_though_nothing_else_is_new(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    insert(rig, sentinel=True)
    rig.sync(SPEC)
    again = rig.sync(SPEC)
    assert again.nothing_new and again.last_seq == 1, "it is read again, found to be the same, and not committed"
    rig.database.execute(f"INSERT INTO orders (id, status) VALUES ({SENTINEL + 1}, 'another')")
    assert not rig.sync(SPEC).nothing_new
    rig.load(SPEC)
    assert rig.in_lake(SPEC, "status") == rig.in_warehouse("status") == rig.in_source(SPEC, "status")


def test_a_table_of_sentinels_alone_stops_with_the_way_out_once_the_sequence_is_used(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    rig.database.execute(f"INSERT INTO orders (id, status) VALUES ({SENTINEL}, 'sentinel')")
    rig.sync(SPEC)
    insert(rig)
    with pytest.raises(IdentityChanged, match="syncer run --full"):
        rig.sync(SPEC)
    rig.sync(SPEC, mode="full")
    insert(rig)
    rig.sync(SPEC)
    assert rig.in_lake(SPEC, "status") == {("real",): 2, ("sentinel",): 1}


def test_a_role_that_cannot_read_the_sequence_is_not_called_protected(rig: Rig) -> None:
    """It cannot tell a sentinel from the maximum."""
    rig.database.execute(ORDERS)
    insert(rig)
    role = f"reader_{rig.database.name}"
    connect = f"GRANT CONNECT ON DATABASE {rig.database.name} TO {role}"
    rig.database.execute(f"CREATE ROLE {role} LOGIN; {connect}; GRANT SELECT ON orders TO {role}")
    source = PostgresSource("shop", rig.database.dsn_as(role))
    protected = check(rig.sync(SPEC, source=source), "cursor_protected")
    assert (protected.passed, protected.severity) == (False, "WARN")
    assert "GRANT SELECT ON SEQUENCE" in protected.description
    rig.database.execute(f"GRANT SELECT ON SEQUENCE orders_id_seq TO {role}")
    assert check(rig.sync(SPEC, source=source), "cursor_protected").passed
    source.close()
    rig.database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
