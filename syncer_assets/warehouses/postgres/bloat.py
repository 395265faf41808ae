"""How much of a table's heap and B-trees a rebuild would give back.

First a cheap estimate, from the catalogue and pg_stats alone. What crosses the warning level is then confirmed: with
pgstattuple where the extension is there and the role may use it, an index of repeated keys by counting its keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import psycopg
from psycopg import sql

from ...model.table import Target
from ...model.upkeep import BloatLimits, BloatReport, RelationBloat
from . import catalog
from .fresh_size import PAGE, ColumnFacts, btree_bytes, heap_bytes
from .relations import Leaf, leaves

ESTIMATE_SQL = files("syncer_assets.warehouses.postgres").joinpath("bloat.sql").read_text(encoding="utf-8")
DEFAULT_FILL = {"heap": 100, "btree": 90}

EXTENSION_SQL = """
SELECT n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'pgstattuple' AND has_schema_privilege(n.oid, 'USAGE') AND NOT EXISTS (
    SELECT FROM pg_proc p WHERE p.pronamespace = n.oid AND p.proname IN ('pgstatindex', 'pgstattuple_approx')
    AND p.proargtypes[0] = 'regclass'::regtype AND NOT has_function_privilege(p.oid, 'EXECUTE')
)
"""
KEYS_SQL = """
SELECT ARRAY(SELECT pg_get_indexdef(i.indexrelid, n, false) FROM generate_series(1, i.indnkeyatts) n),
    pg_get_expr(i.indpred, i.indrelid)
FROM pg_index i WHERE i.indexrelid = $1
"""
COUNT_TIMEOUT = "10min"
DEAD_SHARE_MOST = 0.05
"""With more dead rows than that, nobody knows which of them still have entries in an index."""


@dataclass(frozen=True)
class _Relation:
    """A row of `bloat.sql`: a heap or an index."""

    oid: int
    schema: str
    name: str
    table: str
    is_index: bool
    method: str
    unique: bool
    equal_images: bool
    options: list[str]
    size_bytes: int
    share: float
    live: int
    dead: int
    counted: bool
    estimate: float
    facts: list[list]

    @property
    def rows(self) -> float:
        """Live rows: the counters follow every change; where they were lost, what the last ANALYZE found."""
        return (self.live if self.counted else max(self.estimate, 0.0)) * self.share

    @property
    def fillfactor(self) -> int:
        return int(self._option("fillfactor", str(DEFAULT_FILL[self.method])))

    @property
    def deduplicates(self) -> bool:
        """Whether a rebuild would make posting lists of equal keys (_bt_load: never in a unique index)."""
        allowed = self._option("deduplicate_items", "on") in ("on", "true", "yes", "1")
        return self.is_index and self.equal_images and not self.unique and allowed

    @property
    def columns(self) -> list[ColumnFacts] | None:
        """None where a column has no statistics."""
        if any(width is None for _, _, _, _, width, _, _ in self.facts):
            return None
        return [
            ColumnFacts(length, align, nulls, width, distinct, tuple(common or ()))
            for _, length, align, nulls, width, distinct, common in self.facts
        ]

    def _option(self, name: str, default: str) -> str:
        return dict(option.split("=", 1) for option in self.options).get(name, default)


@dataclass(frozen=True)
class Sketch:
    """A table by the cheap estimate alone. `wasted_bytes` is None where of its heap or a B-tree nothing is known."""

    schema: str
    name: str
    rows: int
    dead_rows: int
    wasted_bytes: int | None


def sketches(connection: psycopg.Connection, oids: Sequence[int]) -> list[Sketch]:
    """Of these tables. Reads the catalogue only; indexes of other kinds than B-tree are left out."""
    groups: dict[tuple[str, str], list[_Relation]] = {}
    for row in connection.execute(ESTIMATE_SQL.encode(), (list(oids),)):
        relation = _Relation(*row)
        groups.setdefault((relation.schema, relation.table), []).append(relation)
    return [_sketch(schema, name, relations) for (schema, name), relations in groups.items()]


def bloat(connection: psycopg.Connection, target: Target, limits: BloatLimits) -> BloatReport:
    """The bloat of each heap and B-tree. Reads the catalogue, and what crosses `limits.warn` as a whole."""
    oid = catalog.table_oid(connection, target)
    return BloatReport() if oid is None else measure(connection, limits, leaves(connection, oid))


def measure(connection: psycopg.Connection, limits: BloatLimits, tables: list[Leaf]) -> BloatReport:
    """The same for the tables that hold a target's rows."""
    found = [_Relation(*row) for row in connection.execute(ESTIMATE_SQL.encode(), ([t.oid for t in tables],))]
    relations: list[RelationBloat] = []
    unknown: list[str] = []
    for relation in found:
        reason = _reason_unknown(relation)
        if reason is not None:
            unknown.append(f"{relation.name}: {reason}")
            continue
        judged = _judge(relation, _fresh(relation), "estimate")
        if limits.warn.reached(judged.wasted_bytes, judged.size_bytes):
            judged = _confirmed(connection, relation, judged)
        relations.append(judged)
    heaps = [relation for relation in found if not relation.is_index]
    return BloatReport(
        tuple(relations), tuple(unknown), sum(heap.live for heap in heaps), sum(heap.dead for heap in heaps)
    )


def _sketch(schema: str, name: str, relations: list[_Relation]) -> Sketch:
    heap = next(relation for relation in relations if not relation.is_index)
    judged = [relation for relation in relations if relation.method in DEFAULT_FILL]
    known = not any(_reason_unknown(relation) for relation in judged)
    wasted = round(sum(max(0.0, relation.size_bytes - _fresh(relation)) for relation in judged)) if known else None
    return Sketch(schema, name, round(heap.rows), heap.dead, wasted)


def _reason_unknown(relation: _Relation) -> str | None:
    if relation.method not in DEFAULT_FILL:
        return f"bloat of a {relation.method} index cannot be estimated"
    if relation.rows > 0 and relation.columns is None:
        return "it has no statistics: ANALYZE the table"
    if not relation.counted and relation.estimate < 0:
        return "it was never analysed: ANALYZE the table"
    return None


def _fresh(relation: _Relation, keys: int | None = None) -> float:
    columns = relation.columns or []
    if relation.is_index:
        deduplicates = relation.deduplicates
        return btree_bytes(relation.rows, columns, relation.fillfactor, deduplicates=deduplicates, key_counts=keys)
    return heap_bytes(relation.rows, columns, relation.fillfactor)


def _judge(relation: _Relation, fresh: float, method: str) -> RelationBloat:
    wasted = max(0.0, relation.size_bytes - fresh)
    return RelationBloat(relation.name, relation.is_index, relation.size_bytes, wasted, method)


def _confirmed(connection: psycopg.Connection, relation: _Relation, judged: RelationBloat) -> RelationBloat:
    """A second opinion that reads the relation; the estimate where there is none."""
    if relation.deduplicates:
        keys = _count_keys(connection, relation)
        return judged if keys is None else _judge(relation, _fresh(relation, keys), "keys counted")
    extension = connection.execute(EXTENSION_SQL).fetchone()
    if extension is None or (relation.is_index and relation.dead > DEAD_SHARE_MOST * relation.live):
        return judged
    if relation.is_index:
        return _judge(relation, _fresh_by_density(connection, relation, extension[0]), "pgstatindex")
    return _judge(relation, _fresh_by_space(connection, relation, extension[0]), "pgstattuple_approx")


def _count_keys(connection: psycopg.Connection, relation: _Relation) -> int | None:
    """How many different keys the index has; None if that takes too long. The statistics guess low where few are
    common, and a rebuild that they ask for would then give nothing back, night after night."""
    row = connection.execute(KEYS_SQL, (relation.oid,)).fetchone()
    if row is None:
        return None
    keys, predicate = row
    query = sql.SQL("SELECT count(*) FROM (SELECT DISTINCT {} FROM {} WHERE {}) AS keys").format(
        sql.SQL(", ").join(sql.SQL(key) for key in keys),
        sql.Identifier(relation.schema, relation.table),
        sql.SQL(predicate or "true"),
    )
    try:
        with connection.transaction():
            connection.execute(sql.SQL("SET LOCAL statement_timeout = {}").format(sql.Literal(COUNT_TIMEOUT)))
            counted = connection.execute(query).fetchone()
    except psycopg.errors.QueryCanceled:
        return None
    assert counted is not None
    has_null = len(keys) == 1 and any(column.null_share > 0 for column in relation.columns or [])
    return max(1, counted[0] - has_null)


def _fresh_by_density(connection: psycopg.Connection, relation: _Relation, schema: str) -> float:
    """pgstatindex tells how full the leaves are; an entry of a dead row counts as full there."""
    row = connection.execute(
        sql.SQL("SELECT leaf_pages, avg_leaf_density FROM {}($1::oid::regclass)").format(
            sql.Identifier(schema, "pgstatindex")
        ),
        (relation.oid,),
    ).fetchone()
    assert row is not None
    leaf_pages, density = row
    if not leaf_pages or relation.rows <= 0:
        return 2.0 * PAGE
    return leaf_pages * PAGE * min(1.0, density / relation.fillfactor)


def _fresh_by_space(connection: psycopg.Connection, relation: _Relation, schema: str) -> float:
    """pgstattuple_approx reads the pages that are not all visible, and the free space map for the others."""
    row = connection.execute(
        sql.SQL("SELECT approx_free_space, dead_tuple_len FROM {}($1::oid::regclass)").format(
            sql.Identifier(schema, "pgstattuple_approx")
        ),
        (relation.oid,),
    ).fetchone()
    assert row is not None
    return max(0.0, relation.size_bytes - float(row[0]) - float(row[1])) * 100 / relation.fillfactor
