"""Keyed updates from a double of Snowflake into a real PostgreSQL: what arrives, what is left alone, what is told."""

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from syncer_assets.model.errors import AssertionFailed, ConfigError, DbError, LostRace, SchemaChanged, SyncError
from syncer_assets.model.keyed_update import BatchSettings, RollingWindow
from syncer_assets.warehouses.postgres import keyed_write
from syncer_assets_tests.servers import Database, poll
from syncer_assets_tests.sources.snowflake.double import House
from syncer_assets_tests.sync.keyed import INDEXED, ROWS, SPEC, Visits


@pytest.fixture
def visits(house: House, warehouse_db: Database) -> Visits:
    return Visits.create(house, warehouse_db)


def test_every_row_is_as_the_source_has_it(visits: Visits) -> None:
    report = visits.update()
    counts = report.counts
    assert (counts.fetched, counts.updated, counts.unchanged, counts.unmatched) == (ROWS, ROWS, 0, 0)
    assert visits.different() == 0
    row = visits.database.execute("SELECT doc, updated_at, note FROM visits WHERE visit_id = 42")[0]
    assert (row[0], row[1].isoformat(), row[2]) == ({"a": 42}, "2026-01-01T00:42:00", "kept")
    assert report.batches > report.workers > 1
    assert [check.name for check in report.checks if not check.passed] == []


def test_rows_that_did_not_change_are_not_written(visits: Visits) -> None:
    visits.update()
    places = visits.database.execute("SELECT visit_id, ctid::text FROM visits ORDER BY 1")
    visits.house.double.duckdb(f"UPDATE {visits.house.name}.PUBLIC.VISITS SET STATUS = 'new' WHERE VISIT_ID % 10 = 0")
    report = visits.update()
    moved = visits.database.execute("SELECT visit_id, ctid::text FROM visits ORDER BY 1")
    changed = {i for (i, before), (_, after) in zip(places, moved, strict=True) if before != after}
    assert changed == {i for i in range(1, ROWS + 1) if i % 10 == 0}
    assert (report.counts.updated, report.counts.unchanged) == (ROWS // 10, ROWS - ROWS // 10)
    assert visits.update().counts.updated == 0


def test_a_null_takes_the_place_of_a_value_and_back(visits: Visits) -> None:
    visits.update()
    table = f"{visits.house.name}.PUBLIC.VISITS"
    visits.house.double.duckdb(f"UPDATE {table} SET STATUS = NULL, UPDATED_AT = NULL, DOC = NULL WHERE VISIT_ID = 7")
    assert visits.update().counts.updated == 1
    row = visits.database.execute("SELECT status, updated_at, doc FROM visits WHERE visit_id = 7")[0]
    assert row == (None, None, None)
    visits.house.double.duckdb(f"UPDATE {table} SET STATUS = 'back' WHERE VISIT_ID = 7")
    assert visits.update().counts.updated == 1


def test_keys_that_the_table_lacks_are_counted_and_not_made(visits: Visits) -> None:
    visits.database.execute("DELETE FROM visits WHERE visit_id <= 25")
    report = visits.update()
    assert (report.counts.updated, report.counts.unmatched) == (ROWS - 25, 25)
    assert visits.database.scalar("SELECT count(*) FROM visits") == ROWS - 25


def test_a_key_that_several_rows_of_the_table_have_updates_them_all(visits: Visits) -> None:
    visits.database.execute("DROP INDEX visits_visit_id_idx; INSERT INTO visits (visit_id) VALUES (5), (5)")
    report = visits.update()
    assert (report.counts.updated, report.counts.target_rows) == (ROWS, ROWS + 2)
    assert visits.different() == 0
    assert [check.name for check in report.checks if not check.passed] == ["key_indexed"]


def test_a_duplicate_key_within_a_batch_stops_it_by_its_column_s_name(visits: Visits) -> None:
    spec = replace(SPEC, prefix_column="VISIT_ID", length=1, batch=BatchSettings(rows=10_000))
    visits.house.fill("VISITS", "SELECT 424242, 'SSN000000001', 's', 1, current_date, NULL, NULL FROM range(2)")
    with pytest.raises(AssertionFailed, match=r"1 keys \(visit_id\) have several rows") as raised:
        visits.update(spec)
    assert "424242" not in str(raised.value)
    assert visits.database.scalar("SELECT count(*) FROM visits WHERE status = '424242'") == 0


def test_keys_that_are_one_in_the_table_s_type_stop_the_batch(visits: Visits) -> None:
    """Texts `7` and `07` are one integer: which of the rows is right cannot be told."""
    visits.house.fill("VISITS", "SELECT 7, '007', 's', 1, current_date, NULL, NULL FROM range(1)")
    query = (
        "SELECT v.*, CASE WHEN v.SSN = '007' THEN '07' ELSE CAST(v.VISIT_ID AS VARCHAR) END AS CODE FROM VISITS v"
        " WHERE {prefix}"
    )
    spec = replace(SPEC, table=None, query=query, prefix_expression="v.STATUS", prefix_column="STATUS")
    spec = replace(spec, key={"visit_id": "CODE"}, batch=BatchSettings(rows=10_000))
    with pytest.raises(AssertionFailed, match=r"1 keys \(visit_id\) have several rows"):
        visits.update(spec)
    assert visits.database.scalar("SELECT count(*) FROM visits WHERE status = 'old'") == ROWS


def test_a_duplicate_key_in_two_batches_is_found_before_anything_is_written(visits: Visits) -> None:
    visits.house.fill("VISITS", "SELECT 5, 'SSN9999999' || i, 's', 1, current_date, NULL, NULL FROM range(1) t(i)")
    with pytest.raises(ConfigError, match=r"1 keys \(VISIT_ID\)"):
        visits.update()
    assert visits.database.scalar("SELECT count(*) FROM visits WHERE status = 'old'") == ROWS


@pytest.mark.parametrize("rows", [15, 10_000])
def test_batches_are_sized_by_what_was_measured(visits: Visits, rows: int) -> None:
    """Large prefixes are split by more characters, small ones joined; each row is in one batch."""
    report = visits.update(replace(SPEC, length=1, batch=BatchSettings(rows=rows)))
    assert report.counts.fetched == report.counts.updated == ROWS
    assert report.batch_rows_most <= max(rows, 1)
    assert report.batches <= 2 * ROWS // rows + 2


def test_values_shorter_than_a_prefix_are_fetched_once(visits: Visits) -> None:
    table = f"{visits.house.name}.PUBLIC.VISITS"
    visits.house.double.duckdb(
        f"UPDATE {table} SET SSN = CASE WHEN VISIT_ID = 1 THEN '' WHEN VISIT_ID = 2 THEN 'SS' WHEN VISIT_ID = 3 THEN"
        " 'SSN' WHEN VISIT_ID = 4 THEN 'SSN' || chr(55295) || 'x' WHEN VISIT_ID = 5 THEN 'ü' ELSE SSN END"
    )
    report = visits.update(replace(SPEC, batch=BatchSettings(rows=30)))
    assert report.counts.fetched == report.counts.updated == ROWS


def test_rows_without_a_prefix_are_told(visits: Visits) -> None:
    visits.house.double.duckdb(f"UPDATE {visits.house.name}.PUBLIC.VISITS SET SSN = NULL WHERE VISIT_ID <= 3")
    report = visits.update()
    assert (report.counts.fetched, report.rows_without_prefix) == (ROWS - 3, 3)
    assert [check.name for check in report.checks if not check.passed] == ["rows_without_prefix"]
    declared = visits.update(replace(SPEC, prefixes=("SSN0", "SSN1")))
    assert declared.counts.fetched + declared.rows_without_prefix == ROWS


def test_groups_share_the_prefixes_without_a_gap(visits: Visits) -> None:
    spec = replace(SPEC, groups=3, length=10)
    fetched = [visits.update(spec, partition).counts.fetched for partition in spec.group_keys()]
    assert sum(fetched) == ROWS
    assert all(fetched)
    assert visits.different() == 0


def test_only_the_window_is_fetched(visits: Visits) -> None:
    window, today = RollingWindow("VISIT_DATE", days=100, ahead_days=0), datetime.now(UTC).date()
    report = visits.update(replace(SPEC, window=window))
    expected = sum(1 for i in range(1, ROWS + 1) if i <= 100 or i == 300)
    assert report.counts.fetched == report.counts.updated == expected
    assert (report.since, report.until) == (str(today - timedelta(days=100)), str(today + timedelta(days=1)))


@pytest.mark.parametrize(
    ("today", "since"),
    [
        (date(2026, 11, 22), date(2024, 10, 8)),
        (date(2024, 2, 29), date(2022, 1, 14)),
        (date(2026, 3, 31), date(2024, 2, 15)),
    ],
)
def test_the_window_rolls(today: date, since: date) -> None:
    """Two years and 45 days back, as the seed has it."""
    noon = datetime(today.year, today.month, today.day, 12, tzinfo=UTC)
    assert RollingWindow("d", years=2, days=45).bounds(noon) == (since, None)


def test_a_query_is_bound_and_cut_like_a_table(visits: Visits) -> None:
    query = (
        "SELECT v.VISIT_ID, v.SSN, UPPER(v.STATUS) AS STATUS FROM VISITS v WHERE {prefix}\n"
        " AND v.VISIT_DATE >= {since} -- the end"
    )
    spec = replace(
        SPEC, table=None, query=query, prefix_expression="v.SSN", window=RollingWindow("VISIT_DATE", days=50)
    )
    visits.house.double.statements()
    report = visits.update(spec)
    assert report.counts.fetched == sum(1 for i in range(1, ROWS + 1) if i <= 50 or i == 300)
    fetched = visits.fetches()
    assert fetched
    assert all(each["text"].count("?") == len(each["bindings"]) for each in fetched)
    assert all("SSN0" not in each["text"] for each in fetched), "values are bound, never written"


def test_a_query_can_only_read(visits: Visits) -> None:
    for query in (
        "SELECT 1) AS q; DROP TABLE VISITS; SELECT * FROM (SELECT 1",
        "DELETE FROM VISITS",
        "WITH d AS (DELETE FROM VISITS) SELECT 1",
    ):
        with pytest.raises(SyncError):
            visits.update(replace(SPEC, table=None, query=query))
    assert visits.update().counts.fetched == ROWS


def test_only_what_changed_is_fetched_with_a_change_cursor(visits: Visits) -> None:
    spec = replace(SPEC, changed="UPDATED_AT", changed_lag=timedelta(0))
    assert visits.update(spec).counts.fetched == ROWS
    visits.house.double.duckdb(
        f"UPDATE {visits.house.name}.PUBLIC.VISITS SET STATUS = 'new', UPDATED_AT = '2026-03-01' WHERE VISIT_ID <= 4"
    )
    second = visits.update(spec)
    assert (second.counts.fetched, second.counts.updated) == (4, 4)
    assert visits.update(spec).counts.fetched == 0
    assert visits.update(spec, mode="full").counts.fetched == ROWS
    assert visits.update(replace(spec, columns={"amount": "AMOUNT"})).counts.fetched == ROWS, "another declaration"


def test_a_cycle_that_fetched_everything_and_failed_ends_the_mark(visits: Visits) -> None:
    """Another declaration needs all rows; the mark of the former one must not come back when its cycle is given up."""
    first = replace(SPEC, columns={"amount": "AMOUNT"}, changed="UPDATED_AT", changed_lag=timedelta(0))
    visits.update(first)
    visits.database.execute("ALTER TABLE visits ADD CHECK (visit_id <> 222 OR status = 'old')")
    second = replace(first, columns={"amount": "AMOUNT", "status": "STATUS"})
    with pytest.raises(DbError):
        visits.update(second)
    visits.database.execute("ALTER TABLE visits DROP CONSTRAINT visits_check")
    visits.database.execute("UPDATE _syncer.batch_cycles SET window_since = '2001-01-01'")  # as of another day
    assert visits.update(second).counts.fetched == ROWS
    assert visits.different() == 0


def test_rows_that_enter_the_window_are_fetched_beside_those_that_changed(visits: Visits) -> None:
    window = RollingWindow("VISIT_DATE", days=30, ahead_days=0)
    spec = replace(SPEC, window=window, changed="UPDATED_AT", changed_lag=timedelta(0))
    visits.update(spec)
    visits.database.execute("UPDATE _syncer.batch_cycles SET mark_until = mark_until - 3")  # as if three days ago
    visits.database.execute("UPDATE visits SET status = 'old'")
    report = visits.update(spec)
    assert report.counts.fetched == report.counts.updated == sum(1 for i in range(1, ROWS + 1) if i <= 2 or i == 300)


def test_the_change_cursor_s_mark_waits_for_late_commits(visits: Visits) -> None:
    """A change may become visible after a younger one: the mark stays behind the source's clock by the lag."""
    spec = replace(SPEC, changed="UPDATED_AT", changed_lag=timedelta(hours=1))
    table = f"{visits.house.name}.PUBLIC.VISITS"
    visits.house.double.duckdb(f"UPDATE {table} SET UPDATED_AT = now()::timestamp WHERE VISIT_ID = 1")
    visits.update(spec)
    visits.house.double.duckdb(
        f"UPDATE {table} SET STATUS = 'late', UPDATED_AT = now()::timestamp - interval 10 minute WHERE VISIT_ID = 2"
    )
    visits.update(spec)
    assert visits.different() == 0


def test_a_run_that_failed_goes_on_with_the_batches_that_are_left(visits: Visits) -> None:
    visits.database.execute("ALTER TABLE visits ADD CHECK (visit_id <> 222 OR status = 'old')")
    spec = replace(SPEC, workers=1, batch=BatchSettings(rows=30))
    with pytest.raises(DbError):
        visits.update(spec)
    done = visits.database.scalar("SELECT count(*) FROM _syncer.batches WHERE done_at IS NOT NULL")
    updated = visits.database.scalar("SELECT count(*) FROM visits WHERE status <> 'old'")
    assert done
    assert updated == visits.database.scalar("SELECT sum(rows_updated) FROM _syncer.batches WHERE done_at IS NOT NULL")
    visits.database.execute("ALTER TABLE visits DROP CONSTRAINT visits_check")
    report = visits.update(spec)
    assert report.batches_done_before == done
    assert report.counts.fetched == ROWS - updated
    assert visits.different() == 0
    assert visits.update(spec).batches_done_before == 0, "a finished cycle is followed by a new one"


def test_full_begins_anew(visits: Visits) -> None:
    visits.database.execute("ALTER TABLE visits ADD CHECK (visit_id <> 222 OR status = 'old')")
    with pytest.raises(DbError):
        visits.update()
    visits.database.execute("ALTER TABLE visits DROP CONSTRAINT visits_check")
    report = visits.update(mode="full")
    assert (report.batches_done_before, report.counts.fetched) == (0, ROWS)


def test_a_killed_session_leaves_nothing_half_done_and_is_tried_again(visits: Visits) -> None:
    """Backends are ended in the midst of their batches, up to six times."""
    killed: list[int] = []
    ended = threading.Event()

    def kill() -> bool:
        found = visits.database.execute(
            "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND query LIKE '%pg_temp%' LIMIT 1"
        )
        killed.extend(pid for pid, _ in found)
        return len(killed) >= 6 or ended.is_set()

    thread = threading.Thread(target=lambda: poll(kill, deadline_seconds=200, every_seconds=0.2))
    thread.start()
    try:
        report = visits.update(replace(SPEC, workers=2, batch=BatchSettings(rows=20)))
    finally:
        ended.set()
        thread.join()
    assert killed
    assert report.retries
    assert visits.different() == 0
    sums = visits.database.execute(
        "SELECT sum(rows_fetched), sum(rows_updated + rows_unchanged + rows_unmatched), count(*) FILTER (WHERE"
        " done_at IS NULL) FROM _syncer.batches"
    )[0]
    assert sums == (ROWS, ROWS, 0)


def test_a_killed_process_leaves_nothing_half_done_and_the_next_run_finishes(visits: Visits) -> None:
    """SIGKILL at three moments of one cycle: after 1, 5 and 9 batches at least."""
    done = "SELECT count(*) FROM _syncer.batches WHERE done_at IS NOT NULL"
    ready = "SELECT to_regclass('_syncer.batches') IS NOT NULL"
    visits.house.double.slow_down(0.2)
    command = [sys.executable, "-m", "syncer_assets_tests.sync.keyed", visits.house.dsn, visits.database.dsn]
    for least in (1, 5, 9):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            poll(
                lambda least=least: visits.database.scalar(ready) and visits.database.scalar(done) >= least,
                deadline_seconds=60,
            )
        finally:
            process.kill()
            process.wait()
        poll(lambda: not _sessions(visits), deadline_seconds=60)
        updated = visits.database.scalar("SELECT count(*) FROM visits WHERE status <> 'old'")
        assert updated == visits.database.scalar(
            "SELECT sum(rows_updated) FROM _syncer.batches WHERE done_at IS NOT NULL"
        )
    visits.house.double.slow_down(0)
    before = visits.database.scalar(done)
    report = visits.update(replace(SPEC, workers=2, batch=BatchSettings(rows=20)))
    assert report.batches_done_before == before
    assert report.counts.fetched == ROWS - updated
    assert visits.different() == 0


def _sessions(visits: Visits) -> int:
    return visits.database.scalar(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    )


def test_a_commit_whose_answer_was_lost_is_not_done_twice(visits: Visits, monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[int] = []
    commit = keyed_write.commit

    def answers_once(connection: psycopg.Connection) -> None:
        commit(connection)
        if not lost:
            lost.append(1)
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(keyed_write, "commit", answers_once)
    report = visits.update()
    assert (report.counts.fetched, report.counts.updated) == (ROWS, ROWS)
    assert report.retries == 1
    assert visits.different() == 0


def test_a_run_that_was_taken_over_changes_nothing_more(visits: Visits, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = keyed_write.PostgresKeyedWriter._refuse_duplicates
    taken: list[int] = []

    def overtaken(self: keyed_write.PostgresKeyedWriter, batch: object) -> None:
        stage(self, batch)  # type: ignore[arg-type]  # as it came
        if not taken:
            taken.append(1)
            visits.database.execute("UPDATE _syncer.batch_cycles SET epoch = epoch + 1")

    monkeypatch.setattr(keyed_write.PostgresKeyedWriter, "_refuse_duplicates", overtaken)
    with pytest.raises(LostRace):
        visits.update(replace(SPEC, workers=1))
    assert visits.database.scalar("SELECT count(*) FROM visits WHERE status <> 'old'") == 0


def test_no_more_sessions_than_the_limit_are_open(visits: Visits) -> None:
    """Seen from inside both databases, while batches run."""
    spec = replace(INDEXED, workers=8, connection_limit=3, batch=BatchSettings(rows=10))
    most = [0, 0]
    ended = threading.Event()
    poll(lambda: not _sessions(visits), deadline_seconds=60)
    before = visits.house.double.sessions()

    def watch() -> None:
        with visits.database.connect() as connection:
            while not ended.wait(0.005):
                row = connection.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <>"
                    " pg_backend_pid() AND backend_type = 'client backend'"
                ).fetchone()
                most[0] = max(most[0], row[0] if row else 0)
                most[1] = max(most[1], visits.house.double.sessions() - before)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        report = visits.update(spec)
    finally:
        ended.set()
        thread.join()
    assert report.workers == 2
    assert 1 < most[0] <= 3
    assert most[1] <= 3


def test_declared_indexes_are_made_and_drift_is_told(visits: Visits) -> None:
    visits.database.execute("DROP INDEX visits_visit_id_idx")
    report = visits.update(INDEXED)
    assert (report.indexes_created, report.key_indexed) == (1, True)
    assert (
        visits.database.scalar("SELECT count(*) FROM pg_index WHERE indrelid = 'visits'::regclass AND indisunique") == 1
    )
    again = visits.update(replace(SPEC, indexes=(INDEXED.indexes[0], *replace(INDEXED, indexes=()).indexes)))
    assert again.indexes_created == 0


def test_statistics_are_renewed_only_where_much_changed(visits: Visits) -> None:
    visits.database.execute("ALTER TABLE visits SET (autovacuum_enabled = false)")
    assert visits.update().analyzed
    assert not visits.update().analyzed
    table = f"{visits.house.name}.PUBLIC.VISITS"
    visits.house.double.duckdb(f"UPDATE {table} SET STATUS = 'x' WHERE VISIT_ID <= {ROWS // 25}")
    assert not visits.update().analyzed, "4 %"
    visits.house.double.duckdb(f"UPDATE {table} SET STATUS = 'y' WHERE VISIT_ID <= {ROWS // 10}")
    assert visits.update().analyzed


@pytest.mark.parametrize(
    ("column", "kind", "error"),
    [
        ("amount", "numeric(12,1)", SchemaChanged),
        ("amount", "real", SchemaChanged),
        ("updated_at", "date", SchemaChanged),
        ("updated_at", "timestamptz", SchemaChanged),
        ("status", "varchar(1)", DbError),
        ("amount", "numeric(2,2)", DbError),
        ("status", "int", DbError),
    ],
)
def test_a_value_that_does_not_fit_stops_the_batch_and_is_not_told(
    visits: Visits, column: str, kind: str, error: type[SyncError]
) -> None:
    visits.house.double.duckdb(f"UPDATE {visits.house.name}.PUBLIC.VISITS SET STATUS = 'C4nary', AMOUNT = 987.65")
    visits.database.execute(f"ALTER TABLE visits DROP COLUMN {column}; ALTER TABLE visits ADD COLUMN {column} {kind}")
    with pytest.raises(error) as raised:
        visits.update()
    assert column in str(raised.value)
    assert not any(canary in repr(raised.value) for canary in ("C4nary", "987.65"))


def test_a_table_that_somebody_rewrites_meanwhile_is_not_taken_for_empty(visits: Visits) -> None:
    """The rows that ALTER TABLE wrote anew are not there for a snapshot that was taken before its COMMIT."""
    with visits.database.connect(autocommit=False) as person, ThreadPoolExecutor(1) as pool:
        person.execute("ALTER TABLE visits ALTER COLUMN note TYPE text USING note || ''")
        update = pool.submit(visits.update, replace(SPEC, workers=1))
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LOCK TABLE%' AND wait_event_type = 'Lock'"
        poll(lambda: visits.database.scalar(waiting), deadline_seconds=60)
        person.commit()
        report = update.result(timeout=200)
    assert (report.counts.updated, report.counts.unmatched, visits.different()) == (ROWS, 0, 0)
    assert report.retries == 1


@pytest.mark.parametrize("is_partitioned", [False, True])
def test_a_trigger_that_swallows_updates_is_found(visits: Visits, is_partitioned: bool) -> None:
    visits.database.execute(
        "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER swallow BEFORE UPDATE ON visits FOR EACH ROW WHEN (OLD.visit_id = 9) EXECUTE FUNCTION swallow()"
    )
    if is_partitioned:
        visits.database.execute(
            "ALTER TABLE visits RENAME TO visits_1; CREATE TABLE visits (LIKE visits_1) PARTITION BY LIST (note);"
            "ALTER TABLE visits ATTACH PARTITION visits_1 DEFAULT"
        )
    with pytest.raises(AssertionFailed, match="trigger"):
        visits.update()


def test_columns_that_differ_in_capitals_only_have_to_be_named(visits: Visits) -> None:
    visits.database.execute('ALTER TABLE visits ADD COLUMN "Status" text')
    with pytest.raises(ConfigError, match=r"'status' differ in small and capital letters.*`columns`"):
        visits.update()
    visits.update(replace(SPEC, columns={"status": "STATUS", "amount": "AMOUNT"}))
    assert visits.different() == 0


def test_a_table_that_is_not_there_or_names_that_do_not_exist_are_told(visits: Visits) -> None:
    cases: Sequence[tuple[object, str]] = [
        (replace(SPEC, target=replace(SPEC.target, table="nowhere")), "no such table in the warehouse"),
        (replace(SPEC, table="PUBLIC.VISITZ"), "VISITZ"),
        (replace(SPEC, key={"visit_id": "ID"}), "no column 'ID'"),
        (replace(SPEC, key={"id": "VISIT_ID"}), "'id', which the table does not have"),
        (replace(SPEC, columns={"state": "STATUS"}), "'state', which the table does not have"),
        (replace(SPEC, columns={"visit_id": "VISIT_ID"}), "keys are not updated"),
    ]
    for spec, message in cases:
        with pytest.raises(SyncError) as raised:
            visits.update(spec)  # type: ignore[arg-type]  # a spec
        assert message in str(raised.value)


def test_neither_keys_nor_values_are_told(visits: Visits, capfd: pytest.CaptureFixture[str]) -> None:
    """Canaries in the key, its prefixes and a value; a run that goes well, and two that fail."""
    table = f"{visits.house.name}.PUBLIC.VISITS"
    visits.house.double.duckdb(f"UPDATE {table} SET SSN = 'C4N' || SSN, STATUS = 'V4lue' || VISIT_ID")
    spec = replace(SPEC, key={"status": "STATUS"}, columns={"amount": "AMOUNT"}, length=7)
    visits.database.execute("UPDATE visits SET status = 'V4lue' || visit_id")
    said = [repr(visits.update(spec)), repr(visits.update(replace(spec, groups=4, name="grouped"), "group-01"))]
    visits.database.execute("UPDATE visits SET amount = NULL; ALTER TABLE visits ADD CHECK (amount IS NULL)")
    said.append(_failure(visits, replace(spec, name="check")))
    visits.house.fill("VISITS", "SELECT 1, 'C4N', 'V4lue1', 1, current_date, NULL, NULL")
    said.append(_failure(visits, replace(spec, name="twice")))
    said.append(_failure(visits, replace(spec, name="twice too", prefix_column="STATUS", length=1)))
    said += [repr(visits.events), "".join(capfd.readouterr())]
    for canary in ("C4N", "V4lue"):
        assert canary not in "\n".join(said)


def _failure(visits: Visits, spec: object) -> str:
    with pytest.raises(SyncError) as raised:
        visits.update(spec)  # type: ignore[arg-type]  # a spec
    error = raised.value
    assert error.__cause__ is None or isinstance(error.__cause__, SyncError)
    return f"{error!r} {error} {vars(error)}"


@pytest.fixture(autouse=True)
def fast_double(house: House) -> Iterator[None]:
    yield
    house.double.slow_down(0)
