"""Maintenance of one table: declared indexes and storage, ANALYZE; in a repair VACUUM and bloated indexes, too."""

from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from ...model.errors import ConfigError, DbError
from ...model.report import Emit
from ...model.table import Target
from ...model.upkeep import MaintenanceReport, MaintenanceRequest, Upkeep
from . import bloat, catalog, indexes, names, reindex, storage, vacuum
from .relations import Leaf, LeafIndex, leaves
from .relations import indexes as leaf_indexes

HELD_FIX = "end the long transaction, or raise `repair.lock_timeout`"

FACTS_SQL = """
SELECT pg_total_relation_size(c.oid), pg_table_size(c.oid), pg_indexes_size(c.oid), c.reltuples::bigint,
    pg_stat_get_live_tuples(c.oid), pg_stat_get_dead_tuples(c.oid),
    greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)),
    greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid))
FROM pg_class c WHERE c.oid = ANY ($1::oid[])
"""


def maintain(
    connection: psycopg.Connection, target: Target, upkeep: Upkeep, request: MaintenanceRequest, emit: Emit
) -> MaintenanceReport:
    """Bring the table into the declared shape, over a session of its own in autocommit mode.

    Raises DbError where the role may not do what is asked, or where another session's lock stands in the way;
    ConfigError where the declaration does not fit the table."""
    kind = catalog.table_kind(connection, target)
    oid = catalog.table_oid(connection, target)
    if oid is None:
        return MaintenanceReport()
    if kind not in ("r", "p"):
        raise ConfigError("the target is not a table (it may be a view)", table=target.name, fix="use another schema")
    reindex.take_lock(connection, target, oid)
    run = _Run(connection, target, upkeep, request, emit, leaves(connection, oid), is_partitioned=kind == "p")
    try:
        return run.maintained()
    except psycopg.errors.LockNotAvailable:
        raise DbError(
            "another session holds a lock on the table, or a transaction that has to end first",
            code="55P03",
            phase="load",
            failure="once",
            table=target.name,
            fix=HELD_FIX,
        ) from None


@dataclass
class _Run:
    """One maintenance of one table, and its report so far."""

    connection: psycopg.Connection
    target: Target
    upkeep: Upkeep
    request: MaintenanceRequest
    emit: Emit
    tables: list[Leaf]
    is_partitioned: bool
    report: MaintenanceReport = field(default_factory=MaintenanceReport)
    leftovers_held: list[str] = field(default_factory=list)

    def maintained(self) -> MaintenanceReport:
        report = self.report
        report.bytes_before = _size(self.connection, self.tables)
        self._wait_at_most(self.upkeep.repair.lock_timeout_seconds)
        report.leftovers_dropped, self.leftovers_held = reindex.drop_leftovers(self.connection, self.tables)
        report.skipped += [
            f"DROP of {name}, a failed rebuild's: a transaction holds it" for name in self.leftovers_held
        ]
        report.storage_set, undeclared = storage.set_storage(self.connection, self.tables, self.upkeep.storage)
        report.drift += [f"storage {setting} is set, and not declared" for setting in undeclared]
        self._index()
        report.drift += [
            f"index {index.name} is invalid: drop it, or REINDEX it"
            for index in leaf_indexes(self.connection, self.tables)
            if not index.valid and index.name not in self.leftovers_held
        ]
        if self.request.mode == "repair":
            self._repair()
        else:
            self._analyze_if_due()
        report.bytes_after = _size(self.connection, self.tables)
        report.facts = _facts(self.connection, self.tables)
        self.emit("Maintained table", table=self.target.name, mode=self.request.mode, **report.facts)
        return report

    def _index(self) -> None:
        """Indexes as declared. What is valid is dropped in a repair only, and only if its name is one of ours."""
        report, drift = self.report, indexes.compare(self.connection, self.target, self.upkeep.indexes)
        for name in drift.invalid:
            if indexes.drop_invalid(self.connection, self.target, name):
                report.leftovers_dropped.append(name)
        if self.is_partitioned:
            reason = "cannot be made CONCURRENTLY on a partitioned table: create it on each partition, and attach them"
            report.drift += [f"index {spec} is missing" for spec in drift.missing]
            report.skipped += [f"index {spec}: {reason}" for spec in drift.missing]
            return
        if self.request.mode == "repair":
            for name in [*drift.undeclared, *(indexes.index_name(self.target, spec) for spec in drift.differing)]:
                self.emit("Dropping index", table=self.target.name, index=name)
                indexes.drop(self.connection, self.target, name)
                report.indexes_dropped.append(name)
            drift.missing += drift.differing
        else:
            report.drift += [f"index {spec} is there, but defined otherwise" for spec in drift.differing]
            report.drift += [f"index {name} is declared no longer" for name in drift.undeclared]
        self.connection.execute("RESET lock_timeout")  # it waits for transactions, and nobody waits for it
        report.indexes_created = indexes.create_concurrently(self.connection, self.target, drift.missing, self.emit)
        self._wait_at_most(self.upkeep.repair.lock_timeout_seconds)

    def _analyze_if_due(self) -> None:
        reason = vacuum.reason_to_skip_analyze(self.connection, self.tables)
        if reason is None or self.request.always_analyze or self.report.indexes_created:
            self._analyze()
        else:
            self.report.skipped.append(reason)

    def _analyze(self) -> None:
        vacuum.analyze(self.connection, self.target, names.table(self.target), self.tables)
        self.report.analyzed = True

    def _repair(self) -> None:
        """VACUUM first: what it frees need not be rebuilt, and fresh statistics say what must be."""
        vacuum.vacuum(self.connection, self.target, names.table(self.target), self.tables)
        self.report.vacuumed = True
        self._analyze()
        rebuilt, held = self._rebuild(self._bloated())
        self.report.indexes_rebuilt = [index.name for index in rebuilt]
        if any(index.of_expression for index in rebuilt):
            self._analyze()
        if held:
            raise DbError(
                f"a transaction or a lock kept {', '.join(held)} from being rebuilt for"
                f" {self.upkeep.repair.lock_timeout_seconds:g} s; rebuilt were {len(rebuilt)} indexes",
                code="55P03",
                phase="load",
                failure="once",
                table=self.target.name,
                fix=HELD_FIX,
            )

    def _bloated(self) -> list[LeafIndex]:
        """The indexes at the warning level or above, the one that wastes most first."""
        limits = self.upkeep.bloat
        found = {index.name: index for index in bloat.measure(self.connection, limits, self.tables).indexes}
        bad = [
            index
            for index in leaf_indexes(self.connection, self.tables)
            if index.name in found and limits.warn.reached(found[index.name].wasted_bytes, index.size_bytes)
        ]
        return sorted(bad, key=lambda index: found[index.name].wasted_bytes, reverse=True)

    def _rebuild(self, bad: list[LeafIndex]) -> tuple[list[LeafIndex], list[str]]:
        """Those that were rebuilt, and the names of those that a lock or a transaction kept from it."""
        rebuilt, held, table = [], [], self.target.name
        for index in bad:
            reason = reindex.reason_not_to(self.connection, index, self.upkeep.repair, self.request.until)
            if reason is not None:
                self.report.skipped.append(f"index {index.name}: {reason}")
                continue
            if any(reindex.is_leftover(name, [index.name]) for name in self.leftovers_held):
                held.append(index.name)  # a second attempt would only leave a second one
                continue
            self.emit("Rebuilding index", table=table, index=index.name, bytes=index.size_bytes)
            leaf = next(leaf for leaf in self.tables if leaf.oid == index.table_oid)
            try:
                size = reindex.rebuild(self.connection, self.target, leaf, index)
            except psycopg.errors.LockNotAvailable:
                self.emit("Index is held by a transaction", table=table, index=index.name)
                held.append(index.name)
                continue
            self.emit("Rebuilt index", table=table, index=index.name, bytes_before=index.size_bytes, bytes=size)
            rebuilt.append(index)
        return rebuilt, held

    def _wait_at_most(self, seconds: float) -> None:
        timeout = sql.Literal(f"{round(1000 * seconds)}ms")
        self.connection.execute(sql.SQL("SET lock_timeout = {}").format(timeout))


def _size(connection: psycopg.Connection, tables: list[Leaf]) -> int:
    row = connection.execute(
        "SELECT coalesce(sum(pg_total_relation_size(o)), 0)::bigint FROM unnest($1::oid[]) o",
        ([table.oid for table in tables],),
    ).fetchone()
    return row[0] if row else 0


def _facts(connection: psycopg.Connection, tables: list[Leaf]) -> dict[str, float | int | str]:
    """Sizes in bytes, live and dead rows, when statistics and dead rows were last looked after."""
    rows = connection.execute(FACTS_SQL, ([table.oid for table in tables],)).fetchall()
    total, heap, index, estimate, live, dead = (sum(row[n] for row in rows) for n in range(6))
    analyzed = min((row[6] for row in rows if row[6]), default=None)
    vacuumed = min((row[7] for row in rows if row[7]), default=None)
    return {
        "size_bytes": total,
        "table_bytes": heap,
        "index_bytes": index,
        "rows_estimate": estimate,
        "live_tuples": live,
        "dead_tuples": dead,
        "dead_tuple_percent": round(100 * dead / (live + dead), 2) if live + dead else 0.0,
        "last_analyze": analyzed.isoformat() if analyzed else "",
        "last_vacuum": vacuumed.isoformat() if vacuumed else "",
    }
