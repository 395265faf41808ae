"""The ledger: schema `_syncer` of the warehouse, written in the transaction that writes the rows (DESIGN 6).

Redshift enforces no key, and locks whole tables: what must be there once is written under a lock of `_syncer.targets`,
so the loads of a warehouse merge one after another; they stage at once.
"""

import json
from datetime import UTC, datetime
from importlib.resources import files

import psycopg
from psycopg import sql

from ...model.errors import AssertionFailed, IdentityChanged, LostRace
from ...model.manifest import Manifest
from ...model.marks import Mark, encode
from ...model.table import Target
from .. import protocol
from ..base import LedgerRow, LoadPlan, Watermark
from ..postgres.ledger import Counts
from . import catalog, names
from .session import is_conflict, transaction

TABLES_SQL = (files("syncer_assets.warehouses.redshift") / "ledger.sql").read_text(encoding="utf-8")

THERE_ALREADY = ("42P06", "42P07", "42710", "23505")
"""Two sessions made the same schema or table (or its row type): IF NOT EXISTS looks, and does not lock."""

RECORD_SQL = """
INSERT INTO _syncer.loads (target_name, partition_key, seq, superseded_by, manifest_sha256, rows_in, rows_inserted,
    rows_updated, rows_unchanged, rows_stale, rows_deduplicated, rows_deleted, how, seconds, bytes, files, copies,
    run_id, loaded_at)
VALUES {rows}
"""

LOCK_SQL = b"LOCK TABLE _syncer.targets"
"""A transaction sees what was there when it began to read: whoever writes the targets locks them first, and so waits
for another one's end, instead of being told of a conflict (1023) after it."""

LEDGER_SQL = """
SELECT partition_key, seq, superseded_by, manifest_sha256, rows_in, rows_inserted, rows_updated, rows_unchanged,
    rows_stale, rows_deduplicated, rows_deleted, run_id, loaded_at, seconds, bytes, files, copies
FROM _syncer.loads WHERE target_name = {target} {only}
ORDER BY partition_key, seq
"""


def register(connection: psycopg.Connection, target: Target, lake_generation: str) -> None:
    """Make schema, tables and the target's row; raise IdentityChanged where they belong to another lake or table."""
    names.check_target(target)
    _create(connection, target)
    with transaction(connection):
        generation, oid = _row(connection, target)
        current = catalog.table_oid(connection, target)
        if has_loads(connection, target):
            protocol.check_identity(target, lake_generation, generation, current, oid)
        if (generation, oid) != (lake_generation, current):
            _identify(connection, target, lake_generation, current)
        connection.execute("COMMIT")


def adopt(connection: psycopg.Connection, target: Target, lake_generation: str) -> None:
    """Write generation and OID anew; marks and ledger stay. Raises IdentityChanged if there is no table to adopt."""
    names.check_target(target)
    _create(connection, target)
    with transaction(connection):
        _row(connection, target)
        current = catalog.table_oid(connection, target)
        if current is None and has_loads(connection, target):
            raise IdentityChanged(
                "the warehouse table does not exist, so there is nothing to adopt",
                table=target.name,
                fix="load it anew with `syncer run --full`",
            )
        _identify(connection, target, lake_generation, current)
        connection.execute("COMMIT")


def forget(connection: psycopg.Connection, target: Target, partition: str | None) -> None:
    """Drop marks and ledger rows. The epoch moves on, so that a load under way changes nothing any more."""
    if not exists(connection):
        return
    anew = "" if partition is not None else ", target_oid = NULL, lake_generation = NULL"
    with transaction(connection):
        connection.execute(LOCK_SQL)
        connection.execute(
            sql.SQL("UPDATE _syncer.targets SET epoch = epoch + 1, updated_at = {}" + anew + " WHERE {}").format(
                names.moment(_now()), _is(target)
            )
        )
        for table in ("watermarks", "loads"):
            connection.execute(
                sql.SQL("DELETE FROM {} WHERE {}{}").format(
                    sql.Identifier("_syncer", table), _is(target), _only(partition)
                )
            )
        connection.execute("COMMIT")


def watermarks(connection: psycopg.Connection, target: Target, partition: str | None = None) -> list[Watermark]:
    """The marks of the target's partitions, or of one."""
    if not exists(connection):
        return []
    rows = connection.execute(
        sql.SQL(
            "SELECT partition_key, seq, low, safe, high, updated_at, manifest_sha256 FROM _syncer.watermarks"
            " LEFT JOIN _syncer.loads USING (target_name, partition_key, seq) WHERE {}{} ORDER BY partition_key"
        ).format(_is(target), _only(partition))
    )
    return [Watermark(*row) for row in rows]


def rows(connection: psycopg.Connection, target: Target, partition: str | None = None) -> list[LedgerRow]:
    """The manifests that were loaded."""
    if not exists(connection):
        return []
    query = sql.SQL(LEDGER_SQL).format(target=names.text(target.name), only=_only(partition))
    return [LedgerRow(*row) for row in connection.execute(query)]


def has_loads(connection: psycopg.Connection, target: Target) -> bool:
    """Whether a manifest was ever loaded into the target."""
    row = connection.execute(sql.SQL("SELECT COUNT(*) FROM _syncer.loads WHERE {}").format(_is(target))).fetchone()
    return bool(row and row[0])


def exists(connection: psycopg.Connection) -> bool:
    """Whether anything was ever loaded into this database."""
    return catalog.table_oid(connection, Target("", "_syncer", "loads")) is not None


def take_epoch(connection: psycopg.Connection, target: Target) -> int:
    """Make every load of this target that began earlier a stale one. Waits for a merge that is under way.

    Raises LostRace where the target is not registered (any more)."""
    with transaction(connection):
        connection.execute(LOCK_SQL)
        connection.execute(
            sql.SQL("UPDATE _syncer.targets SET epoch = epoch + 1, updated_at = {} WHERE {}").format(
                names.moment(_now()), _is(target)
            )
        )
        row = connection.execute(sql.SQL("SELECT epoch FROM _syncer.targets WHERE {}").format(_is(target))).fetchone()
        connection.execute("COMMIT")
    if row is None:
        raise protocol.unregistered(target)
    return int(row[0])


def fence(connection: psycopg.Connection, plan: LoadPlan, epoch: int) -> None:
    """The transaction's first statements: the lock of the targets, and the epoch under it. Raises LostRace if the epoch
    was taken over."""
    try:
        connection.execute(LOCK_SQL)
        done = connection.execute(
            sql.SQL("UPDATE _syncer.targets SET updated_at = {} WHERE {} AND epoch = {}").format(
                names.moment(_now()), _is(plan.target), names.number(epoch)
            )
        ).rowcount
    except psycopg.Error as error:
        if not is_conflict(error):
            raise
        done = 0
    if done != 1:
        raise LostRace("another load took the target over", table=plan.target.name, partition=plan.partition)


def check_position(connection: psycopg.Connection, plan: LoadPlan) -> None:
    """The watermark must be where the plan was made for; raises LostRace otherwise."""
    found = watermarks(connection, plan.target, plan.partition)
    seq = found[0].seq if found else 0
    if seq != plan.expected_seq:
        raise LostRace(
            f"the warehouse has loaded manifest {seq}, not {plan.expected_seq}",
            table=plan.target.name,
            partition=plan.partition,
        )


def check_table(connection: psycopg.Connection, plan: LoadPlan) -> None:
    """The table must be the registered object; raises IdentityChanged if it was dropped or made anew since."""
    row = connection.execute(
        sql.SQL("SELECT target_oid FROM _syncer.targets WHERE {}").format(_is(plan.target))
    ).fetchone()
    current = catalog.table_oid(connection, plan.target)
    if row and row[0] is not None and row[0] != current:
        raise protocol.other_table(plan.target, dropped=current is None)


def record(
    connection: psycopg.Connection, plan: LoadPlan, counts: dict[int, Counts], *, how: str, seconds: float, copies: int
) -> None:
    """One row a manifest, the marks of the last one, the table's OID.

    What the load took as a whole (`seconds`, COPYs) is told with the last manifest.
    """
    last, now = plan.manifests[-1], _now()
    recorded = [
        _record(plan, manifest, counts[manifest.seq], how, (seconds, copies) if manifest is last else (None, None), now)
        for manifest in plan.manifests
    ]
    connection.execute(sql.SQL(RECORD_SQL).format(rows=sql.SQL(",\n").join(recorded)))
    _advance(connection, plan, now)
    connection.execute(
        sql.SQL("UPDATE _syncer.targets SET target_oid = {} WHERE {}").format(
            names.number(catalog.table_oid(connection, plan.target)), _is(plan.target)
        )
    )


def was_committed(connection: psycopg.Connection, plan: LoadPlan) -> bool:
    """Whether the plan's last manifest is in the ledger. Taking the epoch first waits for the lost session's end."""
    take_epoch(connection, plan.target)
    last = plan.manifests[-1]
    row = connection.execute(
        sql.SQL("SELECT manifest_sha256 FROM _syncer.loads WHERE {}{} AND seq = {}").format(
            _is(plan.target), _only(plan.partition), names.number(last.seq)
        )
    ).fetchone()
    if row is not None and row[0] != last.sha256:
        raise LostRace(
            f"another manifest {last.seq} was loaded meanwhile", table=plan.target.name, partition=plan.partition
        )
    return row is not None


def _advance(connection: psycopg.Connection, plan: LoadPlan, now: datetime) -> None:
    last = plan.manifests[-1]
    marks = (names.number(last.seq), *(names.text(_mark(mark)) for mark in (last.low, last.safe, last.high)))
    if not watermarks(connection, plan.target, plan.partition):
        connection.execute(
            sql.SQL("INSERT INTO _syncer.watermarks VALUES ({})").format(
                sql.SQL(", ").join(
                    [names.text(plan.target.name), names.text(plan.partition), *marks, names.moment(now)]
                )
            )
        )
        return
    moved = connection.execute(
        sql.SQL(
            "UPDATE _syncer.watermarks SET seq = {}, low = {}, safe = {}, high = {}, updated_at = {}"
            " WHERE {}{} AND seq = {}"
        ).format(*marks, names.moment(now), _is(plan.target), _only(plan.partition), names.number(plan.expected_seq))
    ).rowcount
    if moved != 1:
        raise LostRace("another load moved the watermark", table=plan.target.name, partition=plan.partition)


def _record(
    plan: LoadPlan,
    manifest: Manifest,
    counts: Counts,
    how: str,
    whole: tuple[float | None, int | None],
    now: datetime,
) -> sql.Composed:
    accounted = counts.inserted + counts.updated + counts.unchanged + counts.stale + counts.deduplicated
    if counts.rows_in != accounted:
        raise AssertionFailed(
            f"manifest {manifest.seq} brought {counts.rows_in} rows, and {accounted} are accounted for",
            table=plan.target.name,
            partition=plan.partition,
        )
    seconds, copies = whole
    files = [live.file for live in plan.files if live.seq == manifest.seq]
    before = (counts.rows_in, counts.inserted, counts.updated, counts.unchanged, counts.stale, counts.deduplicated)
    values = [
        names.text(plan.target.name),
        names.text(plan.partition),
        names.number(manifest.seq),
        names.number(plan.superseded.get(manifest.seq)),
        names.text(manifest.sha256),
        *(names.number(count) for count in (*before, counts.deleted)),
        names.text(how),
        names.number(seconds),
        names.number(sum(file.bytes for file in files)),
        names.number(len(files)),
        names.number(copies),
        names.text(plan.run_id),
        names.moment(now),
    ]
    return sql.SQL("({})").format(sql.SQL(", ").join(values))


def _mark(mark: Mark | None) -> str | None:
    return None if mark is None else json.dumps(encode(mark), ensure_ascii=False)


def _is(target: Target) -> sql.Composed:
    return sql.SQL("target_name = {}").format(names.text(target.name))


def _only(partition: str | None) -> sql.Composable:
    """` AND ..` for one partition."""
    if partition is None:
        return sql.SQL("")
    return sql.SQL(" AND partition_key = {}").format(names.text(partition))


def _now() -> datetime:
    """A function of the server's would do for a SELECT, but its GETDATE() knows seconds only."""
    return datetime.now(UTC)


def _create(connection: psycopg.Connection, target: Target) -> None:
    try:
        for schema in ("_syncer", target.schema):
            catalog.create_schema(connection, schema)
        if not exists(connection):
            for statement in TABLES_SQL.strip().split(";\n"):
                connection.execute(statement.removesuffix(";").encode())
    except psycopg.Error as error:
        if error.sqlstate not in THERE_ALREADY and not is_conflict(error):
            raise
        raise LostRace("another process is making the ledger's tables", table=target.name) from None


def _row(connection: psycopg.Connection, target: Target) -> tuple[str | None, int | None]:
    """Generation and OID as registered; the target's row is made if it is missing, once, under a lock."""
    connection.execute(LOCK_SQL)
    query = sql.SQL("SELECT lake_generation, target_oid FROM _syncer.targets WHERE {}").format(_is(target))
    row = connection.execute(query).fetchone()
    if row is None:
        connection.execute(
            sql.SQL("INSERT INTO _syncer.targets VALUES ({}, NULL, NULL, 0, {})").format(
                names.text(target.name), names.moment(_now())
            )
        )
    return (row[0], row[1]) if row else (None, None)


def _identify(connection: psycopg.Connection, target: Target, lake_generation: str, oid: int | None) -> None:
    connection.execute(
        sql.SQL("UPDATE _syncer.targets SET lake_generation = {}, target_oid = {}, updated_at = {} WHERE {}").format(
            names.text(lake_generation), names.number(oid), names.moment(_now()), _is(target)
        )
    )
