"""The target's columns: made from the manifest's, compared with them, changed only where nothing can be lost."""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from ...model.columns import Column
from ...model.errors import ConfigError, SchemaChanged
from ..base import CAPTURED_AT, DELETED_AT, LoadPlan
from . import catalog, ledger, names, types

CREATE_SQL = "CREATE TABLE {table} ({columns}, {captured_at} TIMESTAMPTZ NOT NULL, {deleted_at} TIMESTAMPTZ{key})"
LONG_AGO = "'1970-01-01 00:00:00+00'"
"""When the rows of a table that a person made count as extracted: Redshift's times have no infinity."""


@dataclass(frozen=True)
class ShapedColumn:
    """A column as the target has it, or will have it after the changes."""

    name: str
    type: str
    source: Column


@dataclass(frozen=True)
class Shape:
    """The target as a load needs it, and the statements that make it so. `oid` is None where it is still missing.

    `widenings` cannot be run in a transaction; each of `changes` is one ALTER TABLE, as Redshift wants it.
    """

    oid: int | None
    columns: tuple[ShapedColumn, ...]
    key: tuple[str, ...]
    changes: tuple[sql.Composed, ...]
    widenings: tuple[sql.Composed, ...] = ()

    @property
    def created(self) -> bool:
        return self.oid is None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def data(self) -> tuple[ShapedColumn, ...]:
        """The columns outside the key."""
        return tuple(column for column in self.columns if column.name not in self.key)

    @property
    def text_keys(self) -> frozenset[str]:
        """The key columns whose trailing blanks a comparison passes over."""
        return frozenset(c.name for c in self.columns if c.name in self.key and types.is_text(c.type))


def shape(connection: psycopg.Connection, plan: LoadPlan) -> Shape:
    """What must be done before the rows can go in. Changes nothing; raises SchemaChanged where it must not be done."""
    names.check_target(plan.target)
    names.check_columns(plan.target, [column.name for column in plan.columns])
    wanted = tuple(ShapedColumn(c.name, types.target_type(c, plan.engine, plan.target.name), c) for c in plan.columns)
    for name in set(plan.key) - {column.name for column in wanted}:
        raise ConfigError(f"key column {name!r} is not among the columns", table=plan.target.name, fix="include it")
    kind = catalog.table_kind(connection, plan.target)
    if kind is None:
        return Shape(None, wanted, plan.key, (_create(plan, wanted),))
    if kind != "r":
        raise SchemaChanged(
            "the target is not a table (it may be a view)", table=plan.target.name, fix="drop it, or use another schema"
        )
    return _existing(connection, plan, wanted)


def _create(plan: LoadPlan, columns: tuple[ShapedColumn, ...]) -> sql.Composed:
    """The key is told to the planner; nothing enforces it. Distribution and sort key are Redshift's, or upkeep's."""
    return sql.SQL(CREATE_SQL).format(
        table=names.table(plan.target),
        columns=sql.SQL(", ").join(
            sql.SQL("{} {}{}").format(
                names.column(column.name),
                types.sql_type(column.type),
                sql.SQL(" NOT NULL" if column.name in plan.key else ""),
            )
            for column in columns
        ),
        captured_at=names.column(CAPTURED_AT),
        deleted_at=names.column(DELETED_AT),
        key=sql.SQL(", PRIMARY KEY ({})").format(names.columns(plan.key)) if plan.key else sql.SQL(""),
    )


def _existing(connection: psycopg.Connection, plan: LoadPlan, wanted: tuple[ShapedColumn, ...]) -> Shape:
    oid = catalog.table_oid(connection, plan.target)
    assert oid is not None
    present = {column.name: column for column in catalog.columns(connection, oid)}
    evolve = plan.schema_changes == "evolve"
    loaded = ledger.has_loads(connection, plan.target)
    changes: list[sql.Composed] = []
    widenings: list[sql.Composed] = []
    shaped: list[ShapedColumn] = []
    for column in wanted:
        there = present.get(column.name)
        if there is None:
            changes.append(_alter(plan, _added(plan, column, evolve)))
            shaped.append(column)
        elif types.holds(there.type, column.type):
            shaped.append(ShapedColumn(column.name, there.type, column.source))
        elif evolve and loaded and types.is_text(there.type) and types.holds(column.type, there.type):
            wider = sql.SQL("ALTER COLUMN {} TYPE {}")
            widenings.append(_alter(plan, wider.format(names.column(column.name), types.sql_type(column.type))))
            shaped.append(column)
        else:
            raise _other_type(plan, column.name, there.type, column.type)
    _check_gone(plan, present, wanted, evolve)
    changes.extend(_ours(plan, present))
    return Shape(oid, tuple(shaped), plan.key, tuple(changes), tuple(widenings))


def _alter(plan: LoadPlan, action: sql.Composable) -> sql.Composed:
    return sql.SQL("ALTER TABLE {} {}").format(names.table(plan.target), action)


def _added(plan: LoadPlan, column: ShapedColumn, evolve: bool) -> sql.Composed:
    if not evolve or column.name in plan.key:
        why = "is part of the key" if column.name in plan.key else "is new, and schema_changes is freeze"
        raise SchemaChanged(
            f"column {column.name!r} ({column.type}) {why}, but the warehouse table lacks it",
            table=plan.target.name,
            partition=plan.partition,
            fix=f"add it to the warehouse table as {column.type}, exclude it, or set schema_changes: evolve",
        )
    return sql.SQL("ADD COLUMN {} {}").format(names.column(column.name), types.sql_type(column.type))


def _check_gone(
    plan: LoadPlan, present: dict[str, catalog.CatalogColumn], wanted: tuple[ShapedColumn, ...], evolve: bool
) -> None:
    """Columns that only the target has stay, NULL in new rows; that needs `evolve`, and that they may be NULL."""
    ours = {column.name for column in wanted} | names.RESERVED
    for column in present.values():
        if column.name in ours:
            continue
        if not evolve:
            raise SchemaChanged(
                f"column {column.name!r} is in the warehouse table but no longer comes from the source,"
                " and schema_changes is freeze",
                table=plan.target.name,
                partition=plan.partition,
                fix="drop it from the warehouse table, or set schema_changes: evolve",
            )
        if not column.nullable and not column.has_default:
            raise SchemaChanged(
                f"column {column.name!r} of the warehouse table is NOT NULL but does not come from the source",
                table=plan.target.name,
                partition=plan.partition,
                fix="drop the column: Redshift cannot drop NOT NULL",
            )


def _other_type(plan: LoadPlan, name: str, there: str, wanted: str) -> SchemaChanged:
    return SchemaChanged(
        f"column {name!r} is {there} in the warehouse, which may not hold every {wanted} of the source",
        table=plan.target.name,
        partition=plan.partition,
        fix="drop the table and run `syncer run --full`: Redshift widens VARCHAR columns only",
    )


def _ours(plan: LoadPlan, present: dict[str, catalog.CatalogColumn]) -> list[sql.Composed]:
    """A table that a person made gets our columns; its rows count as older than every extraction."""
    changes: list[sql.Composed] = []
    if CAPTURED_AT not in present:
        added = sql.SQL("ADD COLUMN {} TIMESTAMPTZ NOT NULL DEFAULT " + LONG_AGO)
        changes.append(_alter(plan, added.format(names.column(CAPTURED_AT))))
    if DELETED_AT not in present:
        changes.append(_alter(plan, sql.SQL("ADD COLUMN {} TIMESTAMPTZ").format(names.column(DELETED_AT))))
    return changes
