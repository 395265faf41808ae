"""Texts arrive in UTF-8 from a database of any encoding, or the read stops."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from syncer_assets.demo.server import EmbeddedPostgres
from syncer_assets.model.errors import ConfigError, DbError
from syncer_assets.sources.base import Read
from syncer_assets.sources.postgres import PostgresSource
from syncer_assets_tests.servers import Database


@pytest.fixture
def encoded(postgres: EmbeddedPostgres, source_db: Database) -> Iterator[Callable[[str], Database]]:
    """Makes a database of that encoding."""
    made: list[Database] = []

    def make(encoding: str) -> Database:
        made.append(Database(postgres, f"{source_db.name}_{encoding.lower()}"))
        source_db.execute(f"CREATE DATABASE {made[-1].name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
        return made[-1]

    yield make
    for database in made:
        database.drop()


def texts(database: Database) -> list[str]:
    with closing(PostgresSource("shop", database.dsn)) as source:
        read = Read("t", source.describe("t").columns, ())
        return [text for batch in source.read(read) for text in batch.column(0).to_pylist()]


@pytest.mark.parametrize("encoding", ["LATIN1", "WIN1252", "EUC_JP"])
def test_texts_are_converted(encoded: Callable[[str], Database], encoding: str) -> None:
    database = encoded(encoding)
    letters = "\u3042" if encoding == "EUC_JP" else "\u00e4\u00df"
    database.execute(f"CREATE TABLE t AS SELECT convert_from('\\x{letters.encode().hex()}', 'UTF8') AS c")
    assert texts(database) == [letters]


def test_bytes_that_are_no_utf8_stop_the_read(encoded: Callable[[str], Database]) -> None:
    database = encoded("SQL_ASCII")
    database.execute("CREATE TABLE t AS SELECT convert_from('\\xc3a4', 'SQL_ASCII') AS c")
    assert texts(database) == ["\u00e4"]
    database.execute("INSERT INTO t VALUES (convert_from('\\xe4', 'SQL_ASCII'))")
    with pytest.raises(DbError) as failed:
        texts(database)
    assert not failed.value.retryable


def test_a_connection_string_cannot_ask_for_another_encoding(source_db: Database) -> None:
    """Some texts of Latin 1 are good UTF-8, and would arrive as others."""
    source_db.execute("CREATE TABLE t AS SELECT U&'\\00c3\\00a4' AS c")
    with closing(PostgresSource("shop", f"{source_db.dsn}&client_encoding=latin1")) as source:
        read = Read("t", source.describe("t").columns, ())
        with pytest.raises(ConfigError, match="another encoding than UTF-8"):
            list(source.read(read))
