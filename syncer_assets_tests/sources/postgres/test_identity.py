"""Which data, and which server: transactions of one server mean nothing to another (rule 4)."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer_assets.demo.server import EmbeddedPostgres
from syncer_assets.model.errors import AttemptVoid
from syncer_assets.sources.base import Read
from syncer_assets.sources.postgres import PostgresSource
from syncer_assets_tests.servers import Database
from syncer_assets_tests.sources.postgres.ceilings import Ceilings
from syncer_assets_tests.sync.tables import transaction

TABLE = "CREATE TABLE t (id bigserial PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now())"


@pytest.fixture
def own() -> Iterator[Database]:
    """A database on a server that the test may restart."""
    folder = Path(tempfile.mkdtemp(prefix="syncer-pg-"))
    with EmbeddedPostgres(folder, durable=False) as server:
        yield Database.create(server, "source")
    shutil.rmtree(folder)


def restart(database: Database) -> None:
    database.server.stop()
    database.server.start()


def test_a_restart_voids_captures_and_the_attempt(own: Database) -> None:
    """A prepared transaction outlives the restart, but under another name: it would look ended."""
    own.execute(TABLE)
    before = Ceilings(own, PostgresSource("shop", own.dsn))
    specs = [before.spec("id"), before.spec("updated_at")]
    with transaction(own, "INSERT INTO t DEFAULT VALUES") as writer:
        own.execute("INSERT INTO t DEFAULT VALUES")
        writer.execute(b"PREPARE TRANSACTION 'survivor'")
    captures = [before.judge(spec, before.capture(spec)) for spec in specs]
    assert not any(capture.proven for capture in captures)
    identity, facts = before.source.identity(), before.source.describe("public.t")
    before.source.close()

    restart(own)
    after = Ceilings(own, PostgresSource("shop", own.dsn))
    again = after.source.identity()
    assert again.database == identity.database and again.server != identity.server
    for spec, capture in zip(specs, captures, strict=True):
        order = after._resolved(spec).order
        assert after.source.judge(spec, order, [capture]) == []
        assert not after.proven(spec, after.capture(spec))
    with pytest.raises(AttemptVoid, match=r"public\.t: another server answers"):
        list(after.source.read(Read(table="public.t", columns=facts.columns, order=()), identity.server))
    after.source.close()
    own.execute("COMMIT PREPARED 'survivor'", [])


def test_another_database_of_the_same_server_is_other_data(source_db: Database, database: Database) -> None:
    identities = []
    for each in (source_db, database):
        source = PostgresSource("shop", each.dsn)
        identities.append(source.identity())
        source.close()
    assert identities[0].database != identities[1].database
    assert identities[0].server == identities[1].server


def test_a_plain_role_finds_the_same_identity(ceilings: Ceilings, reader: str) -> None:
    source = PostgresSource("shop", ceilings.database.dsn_as(reader))
    assert source.identity() == ceilings.source.identity()
    source.close()
