"""Defects that a hurried hand could make, each a patch of the engine's own code or a protection switched off.

As a plugin of pytest (`-p syncer_assets_tests.faults.model.defects`, the name in $SYNCER_DEFECT) it puts one into a
whole run of tests.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import obstore
import pytest

from syncer_assets.model.errors import LostRace
from syncer_assets.model.manifest import Manifest
from syncer_assets.sync import attempt, ranges
from syncer_assets.sync.lake import Lake, Place
from syncer_assets_tests.faults.model.source import SimulatedSource

WEAK = {
    "ledger outside the transaction": "ledger outside",
    "mark first": "mark first",
    "fence off": "fence",
    "cursor order instead of extraction order": "cursor order",
}
"""Defects of the warehouse's transaction, by the protection of the simulated one that they switch off."""


def manifest_overwritten(patch: pytest.MonkeyPatch) -> None:
    def commit(self: Lake, place: Place, manifest: Manifest) -> None:
        obstore.put(self.store, place.manifest(manifest.seq), manifest.to_bytes())

    patch.setattr(Lake, "commit", commit)


def loser_republishes(patch: pytest.MonkeyPatch) -> None:
    """Who lost the race for a number puts the same bytes under the next one."""
    commit = Lake.commit

    def again(self: Lake, place: Place, manifest: Manifest) -> None:
        while True:
            try:
                return commit(self, place, manifest)
            except LostRace:
                manifest = replace(manifest, seq=manifest.seq + 1)

    patch.setattr(Lake, "commit", again)


def age_based_cleanup(patch: pytest.MonkeyPatch) -> None:
    """Data that no manifest names is removed whoever may still be writing it: it is old enough."""

    def remove(self: Lake, place: Place, since: int = 1) -> int:
        named = {file.path for manifest in self.manifests(place) for file in manifest.files}
        paths = [meta["path"] for page in obstore.list(self.store, prefix=f"{place.folder}/data") for meta in page]
        self.remove([path for path in paths if path not in named])
        return 0

    patch.setattr(Lake, "remove_orphans", remove)


def safe_is_high(patch: pytest.MonkeyPatch) -> None:
    opened = attempt.open_window

    def called_final(*arguments: Any, **named: Any) -> Any:
        window = opened(*arguments, **named)
        return replace(window, safe=window.high, pending=())

    patch.setattr(attempt, "open_window", called_final)


def exclusive_lower_bound(patch: pytest.MonkeyPatch) -> None:
    """The next window begins above what was shipped, not above what was proven final."""
    opened = attempt.open_window

    def above(partition: Any, head: Any, *arguments: Any, **named: Any) -> Any:
        window = opened(partition, head, *arguments, **named)
        return replace(window, low=head.high) if head is not None and window.low is not None else window

    patch.setattr(attempt, "open_window", above)
    patch.setattr(attempt.Attempt, "_base", _reading_above(attempt.Attempt._base))


def _reading_above(base: Callable[..., Any]) -> Callable[..., Any]:
    def read(self: Any, window: Any, partition: Any) -> Any:
        found = base(self, window, partition)
        return replace(found, after=self.head.high) if self.head and not self.may_reread else found

    return read


def proof_without_writers(patch: pytest.MonkeyPatch) -> None:
    """What a snapshot calls visible is called final: transactions that are still open are not asked for."""
    capture = SimulatedSource.capture
    patch.setattr(SimulatedSource, "capture", lambda *a: (c := capture(*a)) and c.with_proof())


def early_end_without_proof(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ranges, "_lowest", lambda *a: None)


def proof_by_snapshot(patch: pytest.MonkeyPatch) -> None:
    """PostgreSQL: the writers' locks are not looked at."""
    from syncer_assets.sources.postgres import proof

    patch.setattr(proof, "_writers", lambda *a, **k: ())


ENGINE: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "manifest overwritten": manifest_overwritten,
    "safe = high": safe_is_high,
    "exclusive lower bound": exclusive_lower_bound,
    "proof without the writers": proof_without_writers,
    "loser republishing under the next seq": loser_republishes,
}
"""Found by the state machine."""
DIRECTED: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    "age-based cleanup": (
        age_based_cleanup,
        "faults/model/test_model.py::test_a_cleanup_leaves_what_another_sync_is_writing",
    ),
    "early end without proof": (
        early_end_without_proof,
        "sync/test_strategies.py::test_ranges_jump_to_an_island_far_away",
    ),
    "proof by snapshot": (proof_by_snapshot, "sync/test_late_commits.py"),
}
"""Found by a directed test."""


def pytest_configure(config: pytest.Config) -> None:
    """As a plugin: the defect lasts as long as the run."""
    if name := os.environ.get("SYNCER_DEFECT"):
        DIRECTED[name][0](pytest.MonkeyPatch())
