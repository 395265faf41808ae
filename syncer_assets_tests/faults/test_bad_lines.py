"""Lines that are reset again and again, and lines that are slow and cut everything small."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from syncer_assets.sources.mysql import MySQLSource
from syncer_assets.sources.mysql import source as mysql_source
from syncer_assets.sources.postgres import PostgresSource
from syncer_assets.sources.postgres import source as postgres_source
from syncer_assets.sync.lake import open_lake
from syncer_assets_tests.faults.invariants import assert_invariants
from syncer_assets_tests.faults.job import EVENTS, Job, target_of
from syncer_assets_tests.faults.midstream import BATCH_ROWS, PATIENT, assert_read_whole, fill
from syncer_assets_tests.faults.proxy import Line, Proxy
from syncer_assets_tests.faults.strike import Strike
from syncer_assets_tests.faults.test_silent_line import dsn_at, socket_of
from syncer_assets_tests.servers import Database

pytestmark = pytest.mark.server
RESET_BYTES = 5_000_000


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_a_read_ends_though_the_line_is_reset_every_five_megabytes(
    engine: str, request: pytest.FixtureRequest, lake_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on behind the last row that came, so that no more resets happen than there are bytes for."""
    monkeypatch.setattr(mysql_source, "BATCH_ROWS", BATCH_ROWS)
    monkeypatch.setattr(postgres_source, "BATCH_ROWS", BATCH_ROWS)
    database = request.getfixturevalue("source_db" if engine == "postgres" else "maria_db")
    fill(database)
    upstream = socket_of(database) if engine == "postgres" else ("127.0.0.1", database.server.port)
    with Proxy(upstream, line=Line(reset_after_bytes=RESET_BYTES)) as proxy:
        if engine == "postgres":
            source = PostgresSource("shop", dsn_at(database, "127.0.0.1", proxy.port))
        else:
            dsn = database.dsn.replace(f":{database.server.port}/", f":{proxy.port}/")
            source = MySQLSource("shop", dsn, {"identity": "the same behind the proxy"})
        strike = Strike("", lambda: None)
        with closing(source):
            assert_read_whole(source, open_lake(f"file://{lake_dir}"), strike)
        assert 5 <= len(strike.told("source connection lost, reading on")) <= proxy.cuts
        assert proxy.cuts <= proxy.bytes // RESET_BYTES <= 20


def test_a_slow_line_that_cuts_everything_small_is_only_slow(
    seed: int, job: Job, source_db: Database, warehouse_db: Database
) -> None:
    side, database = (("source_dsn", source_db), ("warehouse_dsn", warehouse_db))[seed % 2]
    with Proxy(socket_of(database), line=Line(latency_seconds=0.2, slice_bytes=1_000)) as proxy:
        behind = {side: dsn_at(database, "127.0.0.1", proxy.port)}
        job = replace(job.only(EVENTS), **behind, backoff=PATIENT)
        strike = Strike("", lambda: None)
        with job.opened() as opened:
            opened.run(strike)
            assert_invariants(source_db, opened.lake, warehouse_db, [(EVENTS, target_of(EVENTS))])
        assert not [event for event, _ in strike.events if "lost" in event or "thrown away" in event]
