"""A MariaDB as the source of a rig, and the ceilings that a sync of it would capture."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

from syncer_assets.model.capture import Capture, Protection
from syncer_assets.model.table import TableSpec
from syncer_assets.sources.base import Read
from syncer_assets.sources.mysql import MySQLSource
from syncer_assets.sync.chunks import last_mark
from syncer_assets.sync.rules import Resolved, resolve
from syncer_assets_tests.mariadb import MariaDatabase
from syncer_assets_tests.servers import poll
from syncer_assets_tests.sync.tables import Rig


class MariaRig(Rig):
    """A rig whose `database` is a MariaDB's."""

    def in_source(self, spec: TableSpec, *columns: str, where: str = "true") -> "Counter[tuple]":
        names = ", ".join(f"`{column}`" for column in columns)
        return Counter(self.maria.execute(f"SELECT {names} FROM {spec.table} WHERE {where}"))

    @property
    def maria(self) -> MariaDatabase:
        assert isinstance(self.database, MariaDatabase)
        return self.database


@dataclass
class Ceilings:
    """A source, and the captures of its tables."""

    database: MariaDatabase
    source: MySQLSource

    def spec(self, cursor: str = "id", table: str = "t", **fields: Any) -> TableSpec:
        settings: dict[str, Any] = {"late_commit_lag": timedelta(0)} | fields
        return TableSpec("shop", table, cursor=(cursor,), **settings)

    def capture(self, spec: TableSpec) -> Capture:
        captured = self.source.capture(spec, self.source.describe(spec.table), self.resolved(spec).order)
        assert captured is not None
        return captured

    def judge(self, spec: TableSpec, capture: Capture) -> Capture:
        [judged] = self.source.judge(spec, self.resolved(spec).order, [capture])
        return judged

    def proven(self, spec: TableSpec, capture: Capture) -> bool:
        """Whether the capture is proven now."""
        return self.judge(spec, capture).proven

    def becomes_proven(self, spec: TableSpec, capture: Capture) -> bool:
        """True once it is proven: the list of transactions is some 100 ms old."""
        return poll(lambda: self.proven(spec, capture), 60)

    def protection(self, spec: TableSpec) -> Protection:
        return self.source.protection(spec, self.source.describe(spec.table), self.resolved(spec).order)

    def resolved(self, spec: TableSpec) -> Resolved:
        return resolve(spec, self.source.describe(spec.table))


def read_of(source: MySQLSource, spec: TableSpec, **fields: Any) -> Read:
    """The read of a table as a sync would ask for it."""
    resolved = resolve(spec, source.describe(spec.table))
    return Read(spec.table, resolved.read, resolved.order, spec.cursor, with_ties=resolved.with_ties, **fields)


def pages(source: MySQLSource, read: Read, limit: int) -> Iterator[list[tuple]]:
    """The chunks of the loop, by the order columns."""
    while True:
        rows: list[tuple] = []
        for batch in source.read(replace(read, limit=limit)):
            rows += zip(*(batch.column(column.name).to_pylist() for column in read.order), strict=True)
            read = replace(read, after=last_mark(batch, read.order, read.table))
        if rows:
            yield rows
        if len(rows) < limit:
            return


@contextmanager
def transaction(database: MariaDatabase, *statements: str) -> Iterator[Any]:
    """A cursor whose transaction is open while the block runs; rolled back at its end unless the block ended it."""
    with closing(database.connect(autocommit=False)) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        yield cursor


def user(database: MariaDatabase, grants: Sequence[str]) -> str:
    """A new role of the password `secret` with these grants, which name the database as {db}."""
    name = f"u{uuid4().hex[:12]}"
    database.execute(f"CREATE USER '{name}'@'127.0.0.1' IDENTIFIED BY 'secret'")
    for grant in grants:
        database.execute(f"GRANT {grant.format(db=f'`{database.name}`')} TO '{name}'@'127.0.0.1'")
    return name
