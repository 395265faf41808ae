"""The core table: typed columns of the raw documents, in one transaction.

Incremental loads take the raw rows above the mark. Their stamps grow in the order of the commits (`load.STAMP_SQL`), so
whoever commits later has a higher one, and a snapshot that sees the raw table's stamp has seen every row below it.
"""

import hashlib
import time
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql

from ....model.errors import AssertionFailed, ConfigError, LostRace, SchemaChanged
from ....model.files import CoreReport, CoreSpec, FileSpec, beside
from ....model.report import CheckResult, Emit
from .. import catalog, ledger, names
from ..session import Sessions, commit, transaction
from . import core_stage
from .core_stage import STAGE

OWN = ("id", "_updated_at")

REJECTS_SQL = """
CREATE TABLE IF NOT EXISTS {rejects} (
    id          {id_type} NOT NULL,
    column_name text NOT NULL,
    reason      text NOT NULL,
    value       text,
    rejected_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, column_name)
)
"""
BEGIN_SQL = """
INSERT INTO _syncer.cores AS c (target_name, raw_name, declared, run_id) VALUES ($1, $2, '', $3)
ON CONFLICT (target_name) DO UPDATE SET run_id = excluded.run_id RETURNING declared, upto
"""
"""The transaction's first statement: two loads of one core table cannot both go on."""
STAMP_SQL = "SELECT updated_at FROM _syncer.targets WHERE target_name = $1"
DONE_SQL = "UPDATE _syncer.cores SET declared = $2, upto = $3, loaded_at = now() WHERE target_name = $1"
DELETED_SQL = "SELECT EXISTS (SELECT FROM _syncer.files WHERE target_name = $1 AND deleted_at > $2)"

VERDICTS_SQL = """
CREATE TEMP TABLE _syncer_core_verdicts ON COMMIT DROP AS
SELECT s.ctid AS place, c.id IS NULL AS is_new
FROM {stage} s LEFT JOIN {core} c ON c.id = s.id
WHERE NOT s._syncer_bad AND (c.id IS NULL OR ROW({staged})::record *<> ROW({present})::record)
"""
INSERT_SQL = """
INSERT INTO {core} (id, {columns}, _updated_at) SELECT s.id, {staged}, $1
FROM {stage} s JOIN _syncer_core_verdicts v ON v.place = s.ctid AND v.is_new
"""
INSERT_ALL_SQL = """
INSERT INTO {core} (id, {columns}, _updated_at) SELECT s.id, {staged}, $1 FROM {stage} s WHERE NOT s._syncer_bad
"""
UPDATE_SQL = """
UPDATE {core} c SET {assignments}, _updated_at = $1
FROM {stage} s JOIN _syncer_core_verdicts v ON v.place = s.ctid AND NOT v.is_new WHERE c.id = s.id
"""
FORGET_REJECTS_SQL = "DELETE FROM {rejects} r USING {stage} s WHERE r.id = s.id"
DROP_BAD_SQL = "DELETE FROM {core} c USING {stage} s WHERE c.id = s.id AND s._syncer_bad"
DROP_LEFT_OUT_SQL = """
DELETE FROM {core} c USING {raw} r
WHERE r.id = c.id AND {window} AND NOT EXISTS (SELECT FROM {stage} s WHERE s.id = c.id)
"""
"""Documents of the window that the query leaves out by now."""
DROP_GONE_SQL = "DELETE FROM {table} c WHERE NOT EXISTS (SELECT FROM {raw} r WHERE r.id = c.id)"
MISSING_SQL = """
SELECT count(*), (SELECT pg_relation_size(c.oid) FROM pg_class c WHERE c.oid = {raw_name}::regclass)
FROM {stage} s WHERE NOT EXISTS (SELECT FROM {core} c WHERE c.id = s.id)
AND NOT EXISTS (SELECT FROM {rejects} r WHERE r.id = s.id)
"""
COUNT_SQL = "SELECT (SELECT count(*) FROM {raw}), (SELECT count(*) FROM {core})"
COUNTED_BYTES = 2_000_000_000
"""Up to this size a raw table is counted at each load; a larger one only when it is loaded in full."""


@dataclass(frozen=True)
class Core:
    """A core table and where it comes from."""

    connection: psycopg.Connection
    spec: FileSpec
    core: CoreSpec

    @property
    def declared(self) -> str:
        """Changes with what the YAML says of the table, and with the raw and the core table themselves."""
        oids = (catalog.table_oid(self.connection, table) for table in (self.spec.target, self.core.target))
        meaning = repr((self.core.columns, self.core.query, *oids))
        return hashlib.sha256(meaning.encode()).hexdigest()

    def sql(self, query: str, columns: tuple[str, ...] = (), **parts: sql.Composable) -> sql.Composed:
        assignments = sql.SQL(", ").join(sql.SQL("{0} = s.{0}").format(names.column(name)) for name in columns)
        return sql.SQL(query).format(  # type: ignore[arg-type]  # the constants of these modules
            raw=names.table(self.spec.target),
            core=names.table(self.core.target),
            rejects=names.table(beside(self.spec.target, "core_rejects")),
            stage=STAGE,
            raw_name=sql.Literal(names.table(self.spec.target).as_string()),
            columns=names.columns(columns),
            staged=names.columns(columns, "s"),
            present=names.columns(columns, "c"),
            assignments=assignments,
            **parts,
        )


def load(sessions: Sessions, spec: FileSpec, core_spec: CoreSpec, *, full: bool, run_id: str, emit: Emit) -> CoreReport:
    """Bring the core table up to the raw one. Raises SchemaChanged, ConfigError, AssertionFailed, DbError."""
    started, target = time.monotonic(), core_spec.target.name
    connection = sessions.open()
    try:
        with sessions.errors("load", target):
            core = Core(connection, spec, core_spec)
            _prepare(core)
            with transaction(connection):
                report = _load(core, run_id, full)
                with sessions.errors("commit", target):
                    commit(connection)
    finally:
        connection.close()
    report.seconds = round(time.monotonic() - started, 3)
    emit("core loaded", table=target, rows=report.rows, rejected=report.rejected, reason=report.reason)
    return report


def try_out(connection: psycopg.Connection, spec: FileSpec, core_spec: CoreSpec) -> None:
    """A load of no documents, in the caller's transaction: what the declaration asks for is there, or can be made.

    Raises what `load` raises."""
    core = Core(connection, spec, core_spec)
    _prepare(core)
    columns = core_stage.stage(connection, spec, core_spec, sql.SQL("false"))
    oid = catalog.table_oid(connection, core_spec.target)
    if oid is None:
        _shape(core, columns)
    else:
        _missing(core, oid, columns)


def _prepare(core: Core) -> None:
    names.check_target(core.core.target)
    with core.connection.transaction():
        core.connection.execute("SELECT pg_advisory_xact_lock($1)", (ledger.LOCK_KEY,))
        if catalog.table_oid(core.connection, core.spec.target) is None:
            raise ConfigError("its raw table is not there", table=core.core.target.name, fix="load its files first")
        catalog.create_schema(core.connection, core.core.target.schema)
        core.connection.execute(core.sql(REJECTS_SQL, id_type=core_stage.id_type(core.spec)))


def _load(core: Core, run_id: str, full: bool) -> CoreReport:
    connection, target, raw = core.connection, core.core.target, core.spec.target
    report = CoreReport(target.name, core.core.load)
    row = connection.execute(BEGIN_SQL, (target.name, raw.name, run_id)).fetchone()
    stamp = connection.execute(STAMP_SQL, (raw.name,)).fetchone()
    oid = catalog.table_oid(connection, raw)
    assert row is not None and stamp is not None and oid is not None
    if not catalog.is_as_seen(connection, raw, oid):
        raise LostRace("somebody rewrote the raw table meanwhile", table=target.name)
    declared, upto = row
    since: datetime | None = upto
    if full or core.core.load == "full":
        since, report.reason = None, "full"
    elif upto is None or declared != core.declared:
        since, report.reason = None, "first load" if upto is None else "the declaration or a table changed"
    if since is not None and since == stamp[0]:
        report.nothing_new = True
        report.checks = [CheckResult("row_count", True, description="nothing new in the raw table")]
        return report
    report.load = "full" if since is None else "incremental"
    window = _window(since)
    columns = core_stage.stage(connection, core.spec, core.core, window)
    is_new = _shape(core, columns)
    _write(core, report, tuple(columns), window, is_new, full=since is None)
    if since is not None and connection.execute(DELETED_SQL, (raw.name, since)).fetchone() == (True,):
        report.rows_deleted += _drop_gone(core)
    _check(core, report)
    connection.execute(DONE_SQL, (target.name, core.declared, stamp[0]))
    return report


def _window(since: datetime | None) -> sql.Composable:
    if since is None:
        return sql.SQL("true")
    return sql.SQL("r._updated_at > {}").format(sql.Literal(since))


def _shape(core: Core, columns: dict[str, str]) -> bool:
    """Make the table, or add columns to it; whether it is new. Raises SchemaChanged for a column of another type."""
    connection = core.connection
    oid = catalog.table_oid(connection, core.core.target)
    typed = {name: sql.SQL("{} {}").format(names.column(name), sql.SQL(kind)) for name, kind in columns.items()}  # type: ignore[arg-type]  # the catalogue's spelling
    if oid is None:
        body = [
            sql.SQL("id {} PRIMARY KEY").format(core_stage.id_type(core.spec)),
            *typed.values(),
            sql.SQL("_updated_at timestamptz NOT NULL"),
        ]
        connection.execute(core.sql("CREATE TABLE {core} ({body})", body=sql.Composed(body).join(", ")))
        return True
    for name in _missing(core, oid, columns):
        connection.execute(core.sql("ALTER TABLE {core} ADD COLUMN {typed}", typed=typed[name]))
    return False


def _missing(core: Core, oid: int, columns: dict[str, str]) -> list[str]:
    """The columns that the table has not. Raises SchemaChanged for one of another type."""
    present = {column.name: column.type for column in catalog.columns(core.connection, oid)}
    for name, kind in columns.items():
        if present.get(name, kind) != kind:
            raise SchemaChanged(
                f"column {name!r} is {present[name]} in the table and {kind} by its declaration",
                table=core.core.target.name,
                fix="change one of the two, or drop the table: it is made anew from the raw one",
            )
    return [name for name in columns if name not in present]


def _write(
    core: Core, report: CoreReport, columns: tuple[str, ...], window: sql.Composable, is_new: bool, *, full: bool
) -> None:
    connection = core.connection

    def run(query: str, *values: object, **parts: sql.Composable) -> int:
        return connection.execute(core.sql(query, columns, **parts), values).rowcount

    staged, bad = core_stage.counts(connection)
    report.rows = staged
    run(FORGET_REJECTS_SQL)
    if bad:
        report.rejected = core_stage.reject(connection, core, window)
        if report.rejected != bad:
            raise AssertionFailed(f"{bad} rows do not convert, {report.rejected} say why", table=report.target)
    stamp = connection.execute("SELECT clock_timestamp()").fetchone()
    assert stamp is not None
    if is_new:
        report.rows_inserted = run(INSERT_ALL_SQL, stamp[0])
        return
    run(VERDICTS_SQL)
    connection.execute("ANALYZE _syncer_core_verdicts")
    if bad:
        report.rows_deleted += run(DROP_BAD_SQL)
    report.rows_updated = run(UPDATE_SQL, stamp[0])
    report.rows_inserted = run(INSERT_SQL, stamp[0])
    report.rows_unchanged = staged - bad - report.rows_updated - report.rows_inserted
    if full:
        report.rows_deleted += _drop_gone(core)
    if core.core.query:
        report.rows_deleted += run(DROP_LEFT_OUT_SQL, window=window)


def _drop_gone(core: Core) -> int:
    """Rows whose document is gone from the raw table."""
    run = core.connection.execute
    run(core.sql(DROP_GONE_SQL, table=names.table(beside(core.spec.target, "core_rejects"))))
    return run(core.sql(DROP_GONE_SQL, table=names.table(core.core.target))).rowcount


def _check(core: Core, report: CoreReport) -> None:
    """Each staged document is a row or a reject; and so is every one of the raw table, where counting it is no great
    work. A query may leave some out. Raises AssertionFailed; nothing is committed."""
    connection = core.connection
    row = connection.execute(core.sql(MISSING_SQL)).fetchone()
    rejected = connection.execute(core.sql("SELECT count(DISTINCT id) FROM {rejects}")).fetchone()
    assert row is not None and rejected is not None
    missing, raw_bytes = row
    report.rows_rejected_in_all = rejected[0]
    said = f"{report.rows:,} new or changed documents are rows or rejects"
    if report.load == "full" or raw_bytes < COUNTED_BYTES:
        counted = connection.execute(core.sql(COUNT_SQL)).fetchone()
        assert counted is not None
        report.rows_in_raw, report.rows_in_core = counted
        found = report.rows_in_core + report.rows_rejected_in_all
        said = f"{report.rows_in_raw:,} raw = {report.rows_in_core:,} core + {report.rows_rejected_in_all:,} rejected"
        if core.core.query:
            said += f" + {report.rows_in_raw - found:,} left out by the query"
        missing += abs(report.rows_in_raw - found) if not core.core.query else max(0, found - report.rows_in_raw)
    if missing:
        raise AssertionFailed(
            f"not every document is a row or a reject: {said}",
            table=report.target,
            fix="nobody else may write to the table; load it in full",
        )
    table = beside(core.spec.target, "core_rejects").name
    told = f"{report.rows_rejected_in_all:,} documents are in {table}" if report.rows_rejected_in_all else ""
    report.checks = [
        CheckResult("row_count", True, description=said),
        CheckResult("rejects", not report.rows_rejected_in_all, severity="WARN", description=told),
    ]
