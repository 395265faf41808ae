"""PostgreSQL as a warehouse: the engine's `Warehouse` over one DSN."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import pyarrow as pa

from ...model.columns import Column
from ...model.keyed_update import KeyedStatus
from ...model.keys import Buckets
from ...model.report import CheckResult, Emit, LoadReport
from ...model.server import ServerSize
from ...model.sizing import Usage
from ...model.table import Target
from ...model.upkeep import BloatLimits, BloatReport, MaintenanceReport, MaintenanceRequest, Upkeep
from ..base import LedgerRow, LoadPlan, TableActivity, TargetColumn, Watermark
from ..control import Control
from . import activity, advise, bloat, catalog, checksum, doctor, ledger, maintain
from .keyed import PostgresKeyedTarget
from .keyed_status import keyed_status
from .load import load
from .session import Sessions


class PostgresWarehouse:
    """A PostgreSQL warehouse. Small questions share one session; every load has its own.

    `settings` are session settings over those of `session.SETTINGS`, such as `{"work_mem": "256MB"}`."""

    engine = "postgres"

    def __init__(self, name: str, dsn: str, settings: dict[str, str] | None = None):
        self.name = name
        self._sessions = Sessions(name, dsn, settings)
        self._control = Control(self._sessions)
        self._ask = self._control.ask

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

    def sized(self, bytes: int, *, run_id: str, emit: Emit) -> AbstractContextManager[Usage]:
        return nullcontext(Usage())

    def restore_size(self, run_id: str | None, *, emit: Emit) -> bool:
        return True

    def table_columns(self, target: Target) -> list[TargetColumn]:
        return self._ask(target, lambda connection: catalog.target_columns(connection, target))

    def incomparable(self, columns: Sequence[Column]) -> tuple[str, ...]:
        return ()

    def checksum(
        self,
        target: Target,
        columns: Sequence[Column],
        key: Sequence[str],
        buckets: int,
        only: Sequence[int] | None = None,
    ) -> dict[int, tuple[int, int]]:
        return self._ask(target, lambda connection: checksum.checksum(connection, target, columns, key, buckets, only))

    def key_rows(
        self,
        target: Target,
        columns: Sequence[Column],
        key: Sequence[str],
        rows: Buckets,
        beside: Sequence[Column] = (),
    ) -> pa.Table:
        return self._ask(target, lambda connection: checksum.key_rows(connection, target, columns, key, rows, beside))

    def maintain(self, target: Target, upkeep: Upkeep, request: MaintenanceRequest, *, emit: Emit) -> MaintenanceReport:
        connection = self._sessions.open()
        try:
            with self._sessions.errors("load", target.name):
                return maintain.maintain(connection, target, upkeep, request, emit)
        finally:
            connection.close()

    def bloat(self, target: Target, limits: BloatLimits) -> BloatReport:
        return self._ask(target, lambda connection: bloat.bloat(connection, target, limits))

    def activity(self, targets: Sequence[Target]) -> list[TableActivity]:
        return self._ask(None, lambda connection: activity.activity(connection, targets))

    def keyed_status(self, target: Target, job: str) -> list[KeyedStatus]:
        """What the ledger has of each partition of a keyed update."""
        return keyed_status(self._sessions, target, job)

    def keyed(self, target: Target, job: str, partition: str) -> PostgresKeyedTarget:
        return PostgresKeyedTarget(self._sessions, target, job, partition)

    def doctor(self) -> list[CheckResult]:
        return doctor.doctor(self._sessions)

    def advise(self, targets: Sequence[Target], server: ServerSize) -> list[CheckResult]:
        with self._sessions.errors("connect"), self._sessions.open_plain() as connection:
            return advise.advise(connection, targets, server, self._sessions.settings)

    def close(self) -> None:
        self._control.close()
