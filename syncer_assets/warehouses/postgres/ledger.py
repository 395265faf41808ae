"""The ledger: schema `_syncer` of the warehouse, written in the transaction that writes the rows (DESIGN 6)."""

import json
from dataclasses import dataclass
from importlib.resources import files

import psycopg

from ...model.errors import IdentityChanged, LostRace
from ...model.manifest import Manifest
from ...model.marks import Mark, encode
from ...model.table import Target
from .. import protocol
from ..base import LedgerRow, LoadPlan, Watermark
from . import catalog, names

TABLES_SQL = (files("syncer_assets.warehouses.postgres") / "ledger.sql").read_text(encoding="utf-8")
LOCK_KEY = 7092217064
"""Advisory lock of those who create the ledger or a schema. Held for that alone: never while a row is waited for."""

RECORD_SQL = """
INSERT INTO _syncer.loads (target_name, partition_key, seq, superseded_by, manifest_sha256, rows_in, rows_inserted,
    rows_updated, rows_unchanged, rows_stale, rows_deduplicated, rows_deleted, how, seconds, bytes, files, copies,
    wal_bytes, run_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
"""

ADVANCE_SQL = """
INSERT INTO _syncer.watermarks AS w (target_name, partition_key, seq, low, safe, high)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (target_name, partition_key) DO UPDATE
SET seq = excluded.seq, low = excluded.low, safe = excluded.safe, high = excluded.high, updated_at = now()
WHERE w.seq = $7
"""

FORGET_SQL = """
UPDATE _syncer.targets SET epoch = epoch + 1, updated_at = now(),
    target_oid = CASE WHEN $2::text IS NOT NULL THEN target_oid END,
    lake_generation = CASE WHEN $2::text IS NOT NULL THEN lake_generation END
WHERE target_name = $1
"""

LEDGER_SQL = """
SELECT partition_key, seq, superseded_by, manifest_sha256, rows_in, rows_inserted, rows_updated, rows_unchanged,
    rows_stale, rows_deduplicated, rows_deleted, run_id, loaded_at, seconds, {}
FROM _syncer.loads WHERE target_name = $1 AND ($2::text IS NULL OR partition_key = $2)
ORDER BY partition_key, seq
"""
FIGURES = "bytes, files, copies, wal_bytes"
"""Columns of `_syncer.loads` that a ledger of an earlier release lacks until the next load adds them."""


@dataclass
class Counts:
    """What became of the rows of one manifest."""

    rows_in: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0
    deduplicated: int = 0
    deleted: int = 0


def register(connection: psycopg.Connection, target: Target, lake_generation: str) -> None:
    """Make schema, tables and the target's row; raise IdentityChanged where they belong to another lake or table."""
    names.check_target(target)
    _create(connection, target)
    with connection.transaction():
        connection.execute(
            "INSERT INTO _syncer.targets (target_name) VALUES ($1) ON CONFLICT DO NOTHING", (target.name,)
        )
        row = connection.execute(
            "SELECT lake_generation, target_oid FROM _syncer.targets WHERE target_name = $1 FOR UPDATE",
            (target.name,),
        ).fetchone()
        assert row is not None
        generation, oid = row
        current = catalog.table_oid(connection, target)
        if has_loads(connection, target):
            protocol.check_identity(target, lake_generation, generation, current, oid)
        if (generation, oid) != (lake_generation, current):
            _identify(connection, target, lake_generation, current)


def adopt(connection: psycopg.Connection, target: Target, lake_generation: str) -> None:
    """Write generation and OID anew; marks and ledger stay. Raises IdentityChanged if there is no table to adopt."""
    names.check_target(target)
    _create(connection, target)
    with connection.transaction():
        connection.execute(
            "INSERT INTO _syncer.targets (target_name) VALUES ($1) ON CONFLICT DO NOTHING", (target.name,)
        )
        current = catalog.table_oid(connection, target)
        if current is None and has_loads(connection, target):
            raise IdentityChanged(
                "the warehouse table does not exist, so there is nothing to adopt",
                table=target.name,
                fix="load it anew with `syncer run --full`",
            )
        _identify(connection, target, lake_generation, current)


def forget(connection: psycopg.Connection, target: Target, partition: str | None) -> None:
    """Drop marks and ledger rows. The epoch moves on, so that a load under way changes nothing any more."""
    if not exists(connection):
        return
    with connection.transaction():
        connection.execute(FORGET_SQL, (target.name, partition))
        for table in (b"watermarks", b"loads"):
            connection.execute(
                b"DELETE FROM _syncer.%s WHERE target_name = $1 AND ($2::text IS NULL OR partition_key = $2)" % table,
                (target.name, partition),
            )


def watermarks(connection: psycopg.Connection, target: Target, partition: str | None = None) -> list[Watermark]:
    """The marks of the target's partitions, or of one."""
    if not exists(connection):
        return []
    rows = connection.execute(
        "SELECT partition_key, seq, low, safe, high, updated_at, manifest_sha256 FROM _syncer.watermarks"
        " LEFT JOIN _syncer.loads USING (target_name, partition_key, seq)"
        " WHERE target_name = $1 AND ($2::text IS NULL OR partition_key = $2) ORDER BY partition_key",
        (target.name, partition),
    )
    return [Watermark(*row) for row in rows]


def rows(connection: psycopg.Connection, target: Target, partition: str | None = None) -> list[LedgerRow]:
    """The manifests that were loaded."""
    if not exists(connection):
        return []
    query = LEDGER_SQL.format(FIGURES if has_figures(connection) else "NULL, NULL, NULL, NULL")
    return [LedgerRow(*row) for row in connection.execute(query.encode(), (target.name, partition))]


def exists(connection: psycopg.Connection) -> bool:
    """Whether anything was ever loaded into this database."""
    row = connection.execute("SELECT to_regclass('_syncer.loads') IS NOT NULL").fetchone()
    return bool(row and row[0])


def has_figures(connection: psycopg.Connection) -> bool:
    """Whether the ledger has what a load took: one of an earlier release gets it by its next load."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('_syncer.loads')"
        " AND attname = 'wal_bytes' AND NOT attisdropped)"
    ).fetchone()
    return bool(row and row[0])


def has_loads(connection: psycopg.Connection, target: Target) -> bool:
    """Whether a manifest was ever loaded into the target."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM _syncer.loads WHERE target_name = $1)", (target.name,)
    ).fetchone()
    return bool(row and row[0])


def take_epoch(connection: psycopg.Connection, target: Target) -> int:
    """Make every load of this target that began earlier a stale one. Waits for a merge that is under way.

    Raises LostRace where the target is not registered (any more)."""
    try:
        row = connection.execute(
            "UPDATE _syncer.targets SET epoch = epoch + 1, updated_at = now() WHERE target_name = $1 RETURNING epoch",
            (target.name,),
        ).fetchone()
    except psycopg.errors.UndefinedTable:
        row = None
    if row is None:
        raise protocol.unregistered(target)
    return row[0]


def fence(connection: psycopg.Connection, plan: LoadPlan, epoch: int) -> None:
    """The transaction's first statement: it locks the target's row. Raises LostRace if the epoch was taken over."""
    try:
        done = connection.execute(
            "UPDATE _syncer.targets SET updated_at = now() WHERE target_name = $1 AND epoch = $2",
            (plan.target.name, epoch),
        ).rowcount
    except psycopg.errors.SerializationFailure:
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
        "SELECT target_oid FROM _syncer.targets WHERE target_name = $1", (plan.target.name,)
    ).fetchone()
    current = catalog.table_oid(connection, plan.target)
    if row and row[0] is not None and row[0] != current:
        raise protocol.other_table(plan.target, dropped=current is None)


def record(
    connection: psycopg.Connection,
    plan: LoadPlan,
    counts: dict[int, Counts],
    *,
    how: str,
    seconds: float,
    wal_bytes: int | None,
) -> None:
    """One row a manifest, the marks of the last one, the table's OID.

    What the load took as a whole (`seconds`, COPYs, `wal_bytes` up to here) is told with the last manifest.
    """
    last = plan.manifests[-1]
    whole = (seconds, 1 if plan.files else 0, wal_bytes)
    with connection.cursor() as cursor:
        cursor.executemany(
            RECORD_SQL,
            [
                _record(plan, manifest, counts[manifest.seq], how, whole if manifest is last else (None, None, None))
                for manifest in plan.manifests
            ],
        )
    moved = connection.execute(
        ADVANCE_SQL,
        (
            *(plan.target.name, plan.partition, last.seq),
            *(_mark(last.low), _mark(last.safe), _mark(last.high), plan.expected_seq),
        ),
    ).rowcount
    if moved != 1:
        raise LostRace("another load moved the watermark", table=plan.target.name, partition=plan.partition)
    connection.execute(
        "UPDATE _syncer.targets SET target_oid = $2 WHERE target_name = $1 AND target_oid IS DISTINCT FROM $2::oid",
        (plan.target.name, catalog.table_oid(connection, plan.target)),
    )


def was_committed(connection: psycopg.Connection, plan: LoadPlan) -> bool:
    """Whether the plan's last manifest is in the ledger. Taking the epoch first waits for the lost session's end."""
    take_epoch(connection, plan.target)
    last = plan.manifests[-1]
    row = connection.execute(
        "SELECT manifest_sha256 FROM _syncer.loads WHERE target_name = $1 AND partition_key = $2 AND seq = $3",
        (plan.target.name, plan.partition, last.seq),
    ).fetchone()
    if row is not None and row[0] != last.sha256:
        raise LostRace(
            f"another manifest {last.seq} was loaded meanwhile", table=plan.target.name, partition=plan.partition
        )
    return row is not None


def _record(
    plan: LoadPlan,
    manifest: Manifest,
    counts: Counts,
    how: str,
    whole: tuple[float | None, int | None, int | None],
) -> tuple:
    seconds, copies, wal_bytes = whole
    files = [live.file for live in plan.files if live.seq == manifest.seq]
    return (
        *(plan.target.name, plan.partition, manifest.seq, plan.superseded.get(manifest.seq), manifest.sha256),
        *(counts.rows_in, counts.inserted, counts.updated, counts.unchanged, counts.stale, counts.deduplicated),
        *(counts.deleted, how, seconds, sum(file.bytes for file in files), len(files), copies, wal_bytes, plan.run_id),
    )


def _mark(mark: Mark | None) -> str | None:
    return None if mark is None else json.dumps(encode(mark), ensure_ascii=False)


def _create(connection: psycopg.Connection, target: Target) -> None:
    """Make what is missing. The lock is all targets': it is given up before a row of any of them is waited for."""
    schemas = ("_syncer", target.schema)
    if has_figures(connection) and all(catalog.has_schema(connection, schema) for schema in schemas):
        return
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock($1)", (LOCK_KEY,))
        for schema in schemas:
            catalog.create_schema(connection, schema)
        if not has_figures(connection):
            connection.execute(TABLES_SQL.encode())


def _identify(connection: psycopg.Connection, target: Target, lake_generation: str, oid: int | None) -> None:
    connection.execute(
        "UPDATE _syncer.targets SET lake_generation = $2, target_oid = $3, updated_at = now() WHERE target_name = $1",
        (target.name, lake_generation, oid),
    )
