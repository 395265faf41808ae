"""The target's columns: made from the manifest's, compared with them, changed only where nothing can be lost."""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from ...model.errors import ConfigError, SchemaChanged
from ...model.table import Target
from ..base import CAPTURED_AT, DELETED_AT, LoadPlan
from . import catalog, ledger, names, types

CREATE_SQL = "CREATE TABLE {table} ({columns}, {captured_at} timestamptz NOT NULL, {deleted_at} timestamptz)"


@dataclass(frozen=True)
class ShapedColumn:
    """A column as the target has it, or will have it after the changes."""

    name: str
    type: str
    arrow: str


@dataclass(frozen=True)
class Shape:
    """The target as a load needs it, and the statements that make it so. `oid` is None where it is still missing."""

    oid: int | None
    columns: tuple[ShapedColumn, ...]
    key: tuple[str, ...]
    changes: tuple[sql.Composed, ...]
    key_index: sql.Composed | None

    @property
    def created(self) -> bool:
        return self.oid is None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def data(self) -> tuple[str, ...]:
        """The columns outside the key."""
        return tuple(name for name in self.names if name not in self.key)


def shape(connection: psycopg.Connection, plan: LoadPlan) -> Shape:
    """What must be done before the rows can go in. Changes nothing; raises SchemaChanged where it must not be done."""
    names.check_target(plan.target)
    names.check_columns(plan.target, [column.name for column in plan.columns])
    key = tuple(names.cut(name) for name in plan.key)
    wanted = tuple(
        ShapedColumn(names.cut(c.name), types.target_type(c, plan.engine, plan.target.name), c.type)
        for c in plan.columns
    )
    for name in set(key) - {column.name for column in wanted}:
        raise ConfigError(f"key column {name!r} is not among the columns", table=plan.target.name, fix="include it")
    kind = catalog.table_kind(connection, plan.target)
    if kind is None:
        return Shape(None, wanted, key, (_create(plan.target, wanted, key),), _primary_key(plan.target, key))
    if kind not in ("r", "p"):
        raise SchemaChanged(
            "the target is not a table (it may be a view)", table=plan.target.name, fix="drop it, or use another schema"
        )
    return _existing(connection, plan, wanted, key)


def _create(target: Target, columns: tuple[ShapedColumn, ...], key: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(CREATE_SQL).format(
        table=names.table(target),
        columns=sql.SQL(", ").join(
            sql.SQL("{} {}{}").format(
                names.column(column.name), spelt(column.type), sql.SQL(" NOT NULL" if column.name in key else "")
            )
            for column in columns
        ),
        captured_at=names.column(CAPTURED_AT),
        deleted_at=names.column(DELETED_AT),
    )


def spelt(type_name: str) -> sql.SQL:
    """A type in a statement. It comes from the catalogue or from `types.py`, which let no other SQL through."""
    return sql.SQL(type_name)  # type: ignore[arg-type]  # not a literal, but a checked spelling


def _existing(
    connection: psycopg.Connection, plan: LoadPlan, wanted: tuple[ShapedColumn, ...], key: tuple[str, ...]
) -> Shape:
    oid = catalog.table_oid(connection, plan.target)
    assert oid is not None
    present = {column.name: column for column in catalog.columns(connection, oid)}
    spelling = catalog.spell(connection, [column.type for column in wanted])
    evolve = plan.schema_changes == "evolve"
    loaded = ledger.has_loads(connection, plan.target)
    changes: list[sql.Composed] = []
    shaped: list[ShapedColumn] = []
    for column, type_name in zip(wanted, spelling, strict=True):
        there = present.get(column.name)
        if there is None:
            changes.append(_add(plan, column, type_name, key, evolve))
            shaped.append(ShapedColumn(column.name, type_name, column.arrow))
        elif types.holds(there.type, type_name):
            shaped.append(ShapedColumn(column.name, there.type, column.arrow))
        elif evolve and loaded and types.holds(type_name, there.type):
            changes.append(sql.SQL("ALTER COLUMN {} TYPE {}").format(names.column(column.name), spelt(type_name)))
            shaped.append(ShapedColumn(column.name, type_name, column.arrow))
        else:
            raise _other_type(plan, column.name, there.type, type_name, widened=types.holds(type_name, there.type))
    _check_gone(plan, present, wanted, key, evolve)
    changes.extend(_ours(present))
    alter = [sql.SQL("ALTER TABLE {} {}").format(names.table(plan.target), sql.SQL(", ").join(changes))]
    unique, primary = catalog.keys(connection, oid, key) if key else (True, True)
    index = None if unique else _primary_key(plan.target, key) if not primary else _unique_index(plan.target, key)
    return Shape(oid, tuple(shaped), key, tuple(alter) if changes else (), index)


def _add(plan: LoadPlan, column: ShapedColumn, type_name: str, key: tuple[str, ...], evolve: bool) -> sql.Composed:
    if not evolve or column.name in key:
        why = "is part of the key" if column.name in key else "is new, and schema_changes is freeze"
        raise SchemaChanged(
            f"column {column.name!r} ({type_name}) {why}, but the warehouse table lacks it",
            table=plan.target.name,
            partition=plan.partition,
            fix=f"add it to the warehouse table as {type_name}, exclude it, or set schema_changes: evolve",
        )
    return sql.SQL("ADD COLUMN {} {}").format(names.column(column.name), spelt(type_name))


def _check_gone(
    plan: LoadPlan,
    present: dict[str, catalog.CatalogColumn],
    wanted: tuple[ShapedColumn, ...],
    key: tuple[str, ...],
    evolve: bool,
) -> None:
    """Columns that only the target has stay, NULL in new rows; that needs `evolve`, and that they may be NULL."""
    names_wanted = {column.name for column in wanted} | names.RESERVED
    for column in present.values():
        if column.name in names_wanted:
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
                fix="ALTER TABLE .. ALTER COLUMN .. DROP NOT NULL in the warehouse, or drop the column",
            )


def _other_type(plan: LoadPlan, name: str, there: str, wanted: str, *, widened: bool) -> SchemaChanged:
    fix = f"ALTER TABLE .. ALTER COLUMN .. TYPE {wanted} in the warehouse" + (
        ", or set schema_changes: evolve" if widened and plan.schema_changes != "evolve" else ""
    )
    return SchemaChanged(
        f"column {name!r} is {there} in the warehouse, which may not hold every {wanted} of the source",
        table=plan.target.name,
        partition=plan.partition,
        fix=f"{fix}, or drop the table and run `syncer run --full`",
    )


def _ours(present: dict[str, catalog.CatalogColumn]) -> list[sql.Composed]:
    """A table that a person made gets our columns; its rows count as older than every extraction."""
    changes: list[sql.Composed] = []
    if CAPTURED_AT not in present:
        changes.append(
            sql.SQL("ADD COLUMN {} timestamptz NOT NULL DEFAULT '-infinity'").format(names.column(CAPTURED_AT))
        )
    if DELETED_AT not in present:
        changes.append(sql.SQL("ADD COLUMN {} timestamptz").format(names.column(DELETED_AT)))
    return changes


def _primary_key(target: Target, key: tuple[str, ...]) -> sql.Composed | None:
    if not key:
        return None
    return sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(names.table(target), names.columns(key))


def _unique_index(target: Target, key: tuple[str, ...]) -> sql.Composed:
    return sql.SQL("CREATE UNIQUE INDEX ON {} ({})").format(names.table(target), names.columns(key))
