"""What the tests of types share: a table without a cursor, read whole, loaded, compared and shown."""

from contextlib import closing

from psycopg import sql

from syncer_assets.model.table import TableSpec
from syncer_assets.sync.checksum import compare
from syncer_assets_tests.sources.mysql.rig import MariaRig
from syncer_assets_tests.sync.tables import spec_of


def whole(**fields: object) -> TableSpec:
    return spec_of("orders", (), load="replace", **fields)


def load_and_compare(rig: MariaRig, spec: TableSpec) -> None:
    rig.sync(spec)
    rig.load(spec)
    found = compare(rig.source, rig.warehouse, spec, rig.target)
    assert (found.equal, found.buckets_different, found.rows_source) == (True, 0, found.rows_target)


def shown(rig: MariaRig, column: str) -> list[str | None]:
    statement = sql.SQL("SELECT {}::text FROM shop.orders ORDER BY id").format(sql.Identifier(column))
    with rig.warehouse_db.connect() as connection:
        connection.execute("SET timezone = 'UTC'")
        return [row[0] for row in connection.execute(statement)]


def execute_anything(rig: MariaRig, query: str, values: tuple[object, ...] | None = None) -> None:
    """Runs one statement in a session that accepts dates which do not exist."""
    with closing(rig.maria.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = 'ALLOW_INVALID_DATES'")
        cursor.execute(query, values)
