"""Sparse ids: how well ranges of ids are filled, and what that says of the next one (DESIGN 5)."""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from ..model.table import SparseSettings

Advice = Literal["normal_processing", "adaptive_scaling", "terminate_early"]

WINDOW = 3
SCALE_BELOW = 0.30
EXTREMELY_SPARSE, MODERATELY_SPARSE = 0.05, 0.20
MODERATE_FACTOR, MODERATE_MOST = 3, 150_000


@dataclass
class RangeSizer:
    """How many ids the next range spans: `base`, or more where the last ones were nearly empty.

    `settings` are the table's; ranges of at most `min_chunk_size_check` ids are not judged.
    """

    settings: SparseSettings
    base: int
    sparse_in_a_row: int = field(default=0, init=False)
    size: int = field(init=False)
    _efficiencies: "deque[float]" = field(default_factory=lambda: deque(maxlen=WINDOW), init=False)

    def __post_init__(self) -> None:
        self.size = self.base

    @property
    def may_grow(self) -> bool:
        """Whether a sparse range makes the next one larger."""
        return self._scaled(0.0) > self.base

    def note(self, rows: int, ids: int) -> Advice:
        """A range of `ids` ids held `rows` rows. What to do next; `size` follows it."""
        if not self.settings.enabled or ids <= self.settings.min_chunk_size_check:
            return "normal_processing"
        efficiency = min(1.0, rows / ids)
        self._efficiencies.append(efficiency)
        sparse = efficiency < self.settings.efficiency_threshold
        self.sparse_in_a_row = self.sparse_in_a_row + 1 if sparse else 0
        advice = self._advice()
        self.size = self.base if advice == "normal_processing" else self._scaled(efficiency)
        return advice

    def jumped(self) -> None:
        """A gap was left behind: what was seen before it says nothing of what comes."""
        self._efficiencies.clear()
        self.sparse_in_a_row = 0

    def _advice(self) -> Advice:
        if self.sparse_in_a_row >= self.settings.consecutive_sparse_limit:
            return "terminate_early"
        average = sum(self._efficiencies) / len(self._efficiencies)
        return "adaptive_scaling" if average < SCALE_BELOW else "normal_processing"

    def _scaled(self, efficiency: float) -> int:
        factor, most = self.settings.max_scale_factor, self.settings.max_chunk_size
        if efficiency < EXTREMELY_SPARSE:
            return max(self.base, min(self.base * factor, most))
        if efficiency < MODERATELY_SPARSE:
            return max(self.base, min(self.base * min(factor, MODERATE_FACTOR), most, MODERATE_MOST))
        return self.base
