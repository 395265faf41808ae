"""A full refresh that puts a new table in the place of the old one: nobody notices, and nothing is left behind."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from syncer_assets.model.errors import DbError, LostRace, RefusedByGuard
from syncer_assets.model.table import RefreshSettings
from syncer_assets.warehouses.postgres import load, refresh, swap
from syncer_assets_tests.servers import Database
from syncer_assets_tests.warehouses.postgres.plans import Extraction, Loads, whole_table

SWAP = RefreshSettings("swap")
LEFT = "SELECT count(*) FROM pg_class WHERE relname LIKE '\\_syncer\\_new%' OR relname LIKE '\\_syncer\\_old%'"

LONGEST_SECONDS = 10.0
"""A count that waits for a swap: half a second and the machine's other work; without that limit, it would be 30."""

FURNISHED = """
CREATE INDEX "by ""status"" USING x" ON shop.orders (status) WHERE amount > 1;
CREATE UNIQUE INDEX pair ON shop.orders (id, status) INCLUDE (amount) NULLS NOT DISTINCT;
CREATE INDEX lowered ON shop.orders (lower(status));
ALTER INDEX shop.lowered ALTER COLUMN 1 SET STATISTICS 17;
CREATE TABLE shop.statuses (status text PRIMARY KEY);
INSERT INTO shop.statuses VALUES ('a'), ('b');
ALTER TABLE shop.orders ADD CONSTRAINT known FOREIGN KEY (status) REFERENCES shop.statuses;
ALTER TABLE shop.orders ADD CONSTRAINT positive CHECK (amount IS NULL OR amount >= 0);
ALTER TABLE shop.orders ADD CONSTRAINT once UNIQUE (id, amount) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE shop.orders ADD CONSTRAINT alone EXCLUDE USING btree (id WITH =);
ALTER TABLE shop.orders SET (fillfactor = 71, autovacuum_vacuum_scale_factor = 0.03, toast.autovacuum_enabled = false);
ALTER TABLE shop.orders ALTER status SET STATISTICS 55, ALTER status SET (n_distinct = 3);
ALTER TABLE shop.orders ALTER status SET STORAGE EXTERNAL;
ALTER TABLE shop.orders CLUSTER ON pair;
CREATE UNIQUE INDEX identity ON shop.orders (id);
ALTER TABLE shop.orders REPLICA IDENTITY USING INDEX identity;
CREATE STATISTICS shop.together (dependencies, mcv) ON id, status FROM shop.orders;
GRANT SELECT, INSERT ON shop.orders TO {reader} WITH GRANT OPTION;
GRANT UPDATE (status) ON shop.orders TO PUBLIC;
CREATE POLICY mine ON shop.orders FOR SELECT TO {reader} USING (id > 0);
ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY;
CREATE PUBLICATION {publication} FOR TABLE shop.orders (id, status) WHERE (id > 5);
CREATE VIEW shop.seen WITH (security_barrier) AS SELECT o.id, o.status FROM shop.orders o WHERE o.id > 1;
CREATE VIEW shop.seen_twice AS SELECT * FROM shop.seen;
GRANT SELECT ON shop.seen TO {reader};
COMMENT ON TABLE shop.orders IS 'it''s ours';
COMMENT ON COLUMN shop.orders.status IS 'column';
COMMENT ON INDEX shop.pair IS 'index';
COMMENT ON CONSTRAINT positive ON shop.orders IS 'constraint';
COMMENT ON POLICY mine ON shop.orders IS 'policy';
COMMENT ON STATISTICS shop.together IS 'statistics';
COMMENT ON VIEW shop.seen IS 'view';
CREATE FUNCTION shop.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER told AFTER DELETE ON shop.orders FOR EACH STATEMENT EXECUTE FUNCTION shop.nothing();
ALTER TABLE shop.orders ENABLE ALWAYS TRIGGER told;
COMMENT ON TRIGGER told ON shop.orders IS 'trigger';
REVOKE TRIGGER ON shop.orders FROM {owner};
"""

TRIGGER = """
CREATE FUNCTION shop.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER told AFTER DELETE ON shop.orders FOR EACH STATEMENT EXECUTE FUNCTION shop.nothing();
ALTER TABLE shop.orders ENABLE ALWAYS TRIGGER told;
REVOKE TRIGGER ON shop.orders FROM CURRENT_USER;
"""


@pytest.fixture
def roles(warehouse_db: Database) -> Iterator[dict[str, str]]:
    reader, publication = f"reader_{warehouse_db.name}", f"publication_{warehouse_db.name}"
    warehouse_db.execute(f"CREATE ROLE {reader}")
    yield {"reader": reader, "publication": publication, "owner": warehouse_db.role}
    warehouse_db.execute(f"DROP OWNED BY {reader}; DROP ROLE {reader}")


def rows(database: Database) -> list[tuple[Any, ...]]:
    return database.execute("SELECT id, status FROM shop.orders ORDER BY id")


def oid(database: Database) -> int:
    return database.scalar("SELECT 'shop.orders'::regclass::oid")


def catalogue(database: Database) -> dict[tuple[str, str], str]:
    with database.connect(autocommit=False) as connection:
        connection.execute("SET LOCAL search_path = ''")
        connection.cursor_factory = psycopg.RawCursor
        return swap.catalogue_of(connection, oid(database))


def test_everything_that_the_catalogue_says_is_as_before(
    orders: Loads, warehouse_db: Database, roles: dict[str, str]
) -> None:
    orders.load([(n, "a") for n in range(20)], delete_missing=whole_table(1))
    warehouse_db.grant("CREATE ON DATABASE")  # publications ask for it
    with warehouse_db.connect(role=warehouse_db.role) as owner:
        owner.execute(FURNISHED.format(**roles).encode())
    before, old = catalogue(warehouse_db), oid(warehouse_db)
    assert {kind for kind, _ in before} == {
        *("table", "grant", "column", "constraint", "index", "trigger", "policy", "statistics", "publication", "view")
    }
    report = orders.load([(n, "b") for n in range(20)], delete_missing=whole_table(2), mode="replace", refresh=SWAP)
    assert (report.how, report.refresh_reason, report.rows_updated) == ("swap", "refresh: swap", 20)
    assert oid(warehouse_db) != old
    assert catalogue(warehouse_db) == before
    assert warehouse_db.scalar("SELECT count(*) FROM shop.seen_twice WHERE status = 'b'") == 18
    assert warehouse_db.scalar(LEFT) == 0
    again = orders.load([(n, "a") for n in range(20)], delete_missing=whole_table(3), mode="replace")
    assert (again.how, again.rows_updated) == ("diff", 20), "the ledger knows the new table"


def test_an_owner_that_revoked_a_privilege_from_itself_is_no_obstacle(orders: Loads, warehouse_db: Database) -> None:
    """A superuser would not notice: what needs the privilege comes before the grants."""
    orders.load([(n, "a") for n in range(20)], delete_missing=whole_table(1))
    with warehouse_db.connect(role=warehouse_db.role) as owner:
        owner.execute(TRIGGER.encode())
    before = catalogue(warehouse_db)
    report = orders.load([(n, "b") for n in range(20)], delete_missing=whole_table(2), mode="replace", refresh=SWAP)
    assert (report.how, report.rows_updated) == ("swap", 20), report.refresh_reason
    assert catalogue(warehouse_db) == before


def test_counts_deletes_and_duplicates_are_those_of_a_diff(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(1, "a"), (2, "a"), (3, "a"), (9, "a")], delete_missing=whole_table(1))
    warehouse_db.execute("UPDATE shop.orders SET _syncer_deleted_at = now() WHERE id = 9")
    report = orders.load(
        [(1, "a"), (2, "x"), (2, "b"), (4, "a")],
        delete_missing=whole_table(2, max_shrink=0.5), mode="replace", refresh=SWAP,
    )  # fmt: skip
    counts = (report.rows_inserted, report.rows_updated, report.rows_unchanged, report.rows_deleted)
    assert (report.how, *counts, report.rows_deduplicated) == ("swap", 1, 1, 1, 1, 1)
    assert rows(warehouse_db) == [(1, "a"), (2, "b"), (4, "a"), (9, "a")]
    assert warehouse_db.execute("SELECT id FROM shop.orders WHERE _syncer_deleted_at IS NOT NULL") == [(9,)]


@pytest.mark.parametrize("key", [("id",), ()])
def test_auto_swaps_where_most_rows_changed_and_says_why(
    orders: Loads, warehouse_db: Database, key: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "ROWS_LEAST", 10)
    orders.key, orders.load_kind = key, "replace"
    orders.load([(n, "a") for n in range(20)], delete_missing=whole_table(1))
    report = orders.load(
        [(n, "a" if n < 15 else "b") for n in range(20)], delete_missing=whole_table(2), mode="replace"
    )
    assert report.how == "diff"
    assert report.refresh_reason.endswith("of 20 rows changed, not more than swap_above 0.5")
    rule = whole_table(3, max_shrink=1.0)
    report = orders.load([(n, "c") for n in range(20)], delete_missing=rule, mode="replace")
    assert (report.how, report.refresh_reason[-37:]) == ("swap", "% of 20 rows changed, above swap_above"[-37:])
    assert rows(warehouse_db) == [(n, "c") for n in range(20)]


def test_a_small_table_is_written_in_place(orders: Loads) -> None:
    orders.load([(n, "a") for n in range(20)], delete_missing=whole_table(1))
    report = orders.load([(n, "b") for n in range(20)], delete_missing=whole_table(2), mode="replace")
    assert (report.how, report.refresh_reason) == ("diff", "100% of 20 rows changed: a small table")


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("CREATE TABLE shop.lines (id bigint REFERENCES shop.orders)", "a foreign key points to it"),
        ("CREATE MATERIALIZED VIEW shop.mat AS SELECT * FROM shop.orders", "a materialised view reads it"),
        ("CREATE TABLE shop.child () INHERITS (shop.orders)", "it inherits, or is inherited from"),
        ("CREATE TABLE shop.history (old shop.orders)", "its row type is used"),
        ("CREATE RULE nothing AS ON DELETE TO shop.orders DO ALSO NOTIFY x", "it has rules"),
        ("ALTER TABLE shop.orders ADD COLUMN own serial", "it has columns that do not come from the source (own)"),
        (
            "CREATE FUNCTION shop.many() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM shop.orders; END",
            "a function or a policy of another table uses it",
        ),
    ],
)
def test_what_cannot_be_carried_over_is_written_in_place(
    orders: Loads, warehouse_db: Database, statement: str, reason: str
) -> None:
    orders.load([(n, "a") for n in range(20)], delete_missing=whole_table(1))
    warehouse_db.execute(statement)
    old = oid(warehouse_db)
    report = orders.load([(n, "b") for n in range(20)], delete_missing=whole_table(2), mode="replace", refresh=SWAP)
    assert (report.how, report.refresh_reason) == ("diff", f"100% of 20 rows changed, but {reason}")
    assert oid(warehouse_db) == old


def test_a_difference_that_nobody_foresaw_keeps_the_old_table(
    orders: Loads, warehouse_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The catalogue is compared before COMMIT: here a grant is not carried over."""
    orders.load([(n, "a") for n in range(20)], delete_missing=whole_table(1))
    warehouse_db.execute("GRANT SELECT ON shop.orders TO PUBLIC")
    old, before = oid(warehouse_db), catalogue(warehouse_db)
    without = swap.CARRY_SQL.replace(b"SELECT 10, format('GRANT", b"SELECT 10, format('--")
    assert without != swap.CARRY_SQL
    monkeypatch.setattr(swap, "CARRY_SQL", without)
    report = orders.load([(n, "b") for n in range(20)], delete_missing=whole_table(2), mode="replace", refresh=SWAP)
    assert report.how == "diff"
    assert "no swap: grant " in report.refresh_reason
    assert (oid(warehouse_db), catalogue(warehouse_db), warehouse_db.scalar(LEFT)) == (old, before, 0)
    assert rows(warehouse_db) == [(n, "b") for n in range(20)]


def test_a_long_reader_is_not_queued_behind_and_its_table_stays(
    orders: Loads, warehouse_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "SWAP_PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(load, "SWAP_PAUSE_SECONDS", 0.1)
    orders.load([(n, "a") for n in range(20)], delete_missing=whole_table(1))
    old = oid(warehouse_db)
    waits: list[float] = []
    with warehouse_db.connect(autocommit=False) as reader, _polling(warehouse_db, waits):
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        assert reader.execute("SELECT count(*) FROM shop.orders WHERE status = 'a'").fetchone() == (20,)
        report = orders.load([(n, "b") for n in range(20)], delete_missing=whole_table(2), mode="replace", refresh=SWAP)
        assert reader.execute("SELECT count(*) FROM shop.orders WHERE status = 'a'").fetchone() == (20,)
    assert report.how == "diff"
    assert report.refresh_reason.startswith("refresh: swap, but no swap: a transaction that began before is still open")
    assert (oid(warehouse_db), warehouse_db.scalar(LEFT)) == (old, 0)
    assert waits and max(waits) < LONGEST_SECONDS


def test_no_snapshot_sees_an_empty_table(
    orders: Loads, warehouse_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that has a snapshot but has not touched the table holds no lock that could stop a swap."""
    orders.load([(n, "a") for n in range(20)], delete_missing=whole_table(1))
    with warehouse_db.connect(autocommit=False) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT 1")
        monkeypatch.setattr(load, "SWAP_PATIENCE_SECONDS", 1.0)
        report = orders.load([(n, "b") for n in range(20)], delete_missing=whole_table(2), mode="replace", refresh=SWAP)
        assert reader.execute("SELECT count(*) FROM shop.orders WHERE status = 'a'").fetchone() == (20,)
    assert report.how == "diff"


def test_a_reader_that_comes_later_is_waited_for_without_a_queue(
    orders: Loads, warehouse_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It got its lock after the new table was filled; others go on meanwhile, and the swap comes when it has ended."""
    monkeypatch.setattr(load, "SWAP_PAUSE_SECONDS", 0.1)
    orders.load([(n, "a") for n in range(20)], delete_missing=whole_table(1))
    waits: list[float] = []
    reader = warehouse_db.connect(autocommit=False)
    tried: list[str] = []

    def on(event: str, **fields: Any) -> None:
        if event == "shadow ready":
            reader.execute("SELECT count(*) FROM shop.orders")
        elif event == "Readers hold the table, swapping later":
            tried.append(event)
            if len(tried) == 2:
                reader.close()

    with _polling(warehouse_db, waits):
        rule = whole_table(2)
        new = [(n, "b") for n in range(20)]
        report = orders.load(new, delete_missing=rule, mode="replace", refresh=SWAP, emit=on)
    assert (report.how, len(tried)) == ("swap", 2)
    assert max(waits) < LONGEST_SECONDS


def test_a_killed_build_is_cleared_away_by_the_next_load(
    orders: Loads, warehouse_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders.load([(n, "a") for n in range(20)], delete_missing=whole_table(1))

    def kill(_: object, connection: psycopg.Connection, *__: object) -> None:
        warehouse_db.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))

    monkeypatch.setattr(swap, "_index", kill)
    with pytest.raises(DbError):
        orders.load([(n, "b") for n in range(20)], delete_missing=whole_table(2), mode="replace", refresh=SWAP)
    assert warehouse_db.scalar(LEFT) == 1
    assert rows(warehouse_db) == [(n, "a") for n in range(20)]
    monkeypatch.undo()
    report = orders.load([(n, "b") for n in range(20)], delete_missing=whole_table(2), mode="replace")
    assert (report.how, warehouse_db.scalar(LEFT)) == ("diff", 0)


def test_rows_of_a_later_extraction_stay(orders: Loads, warehouse_db: Database) -> None:
    """A new table would have the rows of this re-read only."""
    orders.load([(n, "a") for n in range(20)], captured=10)
    orders.load([(99, "later")], captured=30)
    rule = whole_table(20, max_shrink=1.0)
    report = orders.load([(n, "b") for n in range(20)], 20, delete_missing=rule, mode="replace", refresh=SWAP)
    assert (report.how, report.refresh_reason.endswith("it has rows of a later extraction")) == ("diff", True)
    assert (99, "later") in rows(warehouse_db)


def test_the_same_rows_again_are_no_reason_for_a_new_table(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(n, "a") for n in range(20)], delete_missing=whole_table(1))
    old = oid(warehouse_db)
    report = orders.load([(n, "a") for n in range(20)], delete_missing=whole_table(2), mode="replace", refresh=SWAP)
    assert (report.how, report.refresh_reason, oid(warehouse_db)) == ("diff", "nothing changed", old)


def test_an_index_that_cannot_be_built_anew_keeps_the_old_table(orders: Loads, warehouse_db: Database) -> None:
    """Its function looks a table up by a name without its schema, as indexes are not built any more."""
    orders.load([(n, "a") for n in range(20)], delete_missing=whole_table(1))
    warehouse_db.execute(
        "CREATE FUNCTION shop.helper(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1';"
        "CREATE FUNCTION shop.named(text) RETURNS text IMMUTABLE LANGUAGE plpgsql SET search_path = shop AS"
        " 'BEGIN RETURN helper($1); END'; CREATE INDEX ON shop.orders (shop.named(status));"
        "ALTER FUNCTION shop.named(text) RESET search_path"
    )
    old = oid(warehouse_db)
    report = orders.load([(1, "a")], delete_missing=whole_table(2, max_shrink=1.0), mode="replace", refresh=SWAP)
    assert report.how == "diff"
    assert "an index of it cannot be built anew" in report.refresh_reason
    assert oid(warehouse_db) == old


def test_of_two_swaps_the_later_wins_and_the_other_touches_nothing_of_it(orders: Loads, warehouse_db: Database) -> None:
    """As a process does that was stopped in the midst of it, and goes on when another has taken over."""
    orders.load([(n, "a") for n in range(20)], delete_missing=whole_table(1))
    overtaken = orders.plan([Extraction([(n, "b") for n in range(20)], mode="replace")], delete_missing=whole_table(2))
    taken_over: list[int] = []

    def on(event: str, **fields: Any) -> None:
        if event == "shadow ready" and not taken_over:
            taken_over.append(1)
            orders.load([(n, "c") for n in range(20)], delete_missing=whole_table(2), mode="replace", refresh=SWAP)

    with pytest.raises(LostRace):
        orders.warehouse.load(replace(overtaken, refresh=SWAP, emit=on))
    assert rows(warehouse_db) == [(n, "c") for n in range(20)]
    assert warehouse_db.scalar(LEFT) == 0


def test_an_overtaken_load_that_clears_up_leaves_the_winners_new_table(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(n, "a") for n in range(20)], delete_missing=whole_table(1))
    old = oid(warehouse_db)

    def on(event: str, **fields: Any) -> None:
        if event == "shadow ready":
            with warehouse_db.connect() as connection:
                connection.cursor_factory = psycopg.RawCursor
                epoch = warehouse_db.scalar("SELECT epoch FROM _syncer.targets")
                swap.drop(connection, orders.target, old, epoch - 1)

    new = [(n, "b") for n in range(20)]
    assert orders.load(new, delete_missing=whole_table(2), mode="replace", refresh=SWAP, emit=on).how == "swap"


def test_the_guard_comes_before_the_new_table(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(n, "a") for n in range(20)], delete_missing=whole_table(1))
    for few in ([], [(1, "b")]):
        with pytest.raises(RefusedByGuard):
            orders.load(few, delete_missing=whole_table(2, max_shrink=0.3), mode="replace", refresh=SWAP)
    assert rows(warehouse_db) == [(n, "a") for n in range(20)]


class _polling:  # noqa: N801  # reads as a word of the `with` statement
    """A reader that counts again and again, and how long each of its counts took."""

    def __init__(self, database: Database, waits: list[float]):
        self._database, self._waits, self._stop = database, waits, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with self._database.connect() as connection:
            while not self._stop.is_set():
                began = time.monotonic()
                row = connection.execute("SELECT count(*) FROM shop.orders").fetchone()
                assert row == (20,)
                self._waits.append(time.monotonic() - began)
