"""The oracle: what must hold after any fault and one more run (the invariants I1-I8 and I11 of DESIGN 6's protocol).

It reads lake and warehouse by its own means, JSON and SQL, so that it does not share the engine's mistakes.
"""

import hashlib
import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import obstore
import pyarrow.parquet as pq
from psycopg import sql

from syncer_assets.model.table import TableSpec, Target
from syncer_assets.sources.postgres import PostgresSource
from syncer_assets.sync.checksum import compare
from syncer_assets.sync.lake import Lake
from syncer_assets.warehouses.postgres import PostgresWarehouse
from syncer_assets_tests.faults import record
from syncer_assets_tests.faults.job import lake_objects
from syncer_assets_tests.servers import Database, poll

Marks = dict[tuple[str, str], list[str] | None]
"""`safe` of each (table, partition)."""

_KNOWN = re.compile(
    r"_lake\.json|[^/]+/[^/]+/(_table\.json|_density\.json|_registered/[^/]+\.json|[^/]+/_manifests/\d{8}\.json"
    r"|[^/]+/data/\d{8}-[0-9a-f]+/part-\d{5}\.parquet)"
)


def assert_invariants(
    source: Database,
    lake: Lake,
    warehouse: Database,
    specs: Sequence[tuple[TableSpec, Target]],
    *,
    since: Marks | None = None,
    converged: bool = True,
) -> Marks:
    """Assert I1-I7, I9 and I11 of these tables, the only ones in the lake. Gives the marks for the next call's `since`.

    `converged`: the source is quiet and a run went through since, so that the warehouse equals the source (I6).
    """
    objects = lake_objects(lake)
    strange = [path for path in objects if not _KNOWN.fullmatch(path)]
    assert not strange, f"objects that nobody knows, such as uploads that were cut off: {strange}"
    named: set[str] = set()
    marks: Marks = {}
    for spec, target in specs:
        partitions = _manifests(lake, objects, spec)
        for partition, manifests in partitions.items():
            named |= _assert_files(lake, spec, manifests)
            marks[spec.table, partition] = _assert_marks(spec, manifests, (since or {}).get((spec.table, partition)))
            _assert_ledger(warehouse, spec, target, partition, manifests, converged=converged)
        _assert_target(lake, warehouse, target)
        if converged:
            _assert_same_rows(source, warehouse, spec, target, partitions)
    orphans = {path for path in objects if "/data/" in path} - named
    record.counted(orphans=len(orphans))
    assert not orphans, f"I9: data objects that no manifest names: {sorted(orphans)}"
    _assert_nothing_left_over(warehouse)
    if converged:
        record.whole()
    return marks


@dataclass(frozen=True)
class Footprint:
    """Where each row of a table lies and which transaction wrote it: equal footprints mean that nothing was written."""

    rows: frozenset[tuple[str, str]]
    ledger: tuple[tuple, ...]
    heap_bytes: int
    index_bytes: int

    @classmethod
    def of(cls, warehouse: Database, target: Target) -> "Footprint":
        table = _identifier(target.name)
        with warehouse.connect() as connection:
            rows = connection.execute(sql.SQL("SELECT ctid::text, xmin::text FROM {}").format(table)).fetchall()
            ledger = connection.execute(
                "SELECT partition_key, seq, loaded_at FROM _syncer.loads WHERE target_name = %s ORDER BY 1, 2",
                [target.name],
            ).fetchall()
            sizes = connection.execute(
                sql.SQL("SELECT pg_relation_size({0}::regclass), pg_indexes_size({0}::regclass)").format(
                    sql.Literal(table.as_string(connection))
                )
            ).fetchone()
        assert sizes is not None
        return cls(frozenset(rows), tuple(ledger), *sizes)


def _manifests(lake: Lake, objects: Sequence[str], spec: TableSpec) -> dict[str, list[dict[str, Any]]]:
    """The manifests of a table by partition, with the hash of each object's bytes. I3: no number is missing."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    prefix = f"{quote(spec.source)}/{quote(spec.table)}/"
    for path in objects:
        if path.startswith(prefix) and "/_manifests/" in path:
            body = bytes(obstore.get(lake.store, path).bytes())
            manifest = json.loads(body) | {"sha256": hashlib.sha256(body).hexdigest()}
            assert path.endswith(f"/{manifest['seq']:08d}.json"), path
            found[manifest["partition"]].append(manifest)
    for partition, manifests in found.items():
        numbers = [manifest["seq"] for manifest in manifests]
        assert numbers == list(range(1, len(numbers) + 1)), f"I3: {spec.table} {partition} has manifests {numbers}"
    return found


def _assert_files(lake: Lake, spec: TableSpec, manifests: Sequence[Mapping[str, Any]]) -> set[str]:
    """I4: every object that a manifest names has its size, hash and rows. I5: what is final lies at or below `safe`."""
    named = set()
    for manifest in manifests:
        for file in (*manifest["files"], *manifest.get("deletes", ())):
            body = bytes(obstore.get(lake.store, file["path"]).bytes())
            assert (len(body), hashlib.sha256(body).hexdigest()) == (file["bytes"], file["sha256"]), file
            assert pq.ParquetFile(io.BytesIO(body)).metadata.num_rows == file["rows"], file
            named.add(file["path"])
            if manifest["cursor"] and not file["provisional"] and file in manifest["files"]:
                assert file["max"] <= manifest["safe"][0], f"I5: {spec.table} {file} above safe {manifest['safe']}"
        assert manifest["rows"] == sum(file["rows"] for file in manifest["files"])
    return named


def _assert_marks(spec: TableSpec, manifests: Sequence[Mapping[str, Any]], since: list[str] | None) -> list[str] | None:
    """I2: `safe` never falls, low <= safe <= high. I3: the windows tile: each begins where the one before was final."""
    safe = None
    for manifest in manifests:
        if not manifest["cursor"]:
            continue
        assert _at_most(manifest["low"], manifest["safe"]) and _at_most(manifest["safe"], manifest["high"]), manifest
        assert _at_most(safe, manifest["safe"]), f"I2: safe of {spec.table} fell from {safe} to {manifest['safe']}"
        if manifest["mode"] == "append":
            assert manifest["low"] == safe, f"I3: {spec.table} {manifest['seq']} reads {manifest['low']}, not {safe} on"
        safe = manifest["safe"]
    assert _at_most(since, safe), f"I2: safe of {spec.table} fell from {since} to {safe}"
    return safe


def _at_most(left: list[str] | None, right: list[str] | None) -> bool:
    """Whether a mark lies at or before another; a shorter one lies after those that begin with it."""
    if left is None or right is None:
        return left is None
    for one, other in zip(left, right, strict=False):
        if one != other:
            return one < other
    return len(left) >= len(right)


def _assert_ledger(
    warehouse: Database,
    spec: TableSpec,
    target: Target,
    partition: str,
    manifests: Sequence[Mapping[str, Any]],
    *,
    converged: bool,
) -> None:
    """I3: one ledger row a manifest, without gaps, up to the watermark. I11: each row's numbers add up."""
    rows = warehouse.execute(
        "SELECT seq, manifest_sha256, superseded_by, rows_in, rows_inserted + rows_updated + rows_unchanged"
        " + rows_stale + rows_deduplicated, min(seq) OVER (PARTITION BY loaded_at) FROM _syncer.loads"
        " WHERE target_name = %s AND partition_key = %s ORDER BY 1",
        [target.name, partition],
    )
    marks = warehouse.execute(
        "SELECT seq, safe, high FROM _syncer.watermarks WHERE target_name = %s AND partition_key = %s",
        [target.name, partition],
    )
    where = f"{target.name} {partition}"
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1)), f"I3: the ledger of {where} has {rows}"
    assert len(rows) <= len(manifests), f"{where}: the ledger is ahead of the lake"
    assert [mark[0] for mark in marks] == ([len(rows)] if rows else []), (
        f"I3: {where}: watermark {marks}, ledger {rows}"
    )
    if converged:
        assert len(rows) == len(manifests), f"{where}: {len(rows)} of {len(manifests)} manifests are loaded"
    for (seq, sha256, superseded_by, rows_in, accounted, first), manifest in zip(rows, manifests, strict=False):
        assert sha256 == manifest["sha256"], f"{where}: manifest {seq} is another one than was loaded"
        assert rows_in == accounted, f"I11: {where} {seq}: {rows_in} rows in, {accounted} accounted for"
        live = _live_rows(spec, manifest, superseded_by, manifests, first)
        assert rows_in == live, f"I11: {where} {seq}: {rows_in} rows in, {live} live"
    if rows:
        last = manifests[len(rows) - 1]
        loaded = [None if mark is None else json.loads(mark) for mark in marks[0][1:]]
        assert loaded == [last["safe"], last["high"]], f"{where}: marks {marks} are not those of {last['seq']}"


def _live_rows(
    spec: TableSpec,
    manifest: Mapping[str, Any],
    superseded_by: int | None,
    manifests: Sequence[Mapping[str, Any]],
    first: int,
) -> int:
    """Rows of a manifest that its load had to stage; `first` is the load's first one, and what was carried from before
    that one is in the target already."""
    if superseded_by is not None and manifests[superseded_by - 1]["mode"] == "replace":
        return 0
    only_final = superseded_by is not None or spec.load == "append"
    return sum(
        file["rows"]
        for file in manifest["files"]
        if not (only_final and file["provisional"]) and (file.get("carried_from") or first) >= first
    )


def _assert_target(lake: Lake, warehouse: Database, target: Target) -> None:
    """The registered identity is the table's; inserted less deleted, by the ledger, is there: once, not twice."""
    generation = json.loads(bytes(obstore.get(lake.store, "_lake.json").bytes()))["generation"]
    registered = warehouse.execute(
        "SELECT lake_generation, target_oid FROM _syncer.targets WHERE target_name = %s", [target.name]
    )
    oid = warehouse.scalar("SELECT to_regclass(%s)::oid", [_text(target.name)])
    if oid is None:
        return
    assert registered == [(generation, oid)], f"{target.name}: registered {registered}, is {(generation, oid)}"
    counted = warehouse.scalar(
        "SELECT COALESCE(sum(rows_inserted - rows_deleted), 0)::int FROM _syncer.loads WHERE target_name = %s",
        [target.name],
    )
    there = warehouse.scalar(f"SELECT count(*) FROM {_text(target.name)}")
    assert there == counted, f"{target.name} has {there} rows, its ledger counted {counted}"


def _assert_same_rows(
    source: Database,
    warehouse: Database,
    spec: TableSpec,
    target: Target,
    partitions: Mapping[str, Sequence[Mapping[str, Any]]],
) -> None:
    """I1 and I6: every row is there as it is at the source, and no other; by SELECT and by checksum."""
    columns = next(iter(partitions.values()))[-1]["columns"] if partitions else []
    names = [column["name"] for column in columns if not column.get("transform")]
    if not names:
        assert source.scalar(f"SELECT count(*) FROM {_text(spec.table)}") == 0
        return
    here, there = (
        Counter(
            tuple(row)
            for row in database.execute(
                "SELECT {} FROM {}".format(", ".join(f"{_text(name)}::text" for name in names), _text(table))
            )
        )
        for database, table in ((source, spec.table), (warehouse, target.name))
    )
    lost, extra = here - there, there - here
    record.counted(lost=lost.total(), doubled=extra.total())
    assert not lost, (
        f"I1: {lost.total()} of {here.total()} rows of {spec.table} are not in the warehouse: {_some(lost)}"
    )
    assert not extra, f"I6: the warehouse has {extra.total()} rows of {spec.table} too many: {_some(extra)}"
    left, right = PostgresSource("oracle", source.dsn), PostgresWarehouse("oracle", warehouse.dsn)
    try:
        comparison = compare(left, right, spec, target)
    finally:
        left.close()
        right.close()
    assert comparison.equal and not comparison.buckets_different, comparison


def _assert_nothing_left_over(warehouse: Database) -> None:
    """I9: sessions of a killed process end, and their temporary tables with them; no other table is left."""

    def sessions_ended() -> bool:
        return not warehouse.scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend' AND xact_start IS NOT NULL"
        )

    def staging_is_gone() -> bool:
        return not warehouse.scalar(
            "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname LIKE '\\_syncer\\_%%'", []
        )

    poll(sessions_ended, deadline_seconds=60)
    poll(staging_is_gone, deadline_seconds=60)


def _some(rows: Counter[tuple]) -> list[tuple]:
    return sorted(rows, key=str)[:3]


def _identifier(name: str) -> sql.Identifier:
    schema, _, table = name.rpartition(".")
    return sql.Identifier(*([schema] if schema else []), table)


def _text(name: str) -> str:
    return _identifier(name).as_string(None)
