"""The tables that files are loaded into, and the ledger that knows which ones were."""

from importlib.resources import files

import psycopg
from psycopg import sql

from ....model.errors import ConfigError, IdentityChanged
from ....model.files import CoreMark, FileLoad, FileSpec, LoadedFile, RefusedFile, beside
from ....model.table import Target
from .. import catalog, ledger, names

TABLES_SQL = (files("syncer_assets.warehouses.postgres.files") / "tables.sql").read_text(encoding="utf-8")
OLDEST_SERVER = 160_000
"""`pg_input_is_valid` judges a value without an error: PostgreSQL 16."""

RAW_SQL = """
CREATE TABLE IF NOT EXISTS {raw} (
    id          {id_type} PRIMARY KEY,
    raw_data    jsonb NOT NULL,
    source_file text COLLATE "C" NOT NULL,
    run_id      text NOT NULL,
    _loaded_at  timestamptz NOT NULL,
    _updated_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS {updated} ON {raw} (_updated_at);
CREATE TABLE IF NOT EXISTS {rejects} (
    file        text COLLATE "C" NOT NULL,
    line_number bigint NOT NULL,
    byte_offset bigint NOT NULL,
    reason      text NOT NULL,
    raw         bytea NOT NULL,
    run_id      text NOT NULL,
    rejected_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (file, line_number)
)
"""

LOADED_SQL = """
SELECT path, etag, modified, lines, loaded, rejected, duplicates, inserted, updated, unchanged, loaded_at, reload
FROM _syncer.files WHERE target_name = $1
"""

HISTORY_SQL = """
SELECT path, partition_key, size, lines, inserted, updated, unchanged, rejected, duplicates, {seconds}, loaded_at
FROM _syncer.files WHERE target_name = $1 ORDER BY loaded_at, path
"""
TELLS_SECONDS_SQL = """
SELECT FROM pg_attribute WHERE attrelid = to_regclass('_syncer.files') AND attname = 'seconds' AND NOT attisdropped
"""
MARK_SQL = """
SELECT (SELECT updated_at FROM _syncer.targets WHERE target_name = $1), upto, loaded_at
FROM _syncer.cores WHERE target_name = $2
"""


def prepare(connection: psycopg.Connection, spec: FileSpec) -> None:
    """Make what is missing. Raises IdentityChanged, or ConfigError for an older server than 16.

    It waits for no load: where all is there, nothing is locked that a load holds until its commit."""
    target = spec.target
    if connection.info.server_version < OLDEST_SERVER:
        raise ConfigError("files need PostgreSQL 16 or newer", table=target.name, fix="upgrade the warehouse")
    for table in (target, spec.rejects, beside(target, "core_rejects")):
        names.check_target(table)
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock($1)", (ledger.LOCK_KEY,))
        for schema in ("_syncer", target.schema):
            catalog.create_schema(connection, schema)
        if not _exists(connection, "targets"):
            connection.execute(ledger.TABLES_SQL.encode())
        if not (_exists(connection, "cores") and _tells_seconds(connection)):
            connection.execute(TABLES_SQL.encode())
        _check_identity(connection, target)
        if not all(catalog.table_oid(connection, table) for table in (target, spec.rejects)):
            connection.execute(_raw(spec))
        _identify(connection, target)


def forget(connection: psycopg.Connection, spec: FileSpec) -> None:
    """Every file is to be loaded anew, as if it had changed; for a table that was dropped or made anew, as new."""
    if not _exists(connection, "cores"):
        return
    with connection.transaction():
        row = connection.execute(
            "SELECT target_oid FROM _syncer.targets WHERE target_name = $1 FOR UPDATE", (spec.target.name,)
        ).fetchone()
        if row is not None and row[0] == catalog.table_oid(connection, spec.target):
            connection.execute("UPDATE _syncer.files SET etag = '' WHERE target_name = $1", (spec.target.name,))
            return
        for table in ("files", "refused_files", "file_overlaps"):
            query = sql.SQL("DELETE FROM {} WHERE target_name = $1").format(sql.Identifier("_syncer", table))
            connection.execute(query, (spec.target.name,))
        connection.execute("UPDATE _syncer.targets SET target_oid = NULL WHERE target_name = $1", (spec.target.name,))


def loaded(connection: psycopg.Connection, target: Target) -> dict[str, LoadedFile]:
    """The files in the ledger."""
    if not _exists(connection, "files"):
        return {}
    return {row[0]: LoadedFile(*row) for row in connection.execute(LOADED_SQL, (target.name,))}


def refused(connection: psycopg.Connection, target: Target) -> dict[str, RefusedFile]:
    """The files that were refused."""
    if not _exists(connection, "refused_files"):
        return {}
    rows = connection.execute(
        "SELECT path, etag, reason FROM _syncer.refused_files WHERE target_name = $1", (target.name,)
    )
    return {row[0]: RefusedFile(*row) for row in rows}


def history(connection: psycopg.Connection, target: Target) -> list[FileLoad]:
    """The last load of each file, oldest first."""
    if not _exists(connection, "files"):
        return []
    seconds = "seconds" if _tells_seconds(connection) else "NULL::float8"
    rows = connection.execute(HISTORY_SQL.format(seconds=seconds).encode(), (target.name,))
    return [FileLoad(*row) for row in rows]


def core_mark(connection: psycopg.Connection, target: Target, core: Target) -> CoreMark | None:
    """How far a core table is."""
    if not _exists(connection, "cores"):
        return None
    row = connection.execute(MARK_SQL, (target.name, core.name)).fetchone()
    return CoreMark(*row) if row else None


def id_type(spec: FileSpec) -> sql.SQL:
    """The type of the raw table's key."""
    return sql.SQL('text COLLATE "C"' if spec.id.type == "text" else spec.id.type)


def index_name(target: Target, suffix: str) -> str:
    """The name of an index of ours, which lies in the table's schema."""
    return names.cut(f"{target.table}_{suffix}")


def _raw(spec: FileSpec) -> sql.Composed:
    return sql.SQL(RAW_SQL).format(
        raw=names.table(spec.target),
        rejects=names.table(spec.rejects),
        id_type=id_type(spec),
        updated=sql.Identifier(index_name(spec.target, "updated_at")),
    )


def _exists(connection: psycopg.Connection, table: str) -> bool:
    return connection.execute("SELECT to_regclass($1) IS NOT NULL", (f"_syncer.{table}",)).fetchone() == (True,)


def _tells_seconds(connection: psycopg.Connection) -> bool:
    """Not the ledger of an earlier release."""
    return connection.execute(TELLS_SECONDS_SQL).fetchone() is not None


def _is_loaded(connection: psycopg.Connection, target: Target) -> bool:
    query = "SELECT EXISTS (SELECT FROM _syncer.files WHERE target_name = $1)"
    return connection.execute(query, (target.name,)).fetchone() == (True,)


def _check_identity(connection: psycopg.Connection, target: Target) -> None:
    """The table must be the one that the ledger's files were loaded into."""
    row = connection.execute("SELECT target_oid FROM _syncer.targets WHERE target_name = $1", (target.name,)).fetchone()
    oid = catalog.table_oid(connection, target)
    if row is None or row[0] == oid or not _is_loaded(connection, target):
        return
    what = "was dropped" if oid is None else "is another one by now (it was dropped and made anew)"
    raise IdentityChanged(
        f"the raw table {what}, and the ledger says that files are loaded into it",
        table=target.name,
        fix="load them anew with `syncer run --full`",
    )


def _identify(connection: psycopg.Connection, target: Target) -> None:
    oid = catalog.table_oid(connection, target)
    row = connection.execute("SELECT target_oid FROM _syncer.targets WHERE target_name = $1", (target.name,)).fetchone()
    if row is None:
        connection.execute("INSERT INTO _syncer.targets (target_name, target_oid) VALUES ($1, $2)", (target.name, oid))
    elif row[0] != oid:
        connection.execute("UPDATE _syncer.targets SET target_oid = $2 WHERE target_name = $1", (target.name, oid))
