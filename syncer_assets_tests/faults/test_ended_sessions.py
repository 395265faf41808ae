"""pg_terminate_backend before each statement of a load, and in the midst of its COPY: one ledger row, nothing lost."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from syncer_assets.model.table import RefreshSettings, TableSpec
from syncer_assets_tests.faults.invariants import assert_invariants
from syncer_assets_tests.faults.job import COUNTRIES, EVENTS, ORDERS, Job, Opened, target_of, write
from syncer_assets_tests.faults.record import struck
from syncer_assets_tests.servers import Database

SWAPPED = replace(COUNTRIES, refresh=RefreshSettings("swap"))
STRIDE = 8
"""A seed takes every eighth statement; eight seeds take them all."""


class Ending:
    """Ends the session before its n-th statement, or its n-th piece of COPY, by the server; once."""

    def __init__(self, warehouse: Database, nth: int = 0):
        self._warehouse, self._nth = warehouse, nth
        self._of_ours = False
        self.seen = 0

    def __call__(self, connection: psycopg.Connection) -> None:
        if self._of_ours or connection.closed or connection.info.dbname != self._warehouse.name:
            return
        self.seen += 1
        if self.seen == self._nth:
            self._of_ours = True
            self._warehouse.execute(f"SELECT pg_terminate_backend({connection.info.backend_pid}, 5000)")
            struck()

    @property
    def done(self) -> bool:
        return self._of_ours


@contextmanager
def watched(owner: Any, name: str, ending: Ending) -> Iterator[None]:
    """Each call of a method of a cursor or a COPY is told before it is done."""
    call: Callable[..., Any] = getattr(owner, name)

    def telling(self: Any, *arguments: Any, **named: Any) -> Any:
        ending(self.connection)
        return call(self, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, telling)
        yield


@pytest.mark.timeout(300)
@pytest.mark.parametrize("spec", [ORDERS, EVENTS, SWAPPED], ids=["merged", "appended", "swapped"])
def test_a_load_goes_on_whichever_statement_finds_its_session_ended(
    spec: TableSpec, seed: int, job: Job, source_db: Database, warehouse_db: Database
) -> None:
    with job.only(spec).opened() as opened:
        opened.run()
        write(source_db, 1)
        opened.extract(spec)
        every = Ending(warehouse_db)
        with watched(psycopg.Cursor, "execute", every):
            opened.load(spec)
        assert every.seen > 15
        marks = None
        some = range(1 + seed % STRIDE, every.seen + 1, STRIDE)
        for nth in sorted({*some, *range(every.seen - 2, every.seen + 1)}):  # the last ones, after COMMIT, always
            _load_with(Ending(warehouse_db, nth), psycopg.Cursor, "execute", opened, spec, source_db, nth + 1)
            marks = assert_invariants(source_db, opened.lake, warehouse_db, [(spec, target_of(spec))], since=marks)


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("spec", [ORDERS, COUNTRIES], ids=lambda spec: spec.name)
def test_a_load_goes_on_when_its_session_is_ended_in_copy(
    spec: TableSpec, nth: int, job: Job, source_db: Database, warehouse_db: Database
) -> None:
    """psycopg tells no SQLSTATE of it."""
    with job.only(spec).opened() as opened:
        _load_with(Ending(warehouse_db, nth), psycopg.Copy, "write", opened, spec, source_db, 1)
        assert_invariants(source_db, opened.lake, warehouse_db, [(spec, target_of(spec))])
        _load_with(Ending(warehouse_db, nth), psycopg.Copy, "write", opened, spec, source_db, 2)
        assert_invariants(source_db, opened.lake, warehouse_db, [(spec, target_of(spec))])


def _load_with(
    ending: Ending, owner: Any, name: str, opened: Opened, spec: TableSpec, source: Database, round: int
) -> None:
    write(source, round)
    opened.extract(spec)
    with watched(owner, name, ending):
        report = opened.load(spec)
    assert ending.done, f"only {ending.seen} came"
    assert report.rows
