"""What a person gets wrong ends in one clear error that names the table and the fix, without a secret (issue 2)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from syncer_assets.model.errors import ConfigError, DbError, ObjectStoreError, SyncError
from syncer_assets.model.partition import PartitionScheme
from syncer_assets.model.table import ColumnRules
from syncer_assets.sources.postgres import PostgresSource
from syncer_assets.sync import extract
from syncer_assets.sync.lake import open_lake
from syncer_assets.warehouses.postgres import PostgresWarehouse
from syncer_assets_tests.sync.tables import ORDERS, QUICK, Rig, spec_of

SECRET = "p@ss/w0rd %'"
BY_ID = spec_of(cursor=["id"])
ROWS = "INSERT INTO orders (status) VALUES ('x')"


@pytest.fixture
def role(rig: Rig) -> Iterator[str]:
    """A role that has to know its password."""
    name = f"role_{rig.database.name}"
    with rig.database.connect() as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{SECRET.replace(chr(39), chr(39) * 2)}'".encode())
        connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'password'")
    rig.database.execute('DO $$ BEGIN CREATE ROLE "password"; EXCEPTION WHEN duplicate_object THEN NULL; END $$')
    rig.database.execute(f'GRANT "password" TO {name}; GRANT CONNECT ON DATABASE {rig.database.name} TO {name}')
    yield name
    rig.database.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def refused(rig: Rig, spec: Any, kind: type[SyncError], match: str, **arguments: Any) -> None:
    """One error, no manifest."""
    with pytest.raises(kind, match=match) as raised:
        rig.sync(spec, **arguments)
    assert "Fix: " in str(raised.value)
    assert rig.manifests(spec) == []
    assert rig.told("attempt thrown away") == []


@pytest.mark.parametrize(
    ("table", "near"),
    [("public.order", "public.orders"), ("orderz", "public.orders"), ("shop.orders", "public.orders")],
)
def test_an_unknown_table_names_its_near_misses(rig: Rig, table: str, near: str) -> None:
    rig.database.execute(ORDERS)
    refused(rig, spec_of(table, ["id"]), ConfigError, f"{table}: there is no such table.*did you mean {near}")


def test_a_table_unlike_any_other(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    refused(rig, spec_of("public.zzzzzzzz", ["id"]), ConfigError, "check `table` in the YAML")


@pytest.mark.parametrize(
    ("field", "spec"),
    [
        ("cursor", spec_of(cursor=["updatd_at"])),
        ("key", replace(BY_ID, key=("updatd_at",))),
        ("columns.include", replace(BY_ID, columns=ColumnRules(include=("updatd_at",)))),
        ("columns.exclude", replace(BY_ID, columns=ColumnRules(exclude=("updatd_at",)))),
        ("columns.hash", replace(BY_ID, columns=ColumnRules(hash=("updatd_at",)))),
        ("partitions.column", replace(BY_ID, partitions=PartitionScheme(by="prefix", column="updatd_at", length=1))),
    ],
)
def test_an_unknown_column_names_the_field_and_its_near_misses(rig: Rig, field: str, spec: Any) -> None:
    rig.database.execute(ORDERS)
    match = rf"public\.orders: `{field}` names the column 'updatd_at'.*did you mean updated_at"
    key = "a" if spec.partitions.by == "prefix" else "all"
    refused(rig, spec, ConfigError, match, partition=key)


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        (replace(BY_ID, columns=ColumnRules(exclude=("id",))), "the key column 'id' is excluded"),
        (replace(BY_ID, columns=ColumnRules(include=("status",))), "leaves out the key column 'id'"),
        (spec_of(cursor=[]), "`load: upsert` needs a cursor"),
        (spec_of(cursor=[], load="append"), "`load: append` needs a cursor"),
        (spec_of(cursor=["status"], partitions=PartitionScheme(by="id")), "does not fit the cursor 'status'"),
        (
            spec_of(cursor=["id"], partitions=PartitionScheme(by="time", start="2024-01-01")),
            "does not fit the cursor 'id'",
        ),
        (spec_of(cursor=[], load="replace", partitions=PartitionScheme(by="id")), "partitions need a cursor"),
        (replace(BY_ID, null_cursor="include", load="append"), "`load: append` would double"),
    ],
)
def test_settings_that_do_not_fit_the_table(rig: Rig, spec: Any, match: str) -> None:
    rig.database.execute(f"{ORDERS}; {ROWS}")
    refused(rig, spec, ConfigError, rf"public\.orders: .*{match}")


def test_upsert_without_a_key(rig: Rig) -> None:
    rig.database.execute("CREATE TABLE orders (id bigint); INSERT INTO orders VALUES (1)")
    refused(rig, BY_ID, ConfigError, r"public\.orders: `load: upsert` needs a key.*load: append")


def test_a_role_without_select(rig: Rig, role: str) -> None:
    rig.database.execute(f"{ORDERS}; {ROWS}")
    source = PostgresSource("shop", rig.database.dsn_as(role, SECRET))
    refused(rig, BY_ID, ConfigError, r"public\.orders: .*may not SELECT.*GRANT SELECT ON public\.orders", source=source)
    rig.database.execute(f"GRANT SELECT (id) ON orders TO {role}")
    match = r"public\.orders: .*column 'status'.*GRANT SELECT \(status, updated_at\).*columns\.exclude"
    refused(rig, BY_ID, ConfigError, match, source=source)
    rig.database.execute(f"GRANT SELECT ON orders TO {role}")
    assert rig.sync(BY_ID, source=source).rows == 1
    source.close()


def test_a_role_that_may_read_some_columns_reads_those(rig: Rig, role: str) -> None:
    rig.database.execute(f"{ORDERS}; {ROWS}; GRANT SELECT (id, status) ON orders TO {role}")
    source = PostgresSource("shop", rig.database.dsn_as(role, SECRET))
    spec = replace(BY_ID, columns=ColumnRules(include=("id", "status")))
    rig.sync(spec, source=source)
    source.close()
    assert rig.in_lake(spec, "id", "status") == {(1, "x"): 1}


def test_a_policy_that_hides_rows_from_the_role_stops_the_sync(rig: Rig, role: str) -> None:
    """Rows that the role may not see would be missing without a word, from the count as well."""
    rig.database.execute(f"{ORDERS}; INSERT INTO orders (status) VALUES ('seen'), ('hidden')")
    rig.database.execute(f"GRANT SELECT ON orders TO {role}; CREATE POLICY p ON orders USING (status = 'seen')")
    rig.database.execute("ALTER TABLE orders ENABLE ROW LEVEL SECURITY")
    source = PostgresSource("shop", rig.database.dsn_as(role, SECRET))
    with pytest.raises(DbError, match=r"row-level security policy for table \"orders\" \(42501\).*BYPASSRLS"):
        rig.sync(spec_of(), source=source)
    source.close()


@pytest.mark.parametrize("side", ["source", "warehouse"])
def test_a_wrong_password(rig: Rig, role: str, side: str) -> None:
    """Once, at once, and neither the right nor the wrong one is told."""
    rig.database.execute(f"{ORDERS}; {ROWS}; GRANT SELECT ON orders TO {role}")
    wrong = "not the password"
    dsn = rig.database.dsn_as(role, wrong)
    with pytest.raises(
        DbError, match=r"password authentication failed.*check the password in the connection's env"
    ) as raised:
        if side == "source":
            PostgresSource("shop", dsn).describe("public.orders")
        else:
            PostgresWarehouse("analytics", dsn).register(rig.target, "generation")
    told = f"{raised.value!s} {raised.value!r} {raised.value.__cause__} {raised.value.__context__}"
    assert not raised.value.retryable
    assert not any(secret in told for secret in (SECRET, wrong, "not%20the%20password"))


@pytest.mark.parametrize("dsn", ["postgresql://u:{}@host:port x/db", "postgresql://u:{}@/db?host=%zz", "host='{}"])
def test_a_dsn_that_cannot_be_parsed_is_not_told(dsn: str) -> None:
    with pytest.raises(DbError, match="source shop: the connection string cannot be parsed") as raised:
        PostgresSource("shop", dsn.format("hunter2hunter2")).describe("public.orders")
    assert "hunter2" not in f"{raised.value!s} {raised.value!r} {raised.value.__cause__} {raised.value.__context__!s}"


def test_a_database_that_does_not_exist(rig: Rig) -> None:
    source = PostgresSource("shop", rig.database.dsn.replace(rig.database.name, "nowhere"))
    refused(rig, BY_ID, DbError, "nowhere.*does not exist.*check the database name", source=source)


def test_a_lake_that_is_no_folder(rig: Rig, tmp_path: Any) -> None:
    """Root may write anywhere, so a file stands where the folder should be."""
    rig.database.execute(f"{ORDERS}; {ROWS}")
    file = tmp_path / "a file"
    file.write_text("")
    with pytest.raises(ObjectStoreError, match=r"a file.*cannot be made.*write permission"):
        open_lake(f"file://{file}/lake")


@pytest.mark.parametrize("below", ["shop/public.orders/all/data", "shop/public.orders/all/_manifests", "shop"])
def test_a_lake_that_cannot_be_written(rig: Rig, below: str) -> None:
    """Nothing half done: once it can be, the next sync brings every row."""
    rig.database.execute(f"{ORDERS}; {ROWS}")
    assert rig.lake.root is not None
    obstacle = rig.lake.root / below
    obstacle.parent.mkdir(parents=True, exist_ok=True)
    obstacle.write_text("")
    with pytest.raises(ObjectStoreError, match=r"lake.*Fix: check"):
        extract(rig.source, rig.lake, BY_ID, backoff=QUICK)
    obstacle.unlink()
    rig.sync(BY_ID)
    assert rig.in_lake(BY_ID, "id") == {(1,): 1}


@pytest.mark.parametrize("url", ["ftp://lake", "lake", "C:\\lake"])
def test_a_lake_of_an_unknown_kind(url: str) -> None:
    with pytest.raises(ConfigError, match=r"of no known kind.*use file://"):
        open_lake(url)
