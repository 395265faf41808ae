"""Maintenance of one table: sort key and distribution as declared, ANALYZE; in a repair VACUUM, too.

Redshift has no indexes, and looks after its tables by itself when it is idle: this is for those that cannot wait.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from ...model.errors import ConfigError, DbError
from ...model.report import Emit
from ...model.table import Target
from ...model.upkeep import BloatReport, MaintenanceReport, MaintenanceRequest, RelationBloat, Upkeep
from ..base import TableActivity
from . import catalog, names

STALE_STATISTICS_PERCENT = 10.0
"""From there on Redshift itself advises ANALYZE (Database Developer Guide, SVV_TABLE_INFO)."""
INFO_SECONDS = 10.0
"""How long SVV_TABLE_INFO may take to tell of what was done."""
MB = 2**20

INFO_SQL = """
SELECT i."schema", i."table", i.size, i.tbl_rows, i.estimated_visible_rows, i.unsorted, i.stats_off, i.diststyle,
    i.sortkey1, i.sortkey_num
FROM SVV_TABLE_INFO i WHERE {of_targets}
"""
THERE_SQL = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND ({of_targets})
"""


@dataclass(frozen=True)
class TableInfo:
    """A table as SVV_TABLE_INFO has it; it has no row for an empty one."""

    size_mb: int = 0
    rows: int = 0
    visible_rows: int = 0
    unsorted_percent: float = 0.0
    stale_percent: float = 0.0
    distribution: str = ""
    sort_key: str = ""
    sort_columns: int = 0

    @property
    def deleted_rows(self) -> int:
        return max(0, self.rows - self.visible_rows)

    @property
    def deleted_share(self) -> float:
        return self.deleted_rows / self.rows if self.rows else 0.0


def table_info(connection: psycopg.Connection, target: Target) -> TableInfo:
    """What the server knows of the table."""
    return table_infos(connection, [target]).get(target, TableInfo())


def table_infos(connection: psycopg.Connection, targets: Sequence[Target]) -> dict[Target, TableInfo]:
    """What the server knows of these tables; nothing of an empty one."""
    if not targets:
        return {}
    by_name = {(target.schema, target.table): target for target in targets}
    query = sql.SQL(INFO_SQL).format(of_targets=_named(targets, 'i."schema"', 'i."table"'))
    return {by_name[row[0], row[1]]: _info(*row[2:]) for row in connection.execute(query)}


def bloat(connection: psycopg.Connection, target: Target) -> BloatReport:
    """The share of rows that are deleted and not yet vacuumed away. There are no indexes to judge."""
    if catalog.table_oid(connection, target) is None:
        return BloatReport()
    info = table_info(connection, target)
    size = info.size_mb * MB
    heap = RelationBloat(target.table, False, size, size * info.deleted_share, "deleted rows by SVV_TABLE_INFO")
    return BloatReport((heap,), live_tuples=info.visible_rows, dead_tuples=info.deleted_rows)


def activity(connection: psycopg.Connection, targets: Sequence[Target]) -> list[TableActivity]:
    """The tables in numbers; the ledger tells of their loads."""
    if not targets:
        return []
    infos = table_infos(connection, targets)
    there = {
        tuple(row)
        for row in connection.execute(sql.SQL(THERE_SQL).format(of_targets=_named(targets, "n.nspname", "c.relname")))
    }
    return [
        _activity(infos.get(target, TableInfo())) if (target.schema, target.table) in there else TableActivity()
        for target in targets
    ]


def maintain(
    connection: psycopg.Connection, target: Target, upkeep: Upkeep, request: MaintenanceRequest, emit: Emit
) -> MaintenanceReport:
    """Bring the table into the declared shape, over a session of its own in autocommit mode.

    Raises DbError where the server did not do what it said it did; ConfigError where the declaration does not fit."""
    if catalog.table_oid(connection, target) is None:
        return MaintenanceReport()
    if catalog.table_kind(connection, target) != "r":
        raise ConfigError("the target is not a table (it may be a view)", table=target.name, fix="use another schema")
    return _Run(connection, target, upkeep, request, emit).maintained()


@dataclass
class _Run:
    """One maintenance of one table, and its report so far."""

    connection: psycopg.Connection
    target: Target
    upkeep: Upkeep
    request: MaintenanceRequest
    emit: Emit
    report: MaintenanceReport = field(default_factory=MaintenanceReport)

    def maintained(self) -> MaintenanceReport:
        report, before = self.report, self._info()
        report.bytes_before = before.size_mb * MB
        report.drift += [f"index {spec}: Redshift has none; remove it from the YAML" for spec in self.upkeep.indexes]
        self._layout(before)
        if self.request.mode == "repair":
            self._vacuum(before)
        self._analyze()
        after = self._info()
        report.bytes_after = after.size_mb * MB
        report.facts = {
            "size_bytes": after.size_mb * MB,
            "rows_estimate": after.visible_rows,
            "live_tuples": after.visible_rows,
            "dead_tuples": after.deleted_rows,
            "dead_tuple_percent": round(100 * after.deleted_share, 2),
            "unsorted_percent": after.unsorted_percent,
            "stale_statistics_percent": after.stale_percent,
        }
        self.emit("Maintained table", table=self.target.name, mode=self.request.mode, **report.facts)
        return report

    def _layout(self, info: TableInfo) -> None:
        """Sort key and distribution, each by one ALTER TABLE; Redshift rewrites the table in the background."""
        for name, wanted in self.upkeep.storage:
            if name == "sort_key":
                columns = [part.strip() for part in wanted.split(",")]
                if (info.sort_key, info.sort_columns) == (columns[0], len(columns)):
                    continue
                action, then = sql.SQL("ALTER COMPOUND SORTKEY ({})").format(names.columns(columns)), info.sort_key
            elif name == "distribution":
                if re.sub(r"\s", "", info.distribution).lower() == wanted.lower():
                    continue
                action, then = _distribution(self.target, wanted), info.distribution
            else:
                raise ConfigError(
                    f"storage {name} means nothing to Redshift",
                    table=self.target.name,
                    fix="use sort_key, distribution",
                )
            self._execute("ALTER TABLE {} {}", action)
            self.report.storage_set.append(f"{name}: {then or 'none'} -> {wanted}")

    def _vacuum(self, before: TableInfo) -> None:
        if not before.deleted_rows and not before.unsorted_percent:
            self.report.skipped.append("VACUUM: no row is deleted or out of order")
            return
        self._execute("VACUUM FULL {} TO 100 PERCENT")
        self._verify(
            "VACUUM",
            lambda now: now.deleted_rows < before.deleted_rows or now.unsorted_percent < before.unsorted_percent,
        )
        self.report.vacuumed = True

    def _analyze(self) -> None:
        before = self._info()
        due = before.stale_percent > STALE_STATISTICS_PERCENT
        if not due and not self.request.always_analyze and self.request.mode != "repair":
            self.report.skipped.append(
                f"ANALYZE: statistics are {before.stale_percent:g} % off, and {STALE_STATISTICS_PERCENT:g} % are needed"
            )
            return
        self._execute("ANALYZE {}")
        if due:
            self._verify("ANALYZE", lambda now: now.stale_percent < before.stale_percent)
        self.report.analyzed = True

    def _execute(self, statement: str, *parts: sql.Composable) -> None:
        table = names.table(self.target)
        self.connection.execute(sql.SQL(statement).format(table, *parts))  # type: ignore[arg-type]  # the texts above

    def _verify(self, what: str, is_done: Callable[[TableInfo], bool]) -> None:
        """A role that may not gets no error: the statement succeeds, and nothing was done."""
        deadline = time.monotonic() + INFO_SECONDS
        while not is_done(self._info()):
            if time.monotonic() > deadline:
                raise DbError(
                    f"the server said that it did {what}, and SVV_TABLE_INFO says that it did not:"
                    f" a role that does not own the table may not {what} it",
                    code="42501",
                    phase="load",
                    table=self.target.name,
                    fix=f"ALTER TABLE .. OWNER TO the warehouse role, or GRANT {what} ON the table to it",
                )
            time.sleep(0.1)

    def _info(self) -> TableInfo:
        return table_info(self.connection, self.target)


def _distribution(target: Target, wanted: str) -> sql.Composed | sql.SQL:
    if key := re.fullmatch(r"key\((.+)\)", wanted):
        return sql.SQL("ALTER DISTSTYLE KEY DISTKEY {}").format(names.column(key[1]))
    styles = {style: sql.SQL(f"ALTER DISTSTYLE {style.upper()}") for style in ("auto", "even", "all")}  # type: ignore[arg-type]  # three words
    if wanted not in styles:
        raise ConfigError(
            f"distribution {wanted!r} is not known", table=target.name, fix="use auto, even, all, or key(column)"
        )
    return styles[wanted]


def _named(targets: Sequence[Target], schema: str, table: str) -> sql.Composed:
    """A condition for the rows of these targets."""
    one = f"({schema} = {{}} AND {table} = {{}})"
    parts = [sql.SQL(one).format(names.text(each.schema), names.text(each.table)) for each in targets]  # type: ignore[arg-type]  # two constants
    return sql.SQL(" OR ").join(parts)


def _info(
    size: object,
    rows: object,
    visible: object,
    unsorted: object,
    stale: object,
    distribution: object,
    sort_key: object,
    sort_columns: object,
) -> TableInfo:
    """A row of SVV_TABLE_INFO, where anything may be NULL."""

    def number(value: object) -> float:
        return float(str(value)) if value is not None else 0.0

    return TableInfo(
        int(number(size)),
        int(number(rows)),
        int(number(visible)),
        number(unsorted),
        number(stale),
        str(distribution or ""),
        str(sort_key or ""),
        int(number(sort_columns)),
    )


def _activity(info: TableInfo) -> TableActivity:
    size = info.size_mb * MB
    return TableActivity(info.visible_rows, size, info.deleted_rows, round(size * info.deleted_share))
