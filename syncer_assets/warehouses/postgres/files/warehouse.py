"""PostgreSQL as the engine's `FileWarehouse`, over one DSN."""

from collections.abc import Callable
from typing import TypeVar

import psycopg

from ....model.files import CoreMark, CoreReport, CoreSpec, FileLoad, FileSpec, LoadedFile, RefusedFile
from ....model.report import CheckResult, Emit
from ....model.table import Target
from ...files import FilePlan, FilesLoaded
from ..session import Sessions
from . import core, tables
from .doctor import examine
from .load import load

T = TypeVar("T")


class PostgresFiles:
    """Every question and every load has a session of its own: loads of several threads share nothing."""

    def __init__(self, name: str, dsn: str, settings: dict[str, str] | None = None):
        self.name = name
        self._sessions = Sessions(name, dsn, settings)

    def __repr__(self) -> str:
        return f"PostgresFiles({self.name!r})"

    def prepare(self, spec: FileSpec) -> None:
        self._ask(spec.target, lambda connection: tables.prepare(connection, spec))

    def forget(self, spec: FileSpec) -> None:
        self._ask(spec.target, lambda connection: tables.forget(connection, spec))

    def loaded(self, target: Target) -> dict[str, LoadedFile]:
        return self._ask(target, lambda connection: tables.loaded(connection, target))

    def refused(self, target: Target) -> dict[str, RefusedFile]:
        return self._ask(target, lambda connection: tables.refused(connection, target))

    def history(self, target: Target) -> list[FileLoad]:
        return self._ask(target, lambda connection: tables.history(connection, target))

    def core_mark(self, target: Target, core: Target) -> CoreMark | None:
        return self._ask(target, lambda connection: tables.core_mark(connection, target, core))

    def examine(self, spec: FileSpec) -> list[CheckResult]:
        return examine(self._sessions, spec)

    def load(self, plan: FilePlan) -> FilesLoaded:
        return load(self._sessions, plan)

    def load_core(self, spec: FileSpec, core_spec: CoreSpec, *, full: bool, run_id: str, emit: Emit) -> CoreReport:
        return core.load(self._sessions, spec, core_spec, full=full, run_id=run_id, emit=emit)

    def close(self) -> None:
        """Nothing is kept open."""

    def _ask(self, target: Target, question: Callable[[psycopg.Connection], T]) -> T:
        connection = self._sessions.open()
        try:
            with self._sessions.errors("load", target.name):
                return question(connection)
        finally:
            connection.close()
