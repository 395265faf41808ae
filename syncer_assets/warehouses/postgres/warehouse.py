"""PostgreSQL as a warehouse: the engine's `Warehouse` over one DSN."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import psycopg

from ...model.columns import Column
from ...model.errors import DbError
from ...model.report import CheckResult, Emit, LoadReport
from ...model.table import Target
from ...model.upkeep import BloatLimits, BloatReport, MaintenanceReport, MaintenanceRequest, Upkeep
from ..base import LedgerRow, LoadPlan, TargetColumn, Watermark
from . import bloat, catalog, checksum, doctor, ledger, maintain
from .load import load
from .session import Sessions

T = TypeVar("T")


class PostgresWarehouse:
    """A PostgreSQL warehouse. Small questions share one session; every load has its own.

    `settings` are session settings over those of `session.SETTINGS`, such as `{"work_mem": "256MB"}`."""

    engine = "postgres"

    def __init__(self, name: str, dsn: str, settings: dict[str, str] | None = None):
        self.name = name
        self._sessions = Sessions(name, dsn, settings)
        self._control: psycopg.Connection | None = None

    def __repr__(self) -> str:
        return f"PostgresWarehouse({self.name!r})"

    def register(self, target: Target, lake_generation: str) -> None:
        self._ask(target, lambda connection: ledger.register(connection, target, lake_generation))

    def adopt(self, target: Target, lake_generation: str) -> None:
        self._ask(target, lambda connection: ledger.adopt(connection, target, lake_generation))

    def forget(self, target: Target, partition: str | None = None) -> None:
        self._ask(target, lambda connection: ledger.forget(connection, target, partition))

    def watermark(self, target: Target, partition: str) -> Watermark:
        found = self._ask(target, lambda connection: ledger.watermarks(connection, target, partition))
        return found[0] if found else Watermark(partition)

    def watermarks(self, target: Target) -> list[Watermark]:
        return self._ask(target, lambda connection: ledger.watermarks(connection, target))

    def ledger(self, target: Target, partition: str | None = None) -> list[LedgerRow]:
        return self._ask(target, lambda connection: ledger.rows(connection, target, partition))

    def load(self, plan: LoadPlan) -> LoadReport:
        return load(self._sessions, plan)

    def table_columns(self, target: Target) -> list[TargetColumn]:
        return self._ask(target, lambda connection: catalog.target_columns(connection, target))

    def checksum(
        self,
        target: Target,
        columns: Sequence[Column],
        key: Sequence[str],
        buckets: int,
        only: Sequence[int] | None = None,
    ) -> dict[int, tuple[int, int]]:
        return self._ask(target, lambda connection: checksum.checksum(connection, target, columns, key, buckets, only))

    def key_hashes(
        self, target: Target, columns: Sequence[Column], key: Sequence[str], buckets: int, only: Sequence[int]
    ) -> dict[tuple[str, ...], int]:
        return self._ask(
            target, lambda connection: checksum.key_hashes(connection, target, columns, key, buckets, only)
        )

    def maintain(self, target: Target, upkeep: Upkeep, request: MaintenanceRequest, *, emit: Emit) -> MaintenanceReport:
        connection = self._sessions.open()
        try:
            with self._sessions.errors("load", target.name):
                return maintain.maintain(connection, target, upkeep, request, emit)
        finally:
            connection.close()

    def bloat(self, target: Target, limits: BloatLimits) -> BloatReport:
        return self._ask(target, lambda connection: bloat.bloat(connection, target, limits))

    def doctor(self) -> list[CheckResult]:
        return doctor.doctor(self._sessions)

    def close(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None

    def _ask(self, target: Target, question: Callable[[psycopg.Connection], T]) -> T:
        """Ask over the shared session; one that failed for a passing reason is not used again."""
        if self._control is None or self._control.closed:
            self._control = self._sessions.open()
        try:
            with self._sessions.errors("load", target.name):
                return question(self._control)
        except DbError as error:
            if error.retryable:
                self.close()
            raise
