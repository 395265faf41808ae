"""Canaries: a password, a key and row values, and failures of many kinds. None of them may say what it saw."""

import pickle
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from urllib.parse import quote

import psycopg
import pytest

from syncer_assets.model.errors import SyncError
from syncer_assets.model.table import ColumnRules
from syncer_assets.sources.base import Read
from syncer_assets.sources.postgres import PostgresSource
from syncer_assets_tests.faults.job import AT_ONCE, COUNTRIES, EVENTS, ORDERS, Job, write
from syncer_assets_tests.servers import Database, free_ports

PASSWORD = "C4n@ry %/ sp%zz 'q\"uote"
KEY = "C4naryHmacKey 'of' 32 characters!"
VALUE = "C4naryRowValue"
CANARIES = ("C4n@ry", "C4n%40ry", "C4naryHmacKey", VALUE, "sp%zz", "sp%25zz")


@pytest.fixture
def role(source_db: Database) -> Iterator[str]:
    """Its password is the canary, and the server asks for it."""
    role = f"canary_{source_db.name}"
    literal = PASSWORD.replace("'", "''")
    with suppress(psycopg.errors.DuplicateObject):
        source_db.execute("CREATE ROLE password")
    source_db.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{literal}' IN ROLE password")
    source_db.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    source_db.execute(f"GRANT CONNECT ON DATABASE {source_db.name} TO {role}")
    yield role
    source_db.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.fixture
def canary_job(source_db: Database, warehouse_db: Database, job: Job, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Rows with the canary value; one column of them is hashed with the canary key."""
    monkeypatch.setenv("SYNCER_HASH_KEY", KEY)
    source_db.execute(f"UPDATE orders SET status = '{VALUE} ' || id; UPDATE events SET what = '{VALUE} ' || id")
    source_db.execute(f"UPDATE countries SET name = '{VALUE} ' || code")
    orders = replace(ORDERS, columns=ColumnRules(hash=("status",)))
    return replace(job, specs=(orders, EVENTS, COUNTRIES), backoff=AT_ONCE)


def _connections(database: Database, role: str) -> dict[str, str]:
    """DSNs that fail to connect or to be read, each with the canary."""
    encoded, port = quote(PASSWORD, safe=""), free_ports(1)[0]
    folder = quote(str(database.server.socket_folder))
    return {
        "not encoded": f"postgresql://{role}:{PASSWORD}@/{database.name}?host={folder}",
        "a broken quote": f"host={database.server.socket_folder} user={role} password={PASSWORD}",
        "wrong password": f"postgresql://{role}:{encoded}wrong@/{database.name}?host={folder}",
        "no such role": f"postgresql://nobody:{encoded}@/{database.name}?host={folder}",
        "no such database": f"postgresql://{role}:{encoded}@/nowhere?host={folder}",
        "refused": f"postgresql://{role}:{encoded}@127.0.0.1:{port}/{database.name}",
        "no such host": f"postgresql://{role}:{encoded}@nowhere.invalid/{database.name}",
        "no such setting": f"postgresql://{role}:{encoded}@/{database.name}?host={folder}&colour=blue",
    }


CONNECTIONS = [
    *("not encoded", "a broken quote", "wrong password", "no such role", "no such database", "refused"),
    *("no such host", "no such setting"),
]


@pytest.mark.parametrize("kind", CONNECTIONS)
def test_no_connection_error_says_the_password(
    kind: str, canary_job: Job, source_db: Database, role: str, capfd: pytest.CaptureFixture[str]
) -> None:
    dsn = _connections(source_db, role)[kind]
    for broken in (replace(canary_job, source_dsn=dsn), replace(canary_job, warehouse_dsn=dsn)):
        _assert_silent(_failure(lambda job=broken: job.run()), fix=kind != "no such role")
    _assert_unsaid("".join(capfd.readouterr()))


def test_the_reader_does_not_say_the_password_either(job: Job, source_db: Database, role: str) -> None:
    """Its session is opened after the control connection: it may be the first to meet a changed password."""
    source = PostgresSource("shop", source_db.dsn_as(role, PASSWORD))
    read = Read(table="public.orders", columns=source.describe("public.orders").columns, order=())
    source_db.execute(f"ALTER ROLE {role} PASSWORD 'another'")
    _assert_silent(_failure(lambda: list(source.read(read))))
    _assert_silent(_failure(lambda: source.snapshot(read)))
    source.close()


def test_a_run_that_goes_well_says_no_secret_and_no_value(
    canary_job: Job, source_db: Database, warehouse_db: Database, role: str, capfd: pytest.CaptureFixture[str]
) -> None:
    events: list[object] = []
    good = source_db.dsn_as(role, PASSWORD)
    with replace(canary_job, source_dsn=good).opened() as opened:
        done = opened.run(lambda event, **fields: events.append((event, fields)))
        said = [repr(events), repr(opened), str(opened.source), repr(vars(opened.lake)), repr(done)]
    _assert_unsaid("\n".join(said).replace(repr(opened.job), ""))
    _assert_unsaid("".join(capfd.readouterr()))
    statuses = warehouse_db.execute("SELECT status FROM shop.orders")
    assert all(len(status) == 64 for (status,) in statuses), "the column is hashed"
    ledger = warehouse_db.execute("SELECT t::text FROM _syncer.loads t")
    _assert_unsaid(repr(ledger))


def test_an_error_of_the_key_does_not_say_it(canary_job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCER_HASH_KEY", KEY[:13])
    _assert_silent(_failure(lambda: canary_job.run()))


def _reject(table: str, constraint: str) -> Callable[[Database, Database], object]:
    return lambda source, warehouse: warehouse.execute(f"ALTER TABLE shop.{table} {constraint}")


_TRIGGER = (
    "CREATE FUNCTION shop.refuse() RETURNS trigger LANGUAGE plpgsql AS"
    " $$BEGIN RAISE EXCEPTION 'no room for %', NEW; END$$;"
    "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON shop.countries FOR EACH ROW EXECUTE FUNCTION shop.refuse()"
)
BAD_VALUES: dict[str, Callable[[Database, Database], object]] = {
    "check": _reject("countries", "ADD CHECK (name NOT LIKE 'C4%.') NOT VALID"),
    "unique": lambda source, warehouse: warehouse.execute(
        "UPDATE shop.events SET what = 'same'; CREATE UNIQUE INDEX ON shop.events (left(what, 3)) WHERE what <> 'same'"
    ),
    "cast": lambda source, warehouse: warehouse.execute(
        "TRUNCATE shop.countries; ALTER TABLE shop.countries ALTER COLUMN name TYPE int USING 1"
    ),
    "trigger": lambda source, warehouse: warehouse.execute(_TRIGGER),
    "source": lambda source, warehouse: source.execute(
        "ALTER TABLE countries RENAME TO c;"
        "CREATE VIEW countries AS SELECT code,"
        " CASE WHEN name LIKE '%.' THEN (name::int)::text ELSE name END AS name FROM c"
    ),
}


@pytest.mark.parametrize("kind", BAD_VALUES)
def test_no_error_says_a_row_value(
    kind: str, canary_job: Job, source_db: Database, warehouse_db: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    with canary_job.opened() as opened:
        opened.run()
        write(source_db, 2)
        source_db.execute(f"INSERT INTO events (what) SELECT '{VALUE}' FROM generate_series(1, 5)")
        BAD_VALUES[kind](source_db, warehouse_db)
        events: list[object] = []
        error = _failure(lambda: opened.run(lambda event, **fields: events.append((event, fields))))
    _assert_silent(error, fix=False)
    _assert_unsaid(repr(events))
    _assert_unsaid("".join(capfd.readouterr()))
    assert any(table in str(error) for table in ("countries", "events")), error


def _failure(call: Callable[[], object]) -> SyncError:
    with pytest.raises(SyncError) as raised:
        call()
    return raised.value


def _assert_silent(error: SyncError, *, fix: bool = True) -> None:
    """Neither in what people read, nor in what machines keep; and it says what to do."""
    _assert_unsaid(str(error), repr(error), repr(vars(error)), repr(error.args))
    _assert_unsaid("".join(traceback.format_exception(error)))
    pickled = pickle.dumps(error)
    _assert_unsaid(pickled.decode("latin-1"))
    assert str(pickle.loads(pickled)) == str(error)
    assert "\n" not in str(error)
    assert not fix or "Fix: " in str(error), error


def _assert_unsaid(*texts: str) -> None:
    for text in texts:
        for canary in CANARIES:
            assert canary not in text, f"{canary} in {text[:2000]}"
