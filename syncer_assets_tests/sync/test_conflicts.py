"""Queries that a replica or a limit of time ends: the chunks shrink until they fit, or it is told why not."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from syncer_assets.drivers import mysql, postgres
from syncer_assets.model.backoff import Backoff
from syncer_assets.model.errors import DbError
from syncer_assets.model.table import ChunkSettings, TableSpec
from syncer_assets.sources.base import Read
from syncer_assets.sync.chunks import FIRST_ROWS, SMALLEST_CHUNK_ROWS
from syncer_assets.sync.extract import extract
from syncer_assets.sync.lake import open_lake
from syncer_assets_tests.sync.fake_table import FakeTable
from syncer_assets_tests.sync.tables import spec_of

ROWS = 60_000
QUICK = Backoff(base_seconds=0.001, cap_seconds=0.002, budget_seconds=0.05, attempts=3)
LOST = "source connection lost, reading on"


def conflict() -> DbError:
    error = psycopg.errors.SerializationFailure("canceling statement due to conflict with recovery")
    return postgres.translate(error, "read", who="source shop", table="public.orders")


def limit_of_time() -> DbError:
    text = "Query execution was interrupted (max_statement_time exceeded)"
    return mysql.translate(1969, text, "read", who="source shop", table="orders")


class ConflictingFake(FakeTable):
    """A fake that ends each query for more rows than `most`, after `comes` batches of it."""

    most, comes, ended = 0, 0, 0
    error: Callable[[], DbError] = staticmethod(conflict)

    def read(self, read: Read, server: str | None = None) -> Iterator[pa.RecordBatch]:
        for number, batch in enumerate(super().read(read, server)):
            if number == self.comes and (read.limit or 0) > self.most + 1:
                self.ended += 1
                raise self.error()
            yield batch


def run(source: FakeTable, **fields: Any) -> list[tuple[str, dict[str, Any]]]:
    events: list[tuple[str, dict[str, Any]]] = []
    spec: TableSpec = spec_of(cursor=["id"], chunk=ChunkSettings(rows=ROWS, target_seconds=60), **fields)
    lake = open_lake("memory://")
    report = extract(
        source,  # type: ignore[arg-type]  # the fake has what an extraction asks for
        lake,
        spec,
        emit=lambda event, **told: events.append((event, told)),
        backoff=QUICK,
    )
    assert report.rows == ROWS
    return events


@pytest.mark.parametrize("error", [conflict, limit_of_time])
def test_five_conflicts_halve_the_chunk_five_times(error: Any) -> None:
    """More often than `attempts` says, and for longer than the budget: each query asks for less than the one before."""
    source = ConflictingFake(range(1, ROWS + 1), rows_estimate=-1, batch_rows=1000)
    source.most, source.error = FIRST_ROWS // 2**5, error
    told = [fields["next_chunk"] for event, fields in run(source) if event == LOST]
    assert told[:5] == [FIRST_ROWS // 2**number for number in range(1, 6)]


def test_the_rows_that_came_are_not_read_again() -> None:
    source = ConflictingFake(range(1, ROWS + 1), rows_estimate=-1, batch_rows=1000)
    source.most, source.comes = SMALLEST_CHUNK_ROWS, 3
    events = run(source)
    assert source.ended > QUICK.attempts
    read = sum(told["rows_found"] for event, told in events if event == "chunk read")
    lost = sum(told["rows_of_chunk"] for event, told in events if event == LOST)
    assert read + lost == ROWS


def test_conflicts_that_no_chunk_is_small_enough_for_end_with_advice() -> None:
    source = ConflictingFake(range(1, ROWS + 1), rows_estimate=-1)
    source.most = -1
    with pytest.raises(DbError, match=r"\(40001\).*Fix: .*max_standby_streaming_delay") as raised:
        run(source)
    assert raised.value.code == "40001"
    halvings = 6  # 50,000 to 1,000
    assert source.ended == halvings + QUICK.attempts


def test_a_limit_of_time_that_no_chunk_is_small_enough_for_is_tried_once_more() -> None:
    source = ConflictingFake(range(1, ROWS + 1), rows_estimate=-1)
    source.most, source.error = -1, limit_of_time
    with pytest.raises(DbError, match=r"\(1969\).*Fix: raise max_statement_time"):
        run(source)
    assert source.ended == 6 + 2
