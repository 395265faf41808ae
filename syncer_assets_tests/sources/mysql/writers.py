"""Applications that write to a MariaDB while a sync runs, one step at a time, so that a seed gives the same again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

import pytest

from syncer_assets.drivers import mysql
from syncer_assets_tests.mariadb import MariaDatabase
from syncer_assets_tests.servers import poll

TABLE = """
CREATE TABLE events (id bigint unsigned AUTO_INCREMENT PRIMARY KEY, v int NOT NULL DEFAULT 0,
                     updated_at timestamp(6) NOT NULL DEFAULT now(6) ON UPDATE now(6), KEY (updated_at))
"""
INSERT = "INSERT INTO events () VALUES ()"


class Writer:
    """One application. It draws ids and times early, and commits, rolls back, or prepares and hangs up, late."""

    def __init__(self, database: MariaDatabase, name: str):
        self._database, self._name, self.random = database, name, Random()
        self._connection = database.connect()
        self._state, self._number = "idle", 0
        self._mine: list[int] = []
        self._uncommitted: list[int] = []

    def step(self) -> None:
        """The next thing that this application does."""
        if self._state == "idle":
            self._begin()
        elif self._state == "prepared":
            self._end_prepared()
        elif self.random.random() < 0.7:
            self.random.choice([self._insert, self._insert, self._insert_many, self._update])()
        else:
            self.random.choice([self._commit, self._commit, self._rollback])()

    def finish(self) -> None:
        """End what is open."""
        if self._state in ("open", "xa"):
            self._commit()
        if self._state == "prepared":
            self._end_prepared()

    def close(self) -> None:
        self._connection.close()

    def _begin(self) -> None:
        self._number += 1
        self._state = self.random.choice(["open", "open", "xa"])
        self._execute("BEGIN" if self._state == "open" else f"XA START '{self._xid}'")
        if self._state == "xa" or self.random.random() < 0.7:  # one that wrote nothing is forgotten at hang-up
            self._insert()

    def _insert(self) -> None:
        self._uncommitted.append(self._execute(INSERT))

    def _insert_many(self) -> None:
        """A statement that does not know how many ids it needs draws them in blocks."""
        self._uncommitted.append(self._execute("INSERT INTO events (v) SELECT seq FROM seq_1_to_3"))

    def _update(self) -> None:
        if self._mine:
            self._execute(f"UPDATE events SET v = v + 1 WHERE id = {self.random.choice(self._mine)}")

    def _commit(self) -> None:
        if self._state == "xa":
            return self._prepare()
        self._execute("COMMIT")
        self._ended(committed=True)

    def _rollback(self) -> None:
        if self._state == "xa":
            return self._prepare()
        self._execute("ROLLBACK")
        self._ended(committed=False)

    def _prepare(self) -> None:
        self._execute(f"XA END '{self._xid}'")
        self._execute(f"XA PREPARE '{self._xid}'")
        self._state = "prepared"
        if self.random.random() < 0.5:
            self._connection.close()
            self._connection = self._database.connect()

    def _end_prepared(self) -> None:
        committed = self.random.random() < 0.7
        word = "COMMIT" if committed else "ROLLBACK"
        poll(lambda: self._try(f"XA {word} '{self._xid}'"), 60)
        self._ended(committed=committed)

    def _try(self, statement: str) -> bool:
        """The session that prepared it may still be on its way out."""
        try:
            self._execute(statement)
        except mysql.pymysql.MySQLError:
            return False
        return True

    def _ended(self, *, committed: bool) -> None:
        if committed:
            self._mine += self._uncommitted
        self._uncommitted, self._state = [], "idle"

    def _execute(self, statement: str) -> int:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            return int(cursor.lastrowid or 0)

    @property
    def _xid(self) -> str:
        return f"{self._name}-{self._number}"


class Crowd:
    """A few writers, and one that only inserts and commits, so that there is always something above the others."""

    def __init__(self, database: MariaDatabase, *, size: int = 3):
        database.execute(TABLE)
        self._writers = [Writer(database, f"{database.name}-{number}") for number in range(size)]
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
            with self._quick.cursor() as cursor:
                cursor.execute(INSERT)
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
def between_statements(step: Callable[[], None]) -> Iterator[None]:
    """Calls `step` before each control statement of a source: whatever happens may happen there."""
    rows = mysql.rows

    def stepping(connection: mysql.Connection, query: str, values: object = None) -> list[tuple]:
        step()
        return rows(connection, query, values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mysql, "rows", stepping)
        yield
