"""The sizing of the virtual warehouse that a DSN names, of a warehouse or a source, written down in `_SYNCER.SIZING`.

The virtual warehouse's name is that of the row, so that all who share it and the book count each other.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from ...drivers import snowflake
from ...model.errors import ConfigError
from ...model.sizing import SizeRules
from ..sizing import Sizer
from ..sizing.book import Book, Statements
from ..sizing.snowflake import VirtualWarehouse
from . import names
from .session import Session, Sessions, commit, transaction

TABLE_SQL = """
CREATE TABLE IF NOT EXISTS "_SYNCER"."SIZING" (
    resource     VARCHAR NOT NULL,
    holder       VARCHAR NOT NULL,
    run_id       VARCHAR NOT NULL,
    size         VARCHAR,
    acceleration NUMBER(38,0),
    heartbeat_at FLOAT NOT NULL,
    PRIMARY KEY (resource, holder)
)
"""


def sizer(sessions: Sessions, rules: SizeRules) -> Sizer:
    """Raises ConfigError where the DSN names no virtual warehouse."""
    warehouse = sessions.arguments().get("warehouse")
    if not warehouse:
        raise ConfigError(
            f"{sessions.name} declares `sizing`, but its DSN names no virtual warehouse",
            fix="add ?warehouse=.. to the DSN",
        )

    def ask(statement: str) -> list[dict[str, object]]:
        with _opened(sessions, None) as session:
            return snowflake.named_rows(session.connection, statement)

    @contextmanager
    def transact() -> Iterator[Statements]:
        with _opened(sessions, rules.book) as session, transaction(session):
            yield session
            commit(session)

    def prepare() -> None:
        with _opened(sessions, rules.book) as session:
            session.execute(f"CREATE SCHEMA IF NOT EXISTS {names.SCHEMA}")
            session.execute(TABLE_SQL)

    name = str(warehouse).upper()
    return Sizer(rules, VirtualWarehouse(name, ask), Book(name, transact, prepare))


@contextmanager
def _opened(sessions: Sessions, database: str | None) -> Iterator[Session]:
    """A session of its own: ALTER WAREHOUSE commits, and must not end what another one holds."""
    session = sessions.open(database)
    try:
        with sessions.errors("load"):
            yield session
    finally:
        session.close()
