"""Advice about a MySQL or MariaDB server, from its own counters, in statements that it takes."""

from collections.abc import Callable

import pytest

from syncer_assets.model.report import CheckResult
from syncer_assets.sources.mysql import MySQLSource, settings
from syncer_assets_tests.mariadb import MariaDatabase

MB = 1024**2
GB = 1024 * MB


def found(source: MySQLSource) -> dict[str, CheckResult]:
    return {result.name: result for result in source.doctor()}


def take(database: MariaDatabase, fix: str) -> None:
    """The server takes the statement; the setting is as before afterwards."""
    assert fix.startswith("SET GLOBAL ")
    name = fix.split()[2]
    [(before,)] = database.execute(f"SELECT @@GLOBAL.{name}")
    try:
        database.execute(fix)
    finally:
        database.execute(f"SET GLOBAL {name} = {before}")


def test_our_session_is_told(source: MySQLSource) -> None:
    assert found(source)["session"].metadata["net_write_timeout"] == "3600"


def test_a_packet_that_is_too_small_for_a_column_is_told(
    maria_db: MariaDatabase, source: MySQLSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "PACKET_LEAST", GB)
    assert found(source)["max_allowed_packet"].passed, "no column is that long"
    maria_db.execute("CREATE TABLE texts (id int PRIMARY KEY, body longtext)")
    told = found(source)["max_allowed_packet"]
    assert not told.passed and "can hold more: 1" in told.description
    monkeypatch.setattr(settings, "PACKET_LEAST", 16 * MB)
    assert found(source)["max_allowed_packet"].passed
    take(maria_db, f"SET GLOBAL max_allowed_packet = {4 * settings.PACKET_LEAST}")


@pytest.mark.parametrize(
    ("reads", "uptime", "data", "passed"),
    [
        (100_000, 90_000, 40 * GB, False),
        (100_000, 60, 40 * GB, True),
        (10_000, 90_000, 40 * GB, True),
        (100_000, 90_000, GB // 10, True),
    ],
)
def test_the_buffer_pool_is_judged_by_what_was_not_in_it(reads: int, uptime: int, data: int, passed: bool) -> None:
    told = {"innodb_buffer_pool_read_requests": 1_000_000, "innodb_buffer_pool_reads": reads, "uptime": uptime}
    result = settings._buffer_pool(128 * MB, data, told)
    assert result.passed is passed
    assert result.fix == ("" if passed else f"SET GLOBAL innodb_buffer_pool_size = {256 * MB}")


def test_the_redo_log_is_judged_by_an_hour_of_writes(
    maria_db: MariaDatabase, open_source: Callable[..., MySQLSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "UPTIME_LEAST_SECONDS", 0)
    source = open_source("ALL PRIVILEGES ON {db}.*", "PROCESS ON *.*")
    result = settings._redo_log(
        source._connection,
        {"innodb_log_file_size": 96 * MB},
        {"innodb_os_log_written": 500 * MB, "uptime": 7200},
    )
    assert not result.passed and "250 MB are written an hour" in result.description
    take(maria_db, result.fix)
