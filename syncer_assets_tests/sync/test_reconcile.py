"""Reconcile: whatever made source and warehouse differ is found, and repaired through the lake."""

from dataclasses import replace
from typing import Any

import pytest

from syncer_assets.demo.server import EmbeddedPostgres
from syncer_assets.model.errors import ConfigError, RefusedByGuard
from syncer_assets.model.keys import Keys
from syncer_assets.model.partition import PartitionScheme
from syncer_assets.model.table import ColumnRules, TableSpec
from syncer_assets.sources.base import Read, TableFacts
from syncer_assets.sync.checksum import buckets_of, compare
from syncer_assets.sync.load import load
from syncer_assets.sync.reconcile import Reconciliation, reconcile
from syncer_assets.sync.rules import resolve
from syncer_assets.warehouses.postgres import PostgresWarehouse
from syncer_assets_tests.servers import Database, poll
from syncer_assets_tests.sync.tables import ORDERS, QUICK, Rig, spec_of, transaction

ROWS = """
INSERT INTO orders (status, updated_at)
SELECT 'x' || g, '2024-01-01'::timestamptz + g * interval '1 h' FROM generate_series(1, 100) g
"""
HARD = spec_of(deletes="hard")
SOFT = spec_of(deletes="soft")
BY_ID = spec_of(cursor=["id"], deletes="hard")
COLUMNS = ("id", "status", "updated_at")


def loaded(rig: Rig, spec: TableSpec, rows: str = f"{ORDERS}; {ROWS}") -> None:
    rig.database.execute(rows)
    rig.sync(spec)
    rig.load(spec)


def repaired(rig: Rig, spec: TableSpec, **arguments: Any) -> Reconciliation:
    return reconcile(rig.source, rig.warehouse, spec, rig.target, lake=rig.lake, backoff=QUICK, **arguments)


def assert_equal(rig: Rig, spec: TableSpec) -> None:
    """After one more sync and load, too: they bring what is still to come, and disturb nothing."""
    rig.sync(spec)
    rig.load(spec)
    assert rig.in_warehouse(*COLUMNS) == rig.in_source(spec, *COLUMNS)


@pytest.mark.parametrize("spec", [HARD, BY_ID], ids=["time", "id"])
@pytest.mark.parametrize(
    ("at_the_source", "in_the_warehouse", "repaired_rows", "deleted"),
    [
        ("DELETE FROM orders WHERE id IN (7, 8, 99)", "", 0, 3),
        ("UPDATE orders SET id = -id WHERE id = 99", "", 1, 1),
        ("INSERT INTO orders VALUES (-1000, 'backfilled', '2020-01-01'), (-5, NULL, '2023-01-01')", "", 2, 0),
        ("UPDATE orders SET status = 'clock stood still' WHERE id IN (7, 8)", "", 2, 0),
        ("UPDATE orders SET status = 'from the past', updated_at = '1999-01-01' WHERE id = 7", "", 1, 0),
        ("", "DELETE FROM shop.orders WHERE id > 50", 50, 0),
        ("", "DELETE FROM shop.orders", 100, 0),
        ("", "UPDATE shop.orders SET status = NULL WHERE id % 10 = 0", 10, 0),
        ("", "UPDATE shop.orders SET status = NULL WHERE id % 2 = 1", 50, 0),
        ("", "UPDATE shop.orders SET updated_at = updated_at - interval '1 y' WHERE id = 7", 1, 0),
        ("", "INSERT INTO shop.orders SELECT 1000, 'ours', updated_at, _syncer_captured_at FROM shop.orders LIMIT 1",
         0, 1),
        ("DELETE FROM orders WHERE id = 7", "UPDATE shop.orders SET status = 'y' WHERE id IN (7, 8)", 1, 1),
        ("TRUNCATE orders; " + ROWS.replace("'x'", "'again'"), "", None, 100),
    ],
    ids=[
        "hard deletes", "a changed key", "backfilled below the mark", "an update without its time",
        "an update into the past", "half of the warehouse lost", "all of it lost", "altered by hand",
        "every second altered",
        "its cursor altered by hand", "added by hand", "both", "truncated and reloaded",
    ],
)  # fmt: skip
def test_a_difference_is_found_and_repaired(
    rig: Rig, spec: TableSpec, at_the_source: str, in_the_warehouse: str, repaired_rows: int | None, deleted: int
) -> None:
    spec = replace(spec, max_shrink=1.0)
    loaded(rig, spec)
    rig.database.execute(at_the_source)
    rig.warehouse_db.execute(in_the_warehouse)
    marks = rig.head(spec)
    done = repaired(rig, spec)
    assert done.equal and done.after is not None and not done.left, done.description
    assert not done.before.equal
    assert done.rows_deleted == deleted
    if repaired_rows is not None:
        assert done.rows_repaired == repaired_rows
    assert done.before.rows_missing + done.before.rows_changed == done.rows_repaired
    head = rig.head(spec)
    assert (head.low, head.safe, head.high, head.captures) == (marks.low, marks.safe, marks.high, marks.captures)
    assert head.seq == marks.seq + done.manifests
    assert_equal(rig, spec)
    again = repaired(rig, spec)
    assert again.equal and again.manifests == 0 and again.after is None


def test_soft_deletes_are_marked_and_a_row_that_comes_back_is_alive_again(rig: Rig) -> None:
    loaded(rig, SOFT)
    rig.database.execute(
        "CREATE TABLE bin AS SELECT * FROM orders WHERE id IN (7, 8); DELETE FROM orders WHERE id IN (7, 8)"
    )
    done = repaired(rig, SOFT)
    assert (done.equal, done.rows_deleted) == (True, 2)
    marked = "SELECT id FROM shop.orders WHERE _syncer_deleted_at IS NOT NULL ORDER BY id"
    assert rig.warehouse_db.execute(marked) == [(7,), (8,)]
    assert rig.warehouse_db.scalar("SELECT count(*) FROM shop.orders") == 100
    rig.database.execute("INSERT INTO orders SELECT * FROM bin WHERE id = 7")
    done = repaired(rig, SOFT)
    assert (done.equal, done.before.rows_missing, done.rows_repaired) == (True, 1, 1)
    assert rig.warehouse_db.execute(marked) == [(8,)]


def test_detect_names_what_is_gone_and_ignore_is_silent(rig: Rig) -> None:
    detect, ignore = spec_of(), spec_of(deletes="ignore")
    loaded(rig, detect)
    rig.database.execute("DELETE FROM orders WHERE id = 7; UPDATE orders SET status = 'y' WHERE id = 8")
    done = repaired(rig, detect)
    assert not done.equal and done.after is not None and done.after.rows_extra == 1 and done.rows_repaired == 1
    assert "`deletes: soft` or `hard`" in done.left[0]
    done = repaired(rig, ignore)
    assert done.equal and not done.left and done.rows_deleted == 0
    assert rig.warehouse_db.scalar("SELECT count(*) FROM shop.orders") == 100


def test_without_a_lake_nothing_is_changed(rig: Rig) -> None:
    loaded(rig, HARD)
    rig.database.execute("DELETE FROM orders WHERE id = 7")
    done = reconcile(rig.source, rig.warehouse, HARD, rig.target, keys=3)
    assert (done.equal, done.after, done.before.rows_extra) == (False, None, 1)
    assert done.keys == {"missing": [], "changed": [], "extra": [["7"]]}
    assert len(rig.manifests(HARD)) == 1


def test_each_row_is_repaired_in_its_own_partition(rig: Rig) -> None:
    spec = spec_of(deletes="hard", partitions=PartitionScheme(by="time", every="day", start="2024-01-01"))
    rig.database.execute(f"{ORDERS}; {ROWS}")
    days = [f"2024-01-0{day}" for day in range(1, 6)]
    for day in days:
        rig.sync(spec, day)
        rig.load(spec, day)
    rig.database.execute(
        "UPDATE orders SET status = 'y' WHERE id IN (2, 30);"  # of the first and the second day
        "UPDATE orders SET updated_at = '2024-01-03' WHERE id = 31;"  # moved on into a day that was read
        "DELETE FROM orders WHERE id = 80"
    )
    done = repaired(rig, spec)
    assert done.equal and (done.rows_repaired, done.rows_deleted) == (3, 1)
    modes = {day: [manifest.mode for manifest in rig.manifests(spec, day)] for day in days}
    assert {day for day in days if modes[day][-1] == "repair"} == {days[0], days[1], days[2], days[3]}
    assert rig.in_warehouse(*COLUMNS) == rig.in_source(spec, *COLUMNS)


def test_rows_without_a_cursor_are_repaired_too(rig: Rig) -> None:
    spec = spec_of(deletes="hard", null_cursor="include")
    loaded(rig, spec, "CREATE TABLE orders (id int PRIMARY KEY, status text, updated_at timestamptz)")
    rig.database.execute(
        "INSERT INTO orders SELECT g, 'a', CASE WHEN g % 2 = 0 THEN now() END FROM generate_series(1, 9) g"
    )
    rig.sync(spec)
    rig.load(spec)
    rig.warehouse_db.execute("UPDATE shop.orders SET status = 'y' WHERE id IN (3, 4)")
    rig.database.execute("DELETE FROM orders WHERE id IN (5, 6)")
    done = repaired(rig, spec)
    assert done.equal and (done.rows_repaired, done.rows_deleted) == (2, 2)
    assert_equal(rig, spec)


def test_rows_that_are_not_final_yet_are_carried_and_not_lost(rig: Rig) -> None:
    """A writer pins `safe`: the tail that is read each time stays with the head."""
    loaded(rig, BY_ID)
    with transaction(rig.database, "INSERT INTO orders (status) VALUES ('late')") as late:
        rig.database.execute("INSERT INTO orders (status) VALUES ('not final')")
        rig.sync(BY_ID, writers_open=True)
        rig.database.execute("UPDATE orders SET status = 'y' WHERE id = 7; DELETE FROM orders WHERE id = 8")
        done = repaired(rig, BY_ID)
        assert done.equal and (done.rows_repaired, done.rows_deleted) == (1, 1)
        head = rig.head(BY_ID)
        assert [file.rows for file in head.files if file.provisional] == [1]
        assert rig.in_lake(BY_ID, "status")["not final",] == 1
        assert rig.in_warehouse("status")["not final",] == 1
        late.commit()
    assert_equal(rig, BY_ID)


def test_a_row_above_the_mark_stays_out_of_the_repair(rig: Rig) -> None:
    """It was changed between the comparison and its re-read: it comes with the next sync, as it is then."""
    loaded(rig, HARD)
    rig.warehouse_db.execute("UPDATE shop.orders SET status = 'y' WHERE id IN (7, 8)")

    def touch(event: str, **fields: Any) -> None:
        if event == "compared" and fields["rows_changed"] == 2:
            rig.database.execute("UPDATE orders SET status = 'newer', updated_at = now() WHERE id = 7")

    done = repaired(rig, HARD, emit=touch)
    assert done.equal and done.rows_repaired == 1 and done.after is not None and done.after.rows_pending == 1
    head = rig.head(HARD)
    assert all(file.max <= "2024-01-05T04:00:00.000000Z" for file in head.files if file.max)
    assert_equal(rig, HARD)


def test_a_row_that_came_back_meanwhile_is_not_deleted(rig: Rig) -> None:
    loaded(rig, HARD)
    rig.database.execute(
        "CREATE TABLE bin AS SELECT * FROM orders WHERE id IN (7, 8); DELETE FROM orders WHERE id IN (7, 8)"
    )

    def put_back(event: str, **fields: Any) -> None:
        if event == "compared" and fields["rows_extra"] == 2:
            rig.database.execute("INSERT INTO orders SELECT * FROM bin WHERE id = 7")

    done = repaired(rig, HARD, emit=put_back)
    assert done.equal and done.rows_deleted == 1 and "came back" in done.left[0]
    assert_equal(rig, HARD)


def test_a_row_that_was_loaded_again_meanwhile_is_not_deleted(rig: Rig) -> None:
    """Between the repair's manifest and its load another partition brings the same key, extracted later."""
    spec = spec_of(deletes="hard", partitions=PartitionScheme(by="time", every="day", start="2024-01-01"))
    rig.database.execute(f"{ORDERS}; {ROWS}")
    for day in ("2024-01-01", "2024-01-02"):
        rig.sync(spec, day)
        rig.load(spec, day)
    rig.database.execute("CREATE TABLE bin AS SELECT * FROM orders WHERE id = 7; DELETE FROM orders WHERE id IN (7, 8)")

    def bring_again(event: str, **fields: Any) -> None:
        if event == "repair committed":
            rig.database.execute("INSERT INTO orders SELECT id, status, '2024-01-03' FROM bin")
            rig.sync(spec, "2024-01-03")
            rig.load(spec, "2024-01-03")

    done = repaired(rig, spec, emit=bring_again)
    assert done.equal and done.rows_deleted == 1
    assert rig.warehouse_db.execute("SELECT id FROM shop.orders WHERE id IN (7, 8)") == [(7,)]


def test_a_sync_that_commits_first_wins_and_the_repair_begins_anew(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded(rig, HARD)
    rig.database.execute("DELETE FROM orders WHERE id = 7; UPDATE orders SET status = 'y' WHERE id = 8")
    clock, asked = type(rig.source).clock, []

    def racing(self: Any, table: str, cursor: str | None = None) -> Any:
        if cursor is None and not asked:  # the repair has read the head, and stamps
            asked.append(table)
            rig.database.execute("INSERT INTO orders (status) VALUES ('new')")
            rig.sync(HARD)
        return clock(self, table, cursor)

    monkeypatch.setattr(type(rig.source), "clock", racing)
    done = repaired(rig, HARD)
    assert done.equal and [manifest.mode for manifest in rig.manifests(HARD)] == ["append", "append", "repair"]
    assert_equal(rig, HARD)


def test_rows_of_prefixes_are_repaired_in_theirs_and_others_are_named(rig: Rig) -> None:
    scheme = PartitionScheme(by="prefix", column="status", prefixes=("a", "é"))
    spec = spec_of(cursor=["id"], deletes="hard", partitions=scheme)
    rig.database.execute(
        f"{ORDERS}; INSERT INTO orders (status) SELECT s || g FROM unnest('{{a,é}}'::text[]) s,"
        " generate_series(1, 20) g"
    )
    for key in scheme.prefixes:
        rig.sync(spec, key)
        rig.load(spec, key)
    rig.database.execute("DELETE FROM orders WHERE id = 3")
    rig.warehouse_db.execute(
        "UPDATE shop.orders SET updated_at = now() WHERE id IN (5, 25);"
        "INSERT INTO shop.orders SELECT 1000, 'z', updated_at, _syncer_captured_at FROM shop.orders LIMIT 1"
    )
    done = repaired(rig, spec)
    assert (done.rows_repaired, done.rows_deleted, done.manifests) == (2, 1, 2)
    assert not done.equal and done.left == ["1 rows lie in no partition that was loaded: see `rows_outside_partitions`"]
    rig.warehouse_db.execute("DELETE FROM shop.orders WHERE id = 1000")
    assert repaired(rig, spec).equal


def test_a_row_that_moved_on_meanwhile_stays_out_of_the_partition_that_it_left(rig: Rig) -> None:
    spec = spec_of(deletes="hard", partitions=PartitionScheme(by="time", every="day", start="2024-01-01"))
    rig.database.execute(f"{ORDERS}; {ROWS}")
    for day in ("2024-01-01", "2024-01-02"):
        rig.sync(spec, day)
        rig.load(spec, day)
    rig.warehouse_db.execute("UPDATE shop.orders SET status = 'y' WHERE id IN (30, 31)")

    def move(event: str, **fields: Any) -> None:
        if event == "compared" and fields["rows_changed"] == 2:
            rig.database.execute("UPDATE orders SET updated_at = '2024-01-01 01:00+00' WHERE id = 30")

    done = repaired(rig, spec, emit=move)
    assert [file.rows for file in rig.head(spec, "2024-01-02").files] == [1]
    assert not done.equal and done.after is not None and done.after.rows_changed == 1, (
        "moved without a cursor seeing it"
    )
    assert repaired(rig, spec).equal
    assert rig.head(spec, "2024-01-01").mode == "repair"


def test_hashed_columns_are_hashed_in_a_repair_too(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCER_HASH_KEY", "a key that is long enough")
    spec = replace(HARD, columns=ColumnRules(hash=("status",)))
    loaded(rig, spec)
    hashed = rig.in_warehouse("id", "status")
    rig.warehouse_db.execute("DELETE FROM shop.orders WHERE id = 7")
    done = repaired(rig, spec)
    assert done.equal and done.before.columns_left_out == ("status",)
    assert rig.in_warehouse("id", "status") == hashed and ("7", "x7") not in hashed


def test_more_deletes_than_max_shrink_are_refused_and_nothing_is_changed(rig: Rig) -> None:
    loaded(rig, HARD)
    rig.database.execute("DELETE FROM orders WHERE id <= 40; UPDATE orders SET status = 'y' WHERE id = 50")
    with pytest.raises(RefusedByGuard, match="40 of 100 rows would be deleted"):
        repaired(rig, HARD)
    assert rig.warehouse_db.scalar("SELECT count(*) FROM shop.orders WHERE status = 'x50'") == 1
    assert repaired(rig, replace(HARD, max_shrink=0.4)).equal


def test_more_differences_than_a_repair_should_touch_are_refused(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncer_assets.sync.differences.ROWS_KEPT", 49)
    loaded(rig, HARD)
    rig.warehouse_db.execute("DELETE FROM shop.orders WHERE id <= 50")
    with pytest.raises(RefusedByGuard, match="syncer run --full"):
        repaired(rig, HARD)
    assert rig.warehouse_db.scalar("SELECT count(*) FROM shop.orders") == 50
    assert reconcile(rig.source, rig.warehouse, HARD, rig.target).before.rows_missing == 50


def test_many_differing_buckets_are_looked_at_in_parts(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncer_assets.sync.differences.ROWS_AT_ONCE", 10)
    monkeypatch.setattr("syncer_assets.sync.repair.KEYS_A_QUERY", 7)
    loaded(rig, replace(HARD, max_shrink=1.0))
    asked: list[int] = []
    key_rows = type(rig.source).key_rows

    def counting(self: Any, *arguments: Any) -> Any:
        answer = key_rows(self, *arguments)
        asked.append(answer.num_rows)
        return answer

    monkeypatch.setattr(type(rig.source), "key_rows", counting)
    rig.database.execute("DELETE FROM orders WHERE id % 3 = 0; UPDATE orders SET status = 'y' WHERE id % 3 = 1")
    done = repaired(rig, replace(HARD, max_shrink=1.0))
    assert done.equal and (done.rows_repaired, done.rows_deleted) == (34, 33)
    assert max(asked) <= 10 and len(asked) > 10
    assert_equal(rig, HARD)


@pytest.mark.parametrize(
    ("key", "changed"),
    [
        ("(a uuid, b text, c int)", "INSERT INTO orders (a, b, c) VALUES (gen_random_uuid(), E'\\n\\',\"', 5)"),
        (
            "(a timestamptz, b numeric, c date)",
            "INSERT INTO orders (a, b, c) VALUES ('2024-01-01', 1.50, '2024-01-01')",
        ),
        ("(a bytea, b inet, c boolean)", "INSERT INTO orders (a, b, c) VALUES ('\\x00ff', '10.0.0.1/8', true)"),
        ("(a char(4), b double precision, c varchar(9))", "INSERT INTO orders (a, b, c) VALUES ('é', 0.1, '')"),
        (
            "(a bigint, b mood, c timestamp)",
            "INSERT INTO orders (a, b, c) VALUES (-5, 'fine', '2024-01-01 00:00:00.5')",
        ),
    ],
)
def test_rows_are_found_by_keys_of_any_type(rig: Rig, key: str, changed: str) -> None:
    rest = "status text DEFAULT 'a', updated_at timestamptz NOT NULL DEFAULT '2024-01-01', PRIMARY KEY (a, b, c)"
    rig.database.execute(f"CREATE TYPE mood AS ENUM ('fine'); CREATE TABLE orders ({key[1:-1]}, {rest}); {changed}")
    rig.sync(HARD)
    rig.load(HARD)
    rig.database.execute("UPDATE orders SET status = 'changed'; UPDATE orders SET updated_at = '2024-01-01'")
    done = repaired(rig, HARD)
    assert done.equal and (done.before.rows_changed, done.rows_repaired) == (1, 1)
    rig.database.execute("CREATE TABLE bin AS SELECT * FROM orders; DELETE FROM orders")
    done = repaired(rig, replace(HARD, max_shrink=1.0))
    assert done.equal and done.rows_deleted == 1
    rig.database.execute("INSERT INTO orders SELECT * FROM bin")
    done = repaired(rig, HARD)
    assert done.equal and done.rows_repaired == 1
    assert rig.in_warehouse("status") == rig.in_source(HARD, "status")


def test_a_table_that_is_read_whole_is_repaired_where_its_own_sync_sees_no_news(rig: Rig) -> None:
    spec = spec_of(cursor=(), load="replace")
    loaded(rig, spec)
    rig.warehouse_db.execute(
        "DELETE FROM shop.orders WHERE id = 7; UPDATE shop.orders SET status = 'y' WHERE id = 8;"
        "INSERT INTO shop.orders SELECT 1000, 'ours', updated_at, _syncer_captured_at FROM shop.orders LIMIT 1"
    )
    assert rig.sync(spec).nothing_new
    done = repaired(rig, spec)
    assert done.equal and (done.rows_repaired, done.rows_deleted) == (2, 1)
    assert_equal(rig, spec)


def test_an_append_target_with_a_key_is_repaired(rig: Rig) -> None:
    spec = spec_of(cursor=["id"], load="append", deletes="soft")
    loaded(rig, spec)
    rig.database.execute("UPDATE orders SET status = 'y' WHERE id = 7; DELETE FROM orders WHERE id = 8")
    rig.warehouse_db.execute("DELETE FROM shop.orders WHERE id = 9")
    done = repaired(rig, spec)
    assert done.equal and (done.rows_repaired, done.rows_deleted) == (2, 1)


@pytest.mark.parametrize(("load", "way_out"), [("append", "empty the target"), ("replace", "syncer run --full")])
def test_a_table_without_a_key_is_named_with_its_way_out(rig: Rig, load: Any, way_out: str) -> None:
    spec = spec_of(cursor=["updated_at"] if load == "append" else (), load=load)
    rig.database.execute("CREATE TABLE orders (status text, updated_at timestamptz NOT NULL DEFAULT '2024-01-01')")
    rig.database.execute("INSERT INTO orders VALUES ('a'), ('b')")
    rig.sync(spec)
    rig.load(spec)
    rig.warehouse_db.execute("UPDATE shop.orders SET status = 'c' WHERE status = 'a'")
    done = repaired(rig, spec)
    assert not done.equal and way_out in done.left[0] and done.manifests == 0


@pytest.mark.parametrize("deletes", ["soft", "hard"])
def test_deletes_need_a_key_by_which_rows_are_found(rig: Rig, deletes: Any) -> None:
    rig.database.execute("CREATE TABLE orders (status text, updated_at timestamptz NOT NULL DEFAULT now())")
    with pytest.raises(ConfigError, match=f"`deletes: {deletes}` needs a key"):
        rig.sync(spec_of(load="append", deletes=deletes))


def test_changed_columns_are_synced_before_they_are_repaired(rig: Rig) -> None:
    loaded(rig, HARD)
    rig.database.execute("ALTER TABLE orders DROP COLUMN status; DELETE FROM orders WHERE id = 7")
    with pytest.raises(ConfigError, match="sync it once"):
        repaired(rig, HARD)


def test_nothing_that_is_repaired_is_told_by_key(rig: Rig) -> None:
    loaded(rig, HARD)
    rig.database.execute("DELETE FROM orders WHERE id = 7; UPDATE orders SET status = 'personal' WHERE id = 77")
    told: list[str] = []
    done = repaired(rig, HARD, emit=lambda event, **fields: told.append(f"{event} {fields}"))
    texts = " ".join([*told, done.description, *done.left])
    assert done.equal and "personal" not in texts and "77" not in texts


@pytest.mark.parametrize("first", ["source", "warehouse"])
def test_a_row_that_is_merely_newer_is_no_difference(rig: Rig, first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are inserted, synced and loaded between the looks at the two sides, and once more before the first."""
    loaded(rig, HARD)
    rig.database.execute("UPDATE orders SET status = 'y' WHERE id = 7")
    classes = {"source": type(rig.source), "warehouse": type(rig.warehouse)}
    asked: list[str] = []

    def hook(name: str) -> None:
        key_rows = classes[name].key_rows

        def moving(self: Any, *arguments: Any) -> Any:
            if name == first or not asked:
                rig.database.execute("INSERT INTO orders (status) SELECT 'new' FROM generate_series(1, 500)")
                rig.sync(HARD)
                rig.load(HARD)
            asked.append(name)
            return key_rows(self, *arguments)

        monkeypatch.setattr(classes[name], "key_rows", moving)

    hook("source")
    hook("warehouse")
    found = compare(rig.source, rig.warehouse, HARD, rig.target)
    assert asked == ["warehouse", "source"]
    assert (found.rows_missing, found.rows_changed, found.rows_extra) == (0, 1, 0)


def test_equal_tables_cost_one_scan_a_side(rig: Rig) -> None:
    loaded(rig, HARD)

    def scans(database: Database, table: str) -> int:
        return database.scalar("SELECT seq_scan + idx_scan FROM pg_stat_user_tables WHERE relname = %s", [table])

    def settled() -> tuple[int, int]:
        rig.source.close()
        rig.warehouse.close()  # a session tells its counts when it ends
        return scans(rig.database, "orders"), scans(rig.warehouse_db, "orders")

    before = settled()
    assert repaired(rig, HARD).equal
    after = (before[0] + 1, before[1] + 1)
    assert poll(lambda: settled() if settled() == after else None, 60) == after
    assert poll(settled, 60) == after, "and no more"


@pytest.mark.parametrize(
    ("rows", "megabytes", "buckets"), [(10, 1, 17), (1_000_000, 100, 997), (10**9, 10**5, 16_381), (-1, 200, 1039)]
)
def test_the_buckets_grow_with_the_table(rows: int, megabytes: int, buckets: int) -> None:
    """Of a table that was never analysed, with its size on disk."""
    facts = TableFacts("orders", (), (), (), rows, megabytes * 1024 * 1024, ())
    assert buckets_of(facts) == buckets


@pytest.mark.parametrize("key", ["id bigint PRIMARY KEY", "id text PRIMARY KEY", "id int, b uuid, PRIMARY KEY (id, b)"])
def test_an_index_serves_the_reads_by_key(rig: Rig, key: str) -> None:
    value = "gen_random_uuid(), now()" if "uuid" in key else "now()"
    rig.database.execute(f"CREATE TABLE orders (updated_at timestamptz, {key})")
    rig.database.execute(
        f"INSERT INTO orders (id{', b' if 'uuid' in key else ''}, updated_at)"
        f" SELECT g, {value} FROM generate_series(1, 50000) g"
    )
    with rig.database.connect() as connection:
        connection.execute("VACUUM ANALYZE orders")
    resolved = resolve(HARD, rig.source.describe("public.orders"))
    columns = tuple(column.column for column in resolved.read if column.column.name in resolved.key)
    names = ", ".join(f"{column.name}::text" for column in columns)
    texts = tuple(zip(*rig.database.execute(f"SELECT {names} FROM orders WHERE id::text LIKE '%777'"), strict=True))
    read = Read("public.orders", resolved.read, resolved.order, HARD.cursor, keys=Keys(columns, texts))
    assert rig.source.explain(read).index == "orders_pkey"
    assert sum(batch.num_rows for batch in rig.source.read(read)) == len(texts[0]) == 50


def test_a_second_warehouse_that_lags_behind_loads_rows_and_their_deletes_in_one_go(
    rig: Rig, postgres: EmbeddedPostgres
) -> None:
    """It gets the rows and the news that they are gone together: they must not stay."""
    loaded(rig, HARD)
    rig.database.execute("DELETE FROM orders WHERE id IN (7, 9); UPDATE orders SET status = 'y' WHERE id = 8")
    assert repaired(rig, HARD).equal
    rig.database.execute("INSERT INTO orders VALUES (7, 'again', now())")
    rig.sync(HARD)
    other = Database.create(postgres, "warehouse")
    warehouse = PostgresWarehouse("other", other.dsn)
    try:
        report = load(rig.lake, warehouse, HARD, rig.target, backoff=QUICK)
        assert (report.manifests, report.rows_stale + report.rows_deduplicated) == (3, 3)
        assert other.execute("SELECT id, status FROM shop.orders WHERE id IN (7, 8, 9) ORDER BY id") == [
            (7, "again"),
            (8, "y"),
        ]
        assert other.scalar("SELECT count(*) FROM shop.orders") == 99
    finally:
        warehouse.close()
        other.drop()
