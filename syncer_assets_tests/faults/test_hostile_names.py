"""Names and values of the source's catalogue are names and values, whatever they say: copied exactly, or refused."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from psycopg import sql

from syncer_assets.components.deployment import Deployment, load_deployment
from syncer_assets.model.report import silent
from syncer_assets.model.upkeep import MaintenanceRequest
from syncer_assets.sources.registry import open_source
from syncer_assets.sync import extract, load
from syncer_assets.sync.discover import discover
from syncer_assets.sync.discover_yaml import to_yaml
from syncer_assets.sync.plan import plan
from syncer_assets.sync.reconcile import reconcile
from syncer_assets_tests.components.deployments import CONNECTIONS, write_defs
from syncer_assets_tests.faults.job import AT_ONCE
from syncer_assets_tests.mariadb import MariaDatabase
from syncer_assets_tests.servers import Database

NAMES = [
    *('a"b', "a;drop table canary", "a%s", "a.b", "it's `x`", "select", "Upper", "ünï 😀", "x" * 63, "x" * 62 + "y"),
    *("'); DROP TABLE canary; --", "{0}", "$1", "back\\slash", "# no: comment", "../../up", "%(x)s", "_under"),
]
"""Each table has a column by each of these names; the first ten are names of tables too."""
TABLES = 10
KEYS = ["'; DROP TABLE canary; --", '"', "%s", "\\", "a\tb", "{}", "\x01", "😀", "NULL", "\\N", "a,b", " ", ""]
"""Values of a text key: repairs name rows by them."""
TEMPLATE = "{{ env('TEST_CANARY') }}"
BREAK = "two\n    - {table: canary}"


@pytest.fixture
def canaries(source_db: Database, warehouse_db: Database) -> Iterator[None]:
    """A table on either side that nothing may touch."""
    for database in (source_db, warehouse_db):
        database.execute("CREATE TABLE canary (id int); INSERT INTO canary VALUES (7)")
    yield
    for database in (source_db, warehouse_db):
        assert database.execute("SELECT * FROM canary") == [(7,)]


def discovered(folder: Path, kind: str, dsn: str, warehouse: Database, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """What `syncer discover --write` writes for every table of the source, loaded as Dagster does."""
    monkeypatch.setenv("TEST_SHOP_DSN", dsn)
    monkeypatch.setenv("TEST_ANALYTICS_DSN", warehouse.dsn)
    monkeypatch.setenv("TEST_LAKE", f"file://{folder / 'lake'}")
    connections = CONNECTIONS.replace("shop: {type: postgres", f"shop: {{type: {kind}")
    defs = write_defs(folder / "defs", "- {table: none, load: replace}", connections=connections)
    with closing(open_source("shop", kind, dsn)) as source:
        proposals = discover(source, [table for table in source.tables() if not table.endswith(".canary")])
    (defs / "shop" / "defs.yaml").write_text(to_yaml("shop", "analytics", "shop", proposals))
    return load_deployment(defs)


def value(number: int) -> str:
    """What the rows have in a column."""
    return f"value {number}; DROP TABLE canary; %s"


VALUES = [value(number) for number in range(len(NAMES))]
EXPECTED = Counter((key, *VALUES) for key in KEYS)


def copied_and_repaired(deployment: Deployment, warehouse: Database, names: Sequence[str]) -> dict[str, Counter[tuple]]:
    """Every table synced, loaded, compared, damaged in the warehouse and repaired; its rows there, by name."""
    rows = {}
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in ["key", *names])
    with deployment.source("shop").open() as source, deployment.warehouse("analytics").open() as loading:
        lake = deployment.lake.open()
        for table in deployment.tables:
            assert plan(source, lake, table.spec).partitions
            extract(source, lake, table.spec, backoff=AT_ONCE)
            load(lake, loading, table.spec, table.target, backoff=AT_ONCE)
            name = sql.Identifier(table.target.schema, table.target.table)
            with warehouse.connect() as connection:
                connection.execute(sql.SQL("DELETE FROM {} WHERE key IN ('%s', '')").format(name))
                connection.execute(
                    sql.SQL("UPDATE {} SET {} = 'x' WHERE key = '\"'").format(name, sql.Identifier(names[0]))
                )
            found = reconcile(source, loading, table.spec, table.target, lake=lake, backoff=AT_ONCE)
            assert (found.before.rows_missing, found.before.rows_changed, found.equal) == (2, 1, True)
            loading.maintain(table.target, table.upkeep, MaintenanceRequest("repair"), emit=silent)
            with warehouse.connect() as connection:
                found_rows = connection.execute(sql.SQL("SELECT {} FROM {}").format(columns, name)).fetchall()
            rows[table.target.table] = Counter(found_rows)
    return rows


def test_whatever_a_postgres_says_is_copied_exactly(
    source_db: Database, warehouse_db: Database, canaries: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But a name that Dagster would fill in from our environment is refused."""
    monkeypatch.setenv("TEST_CANARY", "filled in")
    declared = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(name)) for name in NAMES)
    values = sql.SQL(", ").join(map(sql.Literal, VALUES))
    with source_db.connect() as connection:
        for name in map(sql.Identifier, [*NAMES[:TABLES], TEMPLATE, BREAK]):
            connection.execute(sql.SQL("CREATE TABLE {} (key text PRIMARY KEY, {})").format(name, declared))
            rows = sql.SQL("SELECT unnest({}::text[]), {}").format(sql.Literal(KEYS), values)
            connection.execute(sql.SQL("INSERT INTO {} {}").format(name, rows))
    deployment = discovered(tmp_path, "postgres", source_db.dsn, warehouse_db, monkeypatch)
    assert copied_and_repaired(deployment, warehouse_db, NAMES) == dict.fromkeys([*NAMES[:TABLES], BREAK], EXPECTED)
    written = (tmp_path / "defs" / "shop" / "defs.yaml").read_text()
    assert f"LEFT OUT public.{TEMPLATE}: the name" in written and "filled in" not in written


def test_whatever_a_mariadb_says_is_copied_exactly(
    maria_db: MariaDatabase, warehouse_db: Database, canaries: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its names know no character beyond the basic plane."""
    names = [name.replace("😀", "ß") for name in NAMES]
    quoted = ["`{}`".format(name.replace("`", "``")) for name in names]
    declared = ", ".join(f"{name} varchar(99)" for name in quoted)
    with closing(maria_db.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE canary (id int)")
        for name in quoted[:TABLES]:
            key = "`key` varchar(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin PRIMARY KEY"
            cursor.execute(f"CREATE TABLE {name} ({key}, {declared}) DEFAULT CHARSET utf8mb4")
            marks = ", ".join(["%s"] * (len(names) + 1))
            table = name.replace("%", "%%")
            cursor.executemany(f"INSERT INTO {table} VALUES ({marks})", [(key, *VALUES) for key in KEYS])
    deployment = discovered(tmp_path, "mysql", maria_db.dsn, warehouse_db, monkeypatch)
    assert copied_and_repaired(deployment, warehouse_db, names) == dict.fromkeys(names[:TABLES], EXPECTED)
    assert maria_db.scalar("SELECT count(*) FROM canary") == 0
