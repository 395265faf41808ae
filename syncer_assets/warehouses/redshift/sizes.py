"""The sizing of a serverless workgroup, written down in `_syncer.sizing` of its own database."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

from ...model.sizing import SizeRules
from ..sizing import Sizer
from ..sizing.book import Book, Statements
from ..sizing.redshift import ServerlessCapacity
from .ledger import THERE_ALREADY
from .session import Sessions, commit, transaction

TABLE_SQL = """
CREATE TABLE IF NOT EXISTS _syncer.sizing (
    resource     VARCHAR(256) NOT NULL,
    holder       VARCHAR(64) NOT NULL,
    run_id       VARCHAR(256) NOT NULL,
    size         VARCHAR(64),
    acceleration INTEGER,
    heartbeat_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (resource, holder)
)
"""


class _Bound:
    """The statements of a transaction; psycopg's client writes the values in."""

    def __init__(self, connection: psycopg.Connection):
        self._connection = connection

    def execute(self, statement: str, values: Sequence[object] = ()) -> int:
        return self._connection.execute(statement.replace("?", "%s").encode(), values).rowcount

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[tuple]:
        return self._connection.execute(statement.replace("?", "%s").encode(), values).fetchall()


def sizer(sessions: Sessions, rules: SizeRules, workgroup: str, region: str | None) -> Sizer:
    """By boto3, with the credentials of the environment."""

    @contextmanager
    def transact() -> Iterator[Statements]:
        with _opened(sessions) as connection, transaction(connection):
            connection.execute("LOCK _syncer.sizing")  # else two at once end in ERROR 1023
            yield _Bound(connection)
            commit(connection)

    def prepare() -> None:
        with _opened(sessions) as connection:
            for statement in ("CREATE SCHEMA IF NOT EXISTS _syncer", TABLE_SQL):
                try:
                    connection.execute(statement.encode())
                except psycopg.Error as error:  # another load made it meanwhile
                    if error.sqlstate not in THERE_ALREADY:
                        raise

    return Sizer(rules, ServerlessCapacity(workgroup, region), Book(workgroup, transact, prepare))


@contextmanager
def _opened(sessions: Sessions) -> Iterator[psycopg.Connection]:
    connection = sessions.open()
    try:
        with sessions.errors("load"):
            yield connection
    finally:
        connection.close()
