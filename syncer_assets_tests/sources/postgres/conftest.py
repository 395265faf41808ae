"""A source of the test's own."""

from collections.abc import Callable, Iterator

import pytest

from syncer_assets.sources.postgres import PostgresSource
from syncer_assets_tests.servers import Database
from syncer_assets_tests.sources.postgres.ceilings import Ceilings

OpenCeilings = Callable[..., Ceilings]


@pytest.fixture
def open_ceilings(source_db: Database) -> Iterator[OpenCeilings]:
    """Opens a source, as another role where one is named."""
    opened: list[PostgresSource] = []

    def open_as(role: str | None = None) -> Ceilings:
        opened.append(PostgresSource("shop", source_db.dsn_as(role) if role else source_db.dsn))
        return Ceilings(source_db, opened[-1])

    yield open_as
    for source in opened:
        source.close()


@pytest.fixture
def ceilings(open_ceilings: OpenCeilings) -> Ceilings:
    return open_ceilings()


@pytest.fixture
def reader(source_db: Database) -> Iterator[str]:
    """A role that may log in and SELECT what is there now or later, and nothing else."""
    role = f"reader_{source_db.name}"
    connect = f"GRANT CONNECT ON DATABASE {source_db.name} TO {role}"
    source_db.execute(f"CREATE ROLE {role} LOGIN; {connect}; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {role}")
    yield role
    source_db.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
