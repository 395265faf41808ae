"""Redshift as a warehouse: the engine's `Warehouse` over one DSN and a lake in S3."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import pyarrow as pa

from ...model.columns import Column
from ...model.errors import ConfigError
from ...model.keys import Buckets
from ...model.report import CheckResult, Emit, LoadReport
from ...model.server import ServerSize
from ...model.sizing import SizeRules, Usage
from ...model.table import Target
from ...model.upkeep import BloatLimits, BloatReport, MaintenanceReport, MaintenanceRequest, Upkeep
from ..base import LedgerRow, LoadPlan, TableActivity, TargetColumn, Watermark
from ..control import Control
from . import catalog, checksum, doctor, ledger, maintain
from .load import load
from .session import Sessions
from .sizes import sizer

OPTIONS = ("iam_role", "workgroup", "region")


class RedshiftWarehouse:
    """A Redshift cluster or workgroup. Small questions share one session; every load has its own.

    `iam_role` is the role by which COPY reads the lake: `default`, or an ARN. `workgroup` names a serverless one, whose
    base capacity `sizing` changes for a load; `region` where the environment does not say it."""

    engine = "redshift"

    def __init__(
        self,
        name: str,
        dsn: str,
        iam_role: str = "",
        workgroup: str = "",
        region: str = "",
        sizing: SizeRules | None = None,
        **unknown: str,
    ):
        if unknown:
            raise ConfigError(
                f"warehouse {name!r} has the unknown option {next(iter(unknown))!r}", fix=f"use {', '.join(OPTIONS)}"
            )
        self.name, self.iam_role = name, iam_role
        if sizing is not None and not workgroup:
            raise ConfigError(
                f"warehouse {name!r} is a provisioned cluster, which is not resized for a load",
                fix="remove `sizing`, or name a serverless workgroup in `options: {workgroup: ..}`",
            )
        self._sessions = Sessions(name, dsn)
        self._sizer = sizer(self._sessions, sizing, workgroup, region or None) if sizing is not None else None
        self._control = Control(self._sessions)
        self._ask = self._control.ask

    def __repr__(self) -> str:
        return f"RedshiftWarehouse({self.name!r})"

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
        return load(self._sessions, plan, self.iam_role)

    def sized(self, bytes: int, *, run_id: str, emit: Emit) -> AbstractContextManager[Usage]:
        return self._sizer.sized(bytes, run_id=run_id, emit=emit) if self._sizer else nullcontext(Usage())

    def restore_size(self, run_id: str | None, *, emit: Emit) -> bool:
        return self._sizer is None or self._sizer.restore(run_id, emit)

    def table_columns(self, target: Target) -> list[TargetColumn]:
        return self._ask(target, lambda connection: catalog.target_columns(connection, target))

    def incomparable(self, columns: Sequence[Column]) -> tuple[str, ...]:
        return checksum.incomparable(columns)

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
        return self._ask(target, lambda connection: maintain.bloat(connection, target))

    def activity(self, targets: Sequence[Target]) -> list[TableActivity]:
        return self._ask(None, lambda connection: maintain.activity(connection, targets))

    def doctor(self) -> list[CheckResult]:
        return doctor.doctor(self._sessions, self.iam_role)

    def advise(self, targets: Sequence[Target], server: ServerSize) -> list[CheckResult]:
        return self._ask(None, lambda connection: doctor.advise(connection, targets, server))

    def close(self) -> None:
        self._control.close()
