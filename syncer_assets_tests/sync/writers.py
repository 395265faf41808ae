"""Applications that write while a sync runs, one step at a time, so that a seed gives the same interleaving again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

import psycopg
import pytest

from syncer_assets.sources.postgres import PostgresSource
from syncer_assets_tests.servers import Database

TABLE = """
CREATE TABLE events (id bigserial PRIMARY KEY, v int NOT NULL DEFAULT 0, updated_at timestamptz NOT NULL DEFAULT now())
"""


class Writer:
    """One session. It draws ids and times early and commits, rolls back or prepares late."""

    def __init__(self, database: Database, name: str, random: Random, *, updates: bool):
        self._connection, self._name, self.random, self._updates = database.connect(), name, random, updates
        self._state = "idle"
        self._drawn: list[int] = []
        self._mine: list[int] = []
        self._uncommitted: list[int] = []
        self._number = 0

    def step(self) -> None:
        """The next thing that this session does."""
        if self._state == "idle":
            self._begin()
        elif self._state == "prepared":
            self._end_prepared(self.random.random() < 0.7)
        else:
            doing = [self._insert, self._insert, self._draw, self._spend, self._undo, self._update]
            ending = [self._commit, self._commit, self._rollback, self._prepare]
            self.random.choice(doing if self.random.random() < 0.7 else ending)()

    def finish(self) -> None:
        """End what is open."""
        if self._state == "open":
            self.random.choice([self._commit, self._commit, self._rollback, self._prepare])()
        if self._state == "prepared":
            self._end_prepared(self.random.random() < 0.8)

    def close(self) -> None:
        self._connection.close()

    def _begin(self) -> None:
        self._connection.execute("BEGIN")
        self._state = "open"
        self.random.choice([self._insert, self._draw, lambda: None])()

    def _insert(self) -> None:
        self._keep(self._connection.execute("INSERT INTO events DEFAULT VALUES RETURNING id"))

    def _draw(self) -> None:
        """As an ORM does: the id first, the row later."""
        row = self._connection.execute("SELECT nextval('events_id_seq')").fetchone()
        assert row is not None
        self._drawn.append(row[0])

    def _spend(self) -> None:
        if self._drawn:
            self._keep(
                self._connection.execute("INSERT INTO events (id) VALUES (%s) RETURNING id", [self._drawn.pop()])
            )

    def _undo(self) -> None:
        """The table's lock goes with the savepoint; an id drawn in it may be used all the same."""
        self._connection.execute("SAVEPOINT s")
        row = self._connection.execute("INSERT INTO events DEFAULT VALUES RETURNING id").fetchone()
        assert row is not None
        self._connection.execute("ROLLBACK TO SAVEPOINT s")
        self._drawn.append(row[0])

    def _update(self) -> None:
        if self._updates and self._mine:
            mine = self.random.choice(self._mine)
            self._connection.execute("UPDATE events SET v = v + 1, updated_at = now() WHERE id = %s", [mine])

    def _commit(self) -> None:
        self._connection.execute("COMMIT")
        self._ended(committed=True)

    def _rollback(self) -> None:
        self._connection.execute("ROLLBACK")
        self._ended(committed=False)

    def _prepare(self) -> None:
        self._number += 1
        self._connection.execute(f"PREPARE TRANSACTION '{self._name}-{self._number}'".encode())
        self._state = "prepared"

    def _end_prepared(self, commit: bool) -> None:
        word = "COMMIT" if commit else "ROLLBACK"
        self._connection.execute(f"{word} PREPARED '{self._name}-{self._number}'".encode())
        self._ended(committed=commit)

    def _keep(self, cursor: psycopg.Cursor) -> None:
        self._uncommitted += [row[0] for row in cursor]

    def _ended(self, *, committed: bool) -> None:
        if committed:
            self._mine += self._uncommitted
        self._drawn, self._uncommitted, self._state = [], [], "idle"


class Crowd:
    """A few writers, and one that only inserts and commits, so that there is always something above the others."""

    def __init__(self, database: Database, *, updates: bool, size: int = 3):
        database.execute(TABLE)
        names = (f"{database.name}-{number}" for number in range(size))
        self._writers = [Writer(database, name, Random(), updates=updates) for name in names]
        self._quick = database.connect()
        self._random = Random()

    def seed(self, seed: str) -> Random:
        """Begin a trial."""
        self._random = Random(seed)
        for writer in self._writers:
            writer.random = self._random
        return self._random

    def step(self) -> None:
        if self._random.random() < 0.25:
            self._quick.execute("INSERT INTO events DEFAULT VALUES")
        else:
            self._random.choice(self._writers).step()

    def finish(self) -> None:
        for writer in self._writers:
            writer.finish()

    def close(self) -> None:
        for writer in self._writers:
            writer.close()
        self._quick.close()


@contextmanager
def between_statements(source: PostgresSource, step: Callable[[], None]) -> Iterator[None]:
    """Calls `step` before each control statement of a source: whatever happens may happen there."""
    execute = psycopg.Connection.execute

    def stepping(self: psycopg.Connection, *arguments: object, **options: object) -> object:
        if self is source._control:
            step()
        return execute(self, *arguments, **options)  # type: ignore[arg-type]  # handed on as they came

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg.Connection, "execute", stepping)
        yield
