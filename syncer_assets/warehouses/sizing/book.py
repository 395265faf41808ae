"""Where sizes are written down: the table `_syncer.sizing` of the warehouse, which survives a kill.

One row a holder, and one with the holder `''` a resource: the size that was found, or NULL; it is what is locked.
Times are seconds since 1970 by the clock of the process that wrote them.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from ...model.sizing import Size

LOCK_SQL = "UPDATE _syncer.sizing SET heartbeat_at = heartbeat_at + 1 WHERE resource = ? AND holder = ''"
OPEN_SQL = "INSERT INTO _syncer.sizing (resource, holder, run_id, heartbeat_at) VALUES (?, '', '', 0)"
FOUND_SQL = "SELECT size, acceleration FROM _syncer.sizing WHERE resource = ? AND holder = ''"
WRITE_FOUND_SQL = "UPDATE _syncer.sizing SET size = ?, acceleration = ? WHERE resource = ? AND holder = ''"
HOLDERS_SQL = """
SELECT holder, run_id, size, acceleration, heartbeat_at FROM _syncer.sizing WHERE resource = ? AND holder <> ''
"""
ADD_SQL = """
INSERT INTO _syncer.sizing (resource, holder, run_id, size, acceleration, heartbeat_at) VALUES (?, ?, ?, ?, ?, ?)
"""
REMOVE_SQL = "DELETE FROM _syncer.sizing WHERE resource = ? AND holder = ?"
BEAT_SQL = "UPDATE _syncer.sizing SET heartbeat_at = ? WHERE resource = ? AND holder = ?"


@dataclass(frozen=True)
class Holder:
    """A load that needs a size."""

    id: str
    run_id: str
    size: Size
    heartbeat_at: float


class Statements(Protocol):
    """A transaction of the warehouse. Values are bound to `?`."""

    def execute(self, statement: str, values: Sequence[object] = ()) -> int:
        """The number of rows that it wrote."""
        ...

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[tuple]: ...


Transaction = Callable[[], AbstractContextManager[Statements]]
"""Begins a transaction of a session of its own: committed at the end, rolled back by an error."""


class Page:
    """What is written down of a resource, under its lock."""

    def __init__(self, statements: Statements, resource: str):
        self._statements, self._resource = statements, resource

    def found(self) -> Size | None:
        """The size before the first holder; None where nobody holds one."""
        written = [row for row in self._statements.rows(FOUND_SQL, (self._resource,)) if row[0] is not None]
        return _size(*written[0]) if written else None

    def write_found(self, size: Size) -> None:
        self._statements.execute(WRITE_FOUND_SQL, (size.name, size.acceleration, self._resource))

    def clear_found(self) -> None:
        self._statements.execute(WRITE_FOUND_SQL, (None, None, self._resource))

    def holders(self) -> list[Holder]:
        return [
            Holder(holder, run_id, _size(size, acceleration), float(heartbeat_at))
            for holder, run_id, size, acceleration, heartbeat_at in self._statements.rows(
                HOLDERS_SQL, (self._resource,)
            )
        ]

    def add(self, holder: Holder) -> None:
        size = holder.size
        self._statements.execute(
            ADD_SQL, (self._resource, holder.id, holder.run_id, size.name, size.acceleration, holder.heartbeat_at)
        )

    def remove(self, holders: Sequence[str]) -> None:
        for holder in holders:
            self._statements.execute(REMOVE_SQL, (self._resource, holder))


class Book:
    """The table, for one resource: a virtual warehouse, a workgroup. `prepare` makes the table where it is missing."""

    def __init__(self, resource: str, transaction: Transaction, prepare: Callable[[], None]):
        self._resource, self._transaction, self._prepare = resource, transaction, prepare
        self._ready = False

    @contextmanager
    def locked(self) -> Iterator[Page]:
        """The resource's page; whoever wants it waits until the block has ended and was committed."""
        self._open()
        with self._transaction() as statements:
            statements.execute(LOCK_SQL, (self._resource,))
            yield Page(statements, self._resource)

    def beat(self, holder: str, now: float) -> None:
        """The holder is alive."""
        with self._transaction() as statements:
            statements.execute(BEAT_SQL, (now, self._resource, holder))

    def _open(self) -> None:
        """Two that open it at once may each insert the row, one of them after a size was found: that one's has none."""
        if self._ready:
            return
        self._prepare()
        with self._transaction() as statements:
            if not statements.execute(LOCK_SQL, (self._resource,)):
                statements.execute(OPEN_SQL, (self._resource,))
        self._ready = True


def _size(name: object, acceleration: object) -> Size:
    return Size(str(name), None if acceleration is None else int(str(acceleration)))
