"""The bloat check tells what a rebuild gives back, within ten points, with the extension pgstattuple and without it."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from syncer_assets.demo.server import EmbeddedPostgres
from syncer_assets.model.table import Target
from syncer_assets.model.upkeep import BloatLimit, BloatLimits, BloatReport, RelationBloat
from syncer_assets.warehouses.postgres import PostgresWarehouse
from syncer_assets.warehouses.postgres.fresh_size import ColumnFacts, btree_bytes
from syncer_assets_tests.servers import Database
from syncer_assets_tests.warehouses.postgres.bloated import SEED, TABLES

POINTS = 10.0
ESTIMATE_ONLY = BloatLimits(warn=BloatLimit(101, 0))
CONFIRM_ALL = BloatLimits(warn=BloatLimit(0, 0))


@pytest.fixture(scope="module")
def bloated(postgres: EmbeddedPostgres) -> Iterator[Database]:
    """The eight tables, vacuumed once: autovacuum is kept away, so that every run sees the same."""
    database = Database.create(postgres, "warehouse")
    database.grant("SCHEMA public")
    database.grant("pg_stat_scan_tables")
    print(f"seed {SEED}")
    with database.connect() as connection:
        connection.execute("CREATE EXTENSION pgstattuple")
        connection.execute(f"SELECT setseed({SEED})".encode())
        for name, statements in TABLES.items():
            for statement in statements.split(";\n"):
                if statement.strip():
                    connection.execute(statement.encode())
                if f"CREATE TABLE {name}" in statement:
                    connection.execute(f"ALTER TABLE {name} SET (autovacuum_enabled = false)".encode())
            connection.execute("SELECT pg_stat_force_next_flush()")  # later, it would be added to what VACUUM found
            connection.execute(f"VACUUM {name}".encode())
            connection.execute(f"ANALYZE {name}".encode())
    yield database
    database.drop()


@dataclass(frozen=True)
class Measured:
    """`real` is what rebuilds really gave back, in percent by relation."""

    estimated: BloatReport
    confirmed: BloatReport
    real: dict[str, float]


@pytest.fixture(scope="module")
def measured(bloated: Database) -> dict[str, Measured]:
    """By table."""
    warehouse = PostgresWarehouse("w", bloated.dsn)
    found = {}
    for name in TABLES:
        target = Target("w", "public", name)
        estimated, confirmed = warehouse.bloat(target, ESTIMATE_ONLY), warehouse.bloat(target, CONFIRM_ALL)
        found[name] = Measured(estimated, confirmed, reclaimed(bloated, name, estimated))
    warehouse.close()
    return found


def reclaimed(database: Database, table: str, report: BloatReport) -> dict[str, float]:
    found = {}
    for relation in sorted(report.relations, key=lambda relation: not relation.is_index):
        database.execute(f"REINDEX INDEX {relation.name}" if relation.is_index else f"VACUUM FULL {table}")
        after = database.scalar(f"SELECT pg_relation_size('{relation.name}')")
        found[relation.name] = 100 * (1 - after / relation.size_bytes)
    return found


@pytest.mark.parametrize("confirmed", [False, True], ids=["estimated", "confirmed"])
@pytest.mark.parametrize("table", TABLES)
def test_bloat_is_what_a_rebuild_gives_back(measured: dict[str, Measured], table: str, confirmed: bool) -> None:
    report = measured[table].confirmed if confirmed else measured[table].estimated
    real = measured[table].real
    assert not report.not_judged
    for relation in report.relations:
        what = f"{relation.name}: {relation.percent} % by {relation.method}, really {real[relation.name]:.1f} %"
        print(what)
        assert abs(relation.percent - real[relation.name]) <= POINTS, what


def test_there_is_bloat_to_be_found(
    measured: dict[str, Measured],
) -> None:
    """Else the comparison above would prove little."""
    real = [percent for found in measured.values() for percent in found.real.values()]
    assert sum(percent > 50 for percent in real) >= 8
    assert sum(percent < 10 for percent in real) >= 4


def test_a_confirmation_says_how_it_knows(
    measured: dict[str, Measured],
) -> None:
    found = measured["repeated"]
    assert {relation.method for relation in found.estimated.relations} == {"estimate"}
    assert {relation.name: relation.method for relation in found.confirmed.relations} == {
        "repeated": "pgstattuple_approx",
        "repeated_pkey": "pgstatindex",
        "repeated_status": "keys counted",
        "repeated_updated_at": "keys counted",
    }


def test_without_the_extension_the_estimate_stands(warehouse_db: Database) -> None:
    assert {relation.method for relation in bloat_of(warehouse_db, FRESH).relations} <= {"estimate", "keys counted"}


def test_a_role_that_may_not_read_whole_tables_gets_the_estimate(warehouse_db: Database) -> None:
    role = f"plain_{warehouse_db.name}"
    warehouse_db.execute(
        f"CREATE EXTENSION pgstattuple; CREATE ROLE {role} LOGIN; GRANT ALL ON SCHEMA public TO {role};"
        f"GRANT CONNECT ON DATABASE {warehouse_db.name} TO {role}"
    )
    try:
        with warehouse_db.connect(role=role) as connection:
            connection.execute("CREATE TABLE t (id bigint PRIMARY KEY)")
            connection.execute("INSERT INTO t SELECT generate_series(1, 10000)")
            connection.execute("DELETE FROM t WHERE id > 100")
            connection.execute("ANALYZE t")
        warehouse = PostgresWarehouse("w", warehouse_db.dsn_as(role))
        report = warehouse.bloat(Target("w", "public", "t"), CONFIRM_ALL)
        warehouse.close()
        assert {relation.method for relation in report.relations} == {"estimate"}
        assert report.percent > 90
    finally:
        warehouse_db.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


FRESH = "CREATE TABLE t (id bigint PRIMARY KEY, s text); INSERT INTO t SELECT i, 's' FROM generate_series(1, 5000) i;"


def bloat_of(database: Database, script: str) -> BloatReport:
    database.grant("SCHEMA public")
    database.execute(script)
    database.execute("ANALYZE t")
    warehouse = PostgresWarehouse("w", database.dsn)
    try:
        return warehouse.bloat(Target("w", "public", "t"), CONFIRM_ALL)
    finally:
        warehouse.close()


def test_what_cannot_be_judged_is_named(warehouse_db: Database) -> None:
    report = bloat_of(warehouse_db, f"{FRESH} CREATE INDEX h ON t USING hash (s)")
    assert report.not_judged == ("h: bloat of a hash index cannot be estimated",)
    warehouse_db.execute("CREATE TABLE never (id bigint PRIMARY KEY); INSERT INTO never VALUES (1)")
    warehouse = PostgresWarehouse("w", warehouse_db.dsn)
    report = warehouse.bloat(Target("w", "public", "never"), CONFIRM_ALL)
    warehouse.close()
    assert len(report.not_judged) == 2 and all("ANALYZE" in text for text in report.not_judged)


def test_a_skewed_column_is_counted_before_it_is_called_bloated(warehouse_db: Database) -> None:
    """ANALYZE guesses far too few keys here, so that a fresh index looks as if it wasted half of itself."""
    script = """
        CREATE TABLE t (v bigint) WITH (autovacuum_enabled = false);
        INSERT INTO t SELECT 1000000 + i / 3 FROM generate_series(1, 400000) i;
        CREATE INDEX t_v ON t (v);
        ALTER TABLE t ALTER v SET (n_distinct = 500);
    """
    counted = next(r for r in bloat_of(warehouse_db, script).relations if r.name == "t_v")
    warehouse = PostgresWarehouse("w", warehouse_db.dsn)
    guessed = next(r for r in warehouse.bloat(Target("w", "public", "t"), ESTIMATE_ONLY).relations if r.name == "t_v")
    warehouse.close()
    assert guessed.percent > 40
    assert counted.percent < 5


def test_an_index_of_values_that_cannot_be_merged_is_not_thought_small(warehouse_db: Database) -> None:
    """numeric and float have no equal images, and a unique index is never merged: each row has an entry."""
    report = bloat_of(
        warehouse_db,
        "CREATE TABLE t (n numeric, f float8, i int) WITH (autovacuum_enabled = false);"
        "INSERT INTO t SELECT 1, 1, 1 FROM generate_series(1, 50000);"
        "CREATE INDEX t_n ON t (n); CREATE INDEX t_f ON t (f); CREATE INDEX t_i ON t (i);"
        "CREATE INDEX t_off ON t (i) WITH (deduplicate_items = off); CREATE INDEX t_include ON t (i) INCLUDE (f)",
    )
    sizes = {relation.name: relation.size_bytes for relation in report.relations}
    assert sizes["t_i"] < sizes["t_n"] / 2
    for relation in report.indexes:
        assert relation.percent < 10, relation


def test_thresholds() -> None:
    limits, mb = BloatLimits(), 2**20
    assert limits.level(99 * mb, 100 * mb) == "fine"
    assert limits.level(100 * mb, 400 * mb) == "fine"
    assert limits.level(100 * mb, 300 * mb) == "warn"
    assert limits.level(100 * mb, 200 * mb) == "act"
    assert limits.level(1023 * mb, 1024 * mb) == "act"
    assert limits.level(1024 * mb, 1400 * mb) == "error"
    assert BloatLimits(warn=BloatLimit(0, 0)).level(0, 100) == "fine"


def test_the_sums_are_those_of_the_relations() -> None:
    report = BloatReport(
        (
            RelationBloat("t", False, 1000, 100, "estimate"),
            RelationBloat("a", True, 500, 400, "estimate"),
            RelationBloat("b", True, 900, 300, "estimate"),
        )
    )
    assert (report.size_bytes, report.wasted_bytes, report.percent) == (2400, 800, 33.3)
    assert report.worst_index is not None and report.worst_index.name == "a"


def test_an_empty_index_is_two_pages() -> None:
    column = ColumnFacts(8, 8, 0.0, 8, -1)
    assert btree_bytes(0, [column], 90, deduplicates=False) == 2 * 8192
