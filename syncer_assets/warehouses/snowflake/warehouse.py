"""Snowflake as a warehouse: the engine's `Warehouse` over one DSN."""

import re
from collections.abc import Mapping, Sequence
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
from . import activity, catalog, checksum, doctor, ledger
from . import upkeep as shape
from .load import load
from .session import Opener, Sessions
from .sizes import sizer

OPTIONS: Mapping[str, tuple[str, str]] = {
    "stage": (r'(?:[A-Za-z_][\w$]*|"[^"]+")(?:\.(?:[A-Za-z_][\w$]*|"[^"]+")){0,2}', "DATABASE.SCHEMA.STAGE"),
    "storage_integration": (r"[A-Za-z_][\w$]*", "its name"),
    "statement_timeout_seconds": (r"[1-9]\d*", "seconds, such as 14400"),
    "use_cached_result": (r"(?i:true|false)", "true or false"),
}
"""What may be set: the pattern of its values, and what to write."""


def check_options(name: str, options: Mapping[str, str]) -> None:
    """Raises ConfigError for an option that is not known, or a value that it cannot have."""
    for option, value in options.items():
        if option not in OPTIONS:
            raise ConfigError(
                f"warehouse {name!r} has the unknown option {option!r}", fix=f"use some of {', '.join(OPTIONS)}"
            )
        pattern, what = OPTIONS[option]
        if not re.fullmatch(pattern, value):
            raise ConfigError(f"warehouse {name!r} has a wrong `{option}`", fix=f"write {what}")


class SnowflakeWarehouse:
    """A Snowflake warehouse. Small questions share one session; every load has its own.

    `options`: `stage` (DATABASE.SCHEMA.STAGE over the lake's root) or `storage_integration` let the warehouse read the
    lake itself; `statement_timeout_seconds`, `use_cached_result`. `opener` opens sessions in the connector's place."""

    engine = "snowflake"

    def __init__(
        self,
        name: str,
        dsn: str,
        options: Mapping[str, str] | None = None,
        opener: Opener | None = None,
        sizing: SizeRules | None = None,
    ):
        self.name = name
        self.options = dict(options or {})
        check_options(name, self.options)
        self._sessions = Sessions(name, dsn, self.options, opener)
        self._sizer = sizer(self._sessions, sizing) if sizing is not None else None
        self._control = Control(self._sessions)
        self._ask = self._control.ask

    def __repr__(self) -> str:
        return f"SnowflakeWarehouse({self.name!r})"

    def register(self, target: Target, lake_generation: str) -> None:
        self._ask(target, lambda session: ledger.register(session, target, lake_generation))

    def adopt(self, target: Target, lake_generation: str) -> None:
        self._ask(target, lambda session: ledger.adopt(session, target, lake_generation))

    def forget(self, target: Target, partition: str | None = None) -> None:
        self._ask(target, lambda session: ledger.forget(session, target, partition))

    def watermark(self, target: Target, partition: str) -> Watermark:
        found = self._ask(target, lambda session: ledger.watermarks(session, target, partition))
        return found[0] if found else Watermark(partition)

    def watermarks(self, target: Target) -> list[Watermark]:
        return self._ask(target, lambda session: ledger.watermarks(session, target))

    def ledger(self, target: Target, partition: str | None = None) -> list[LedgerRow]:
        return self._ask(target, lambda session: ledger.rows(session, target, partition))

    def load(self, plan: LoadPlan) -> LoadReport:
        return load(self._sessions, plan, self.options)

    def sized(self, bytes: int, *, run_id: str, emit: Emit) -> AbstractContextManager[Usage]:
        return self._sizer.sized(bytes, run_id=run_id, emit=emit) if self._sizer else nullcontext(Usage())

    def restore_size(self, run_id: str | None, *, emit: Emit) -> bool:
        return self._sizer is None or self._sizer.restore(run_id, emit)

    def table_columns(self, target: Target) -> list[TargetColumn]:
        return self._ask(target, lambda session: catalog.target_columns(session, target))

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
        return self._ask(target, lambda session: checksum.checksum(session, target, columns, key, buckets, only))

    def key_rows(
        self,
        target: Target,
        columns: Sequence[Column],
        key: Sequence[str],
        rows: Buckets,
        beside: Sequence[Column] = (),
    ) -> pa.Table:
        return self._ask(target, lambda session: checksum.key_rows(session, target, columns, key, rows, beside))

    def maintain(self, target: Target, upkeep: Upkeep, request: MaintenanceRequest, *, emit: Emit) -> MaintenanceReport:
        return shape.maintain(upkeep)

    def bloat(self, target: Target, limits: BloatLimits) -> BloatReport:
        return shape.bloat()

    def activity(self, targets: Sequence[Target]) -> list[TableActivity]:
        return self._ask(None, lambda session: activity.activity(session, targets))

    def doctor(self) -> list[CheckResult]:
        return doctor.doctor(self._sessions, self.options)

    def advise(self, targets: Sequence[Target], server: ServerSize) -> list[CheckResult]:
        return self._ask(None, lambda session: doctor.advise(session, targets))

    def close(self) -> None:
        self._control.close()
