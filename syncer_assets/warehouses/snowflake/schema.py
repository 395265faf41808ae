"""The target's columns: made from the manifest's, compared with them, changed only where nothing can be lost.

DDL commits whatever is open in Snowflake, so that a table is made or changed before the load's transaction begins: a
load that is lost then leaves a table with a column more, or an empty one.
"""

from dataclasses import dataclass

from ...model.errors import ConfigError, SchemaChanged
from ..base import LoadPlan
from . import catalog, ledger, names, types
from .session import Session

CREATE_SQL = """
CREATE TABLE IF NOT EXISTS {table} ({columns}, {captured} TIMESTAMP_TZ NOT NULL, {deleted} TIMESTAMP_TZ{key})
"""

LONG_AGO = "'0001-01-01 00:00:00+00:00'::TIMESTAMP_TZ"


@dataclass(frozen=True)
class ShapedColumn:
    """A column as the target has it, or will have it after the changes; `source` is its name in the lake."""

    name: str
    type: str
    source: str


@dataclass(frozen=True)
class Shape:
    """The target as a load needs it, and the statements that make it so."""

    columns: tuple[ShapedColumn, ...]
    key: tuple[str, ...]
    changes: tuple[str, ...]
    created: bool

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def data(self) -> tuple[ShapedColumn, ...]:
        """The columns outside the key."""
        return tuple(column for column in self.columns if column.name not in self.key)


def shape(session: Session, plan: LoadPlan) -> Shape:
    """What must be done before the rows can go in. Changes nothing; raises SchemaChanged where it must not be done."""
    names.check_target(plan.target)
    names.check_columns(plan.target, [column.name for column in plan.columns])
    key = tuple(names.fold(name) for name in plan.key)
    wanted = tuple(
        ShapedColumn(names.fold(c.name), types.target_type(c, plan.target.name), c.name) for c in plan.columns
    )
    for name in set(key) - {column.name for column in wanted}:
        raise ConfigError(f"key column {name!r} is not among the columns", table=plan.target.name, fix="include it")
    kind = catalog.table_kind(session, plan.target)
    if kind is None:
        return Shape(wanted, key, (_create(plan, wanted, key),), created=True)
    if kind != "BASE TABLE":
        raise SchemaChanged(
            f"the target is not a table but a {kind.lower()}",
            table=plan.target.name,
            fix="drop it, or use another schema",
        )
    return _existing(session, plan, wanted, key)


def _create(plan: LoadPlan, columns: tuple[ShapedColumn, ...], key: tuple[str, ...]) -> str:
    return CREATE_SQL.format(
        table=names.table(plan.target),
        columns=", ".join(
            f"{names.column(column.name)} {column.type}{' NOT NULL' if column.name in key else ''}"
            for column in columns
        ),
        captured=names.column(names.CAPTURED),
        deleted=names.column(names.DELETED),
        key=f", PRIMARY KEY ({names.columns(key)})" if key else "",
    )


def _existing(session: Session, plan: LoadPlan, wanted: tuple[ShapedColumn, ...], key: tuple[str, ...]) -> Shape:
    present = {column.name: column for column in catalog.columns(session, plan.target)}
    evolve = plan.schema_changes == "evolve"
    loaded = ledger.has_loads(session, plan.target)
    table = names.table(plan.target)
    added: list[str] = []
    changes: list[str] = []
    shaped: list[ShapedColumn] = []
    for column in wanted:
        there = present.get(column.name)
        if there is None:
            _check_added(plan, column, key, evolve)
            added.append(f"{names.column(column.name)} {column.type}")
            shaped.append(column)
        elif types.holds(there.type, column.type):
            shaped.append(ShapedColumn(column.name, there.type, column.source))
        elif evolve and loaded and types.can_widen(there.type, column.type):
            changes.append(f"ALTER TABLE {table} ALTER COLUMN {names.column(column.name)} SET DATA TYPE {column.type}")
            shaped.append(column)
        else:
            raise _other_type(plan, column, there.type)
    _check_gone(plan, present, wanted, evolve)
    if names.CAPTURED not in present:  # a table that a person made: its rows are older than any extraction
        added.append(f"{names.column(names.CAPTURED)} TIMESTAMP_TZ NOT NULL DEFAULT {LONG_AGO}")
    if names.DELETED not in present:
        added.append(f"{names.column(names.DELETED)} TIMESTAMP_TZ")
    changes += [f"ALTER TABLE {table} ADD COLUMN {column}" for column in added]
    return Shape(tuple(shaped), key, tuple(changes), created=False)


def _check_added(plan: LoadPlan, column: ShapedColumn, key: tuple[str, ...], evolve: bool) -> None:
    if evolve and column.name not in key:
        return
    why = "is part of the key" if column.name in key else "is new, and schema_changes is freeze"
    raise SchemaChanged(
        f"column {column.source!r} ({column.type}) {why}, but the warehouse table lacks it",
        table=plan.target.name,
        partition=plan.partition,
        fix=f"add it to the warehouse table as {column.type}, exclude it, or set schema_changes: evolve",
    )


def _check_gone(
    plan: LoadPlan,
    present: dict[str, catalog.CatalogColumn],
    wanted: tuple[ShapedColumn, ...],
    evolve: bool,
) -> None:
    """Columns that only the target has stay, NULL in new rows; that needs `evolve`, and that they may be NULL."""
    known = {column.name for column in wanted} | names.RESERVED
    for column in present.values():
        if column.name in known:
            continue
        if not evolve:
            raise SchemaChanged(
                f"column {names.unfold(column.name)!r} is in the warehouse table but no longer comes from the source,"
                " and schema_changes is freeze",
                table=plan.target.name,
                partition=plan.partition,
                fix="drop it from the warehouse table, or set schema_changes: evolve",
            )
        if not column.nullable and not column.has_default:
            raise SchemaChanged(
                f"column {names.unfold(column.name)!r} of the warehouse table is NOT NULL but does not come from the"
                " source",
                table=plan.target.name,
                partition=plan.partition,
                fix="ALTER TABLE .. ALTER COLUMN .. DROP NOT NULL in the warehouse, or drop the column",
            )


def _other_type(plan: LoadPlan, column: ShapedColumn, there: str) -> SchemaChanged:
    widened = types.can_widen(there, column.type)
    fix = f"make it {column.type} in the warehouse" + (
        ", or set schema_changes: evolve" if widened and plan.schema_changes != "evolve" else ""
    )
    return SchemaChanged(
        f"column {column.source!r} is {there} in the warehouse, which may not hold every {column.type} of the source",
        table=plan.target.name,
        partition=plan.partition,
        fix=f"{fix}, or drop the table and run `syncer run --full`",
    )
