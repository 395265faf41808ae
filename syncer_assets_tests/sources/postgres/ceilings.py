"""Ceilings as a sync sees them: captured, and judged later."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from syncer_assets.model.capture import Capture, Protection
from syncer_assets.model.table import TableSpec
from syncer_assets.sources.postgres import PostgresSource
from syncer_assets.sync.rules import Resolved, resolve
from syncer_assets_tests.servers import Database, poll


@dataclass
class Ceilings:
    """A source, and the captures of its tables."""

    database: Database
    source: PostgresSource

    def spec(self, cursor: str = "id", table: str = "public.t", **fields: Any) -> TableSpec:
        settings: dict[str, Any] = {"late_commit_lag": timedelta(0)} | fields
        return TableSpec("shop", table, cursor=(cursor,), **settings)

    def capture(self, spec: TableSpec) -> Capture:
        captured = self.source.capture(spec, self.source.describe(spec.table), self._resolved(spec).order)
        assert captured is not None
        return captured

    def proven(self, spec: TableSpec, capture: Capture) -> bool:
        """Whether the capture is proven now."""
        return self.judge(spec, capture).proven

    def becomes_proven(self, spec: TableSpec, capture: Capture) -> bool:
        """True once it is proven: a session of the server's own that comes or goes just now may pin for a moment."""
        return poll(lambda: self.proven(spec, capture), 60)

    def judge(self, spec: TableSpec, capture: Capture) -> Capture:
        [judged] = self.source.judge(spec, self._resolved(spec).order, [capture])
        return judged

    def protection(self, spec: TableSpec) -> Protection:
        return self.source.protection(spec, self.source.describe(spec.table), self._resolved(spec).order)

    def _resolved(self, spec: TableSpec) -> Resolved:
        return resolve(spec, self.source.describe(spec.table))
