"""What a keyed update asks of a warehouse: its table, a ledger of batches, and one statement a batch."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol, runtime_checkable

import pyarrow as pa

from ..model.columns import Column
from ..model.keyed_update import Batch, BatchCounts, KeyedStatus, KeyedUpdateSpec, Slice
from ..model.table import Target


@dataclass(frozen=True)
class Cycle:
    """One pass over a partition's batches: those `done` need not be written again. `epoch` is this run's fence.

    `mark` is what the change cursor may start from once the cycle is finished.
    """

    number: int
    epoch: int
    rows: Slice
    batches: tuple[Batch, ...]
    done: frozenset[int] = frozenset()
    mark: datetime | None = None
    rows_without_prefix: int = 0


@dataclass(frozen=True)
class Position:
    """Where a partition stands: the cycle that is not finished, and what the last finished one left."""

    epoch: int
    fingerprint: str | None = None
    cycle: Cycle | None = None
    mark: datetime | None = None
    until: date | None = None


@dataclass(frozen=True)
class UpdateColumns:
    """The columns of a batch in their order: key first. Source column and target column of each, and its type there."""

    key: tuple[str, ...]
    data: tuple[str, ...]
    columns: Mapping[str, Column]
    types: Mapping[str, str]

    @property
    def targets(self) -> tuple[str, ...]:
        return (*self.key, *self.data)

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(self.columns[name].name for name in self.targets)


class KeyedWriter(Protocol):
    """One worker's session."""

    def write(self, cycle: Cycle, batch: Batch, rows: Iterator[pa.RecordBatch]) -> BatchCounts:
        """Stage the rows, update what differs, and note the batch as done: in one transaction.

        Raises AssertionFailed for a key that several rows have, LostRace where another run took the partition over."""
        ...

    def was_done(self, cycle: Cycle, batch: Batch) -> BatchCounts | None:
        """What the ledger says of a batch whose COMMIT got no answer; None where it did not take effect."""
        ...


class KeyedTarget(Protocol):
    """The table of one keyed update, and one partition of its ledger."""

    def prepare(self, spec: KeyedUpdateSpec, columns: Sequence[Column]) -> UpdateColumns:
        """Which column goes where. Raises ConfigError or SchemaChanged where the table does not fit."""
        ...

    def take(self, run_id: str) -> Position:
        """Make every earlier run of this partition a stale one."""
        ...

    def begin(self, cycle: Cycle, fingerprint: str) -> None:
        """Write down a new cycle and its batches, none of them done."""
        ...

    def finish(self, cycle: Cycle) -> None:
        """Note that all batches are done, and the change cursor's mark."""
        ...

    def writer(self) -> AbstractContextManager[KeyedWriter]:
        """A session of its own, for one thread."""
        ...

    def key_index(self) -> bool:
        """Whether an index of the table begins with a key column."""
        ...

    def analyze_if(self, above: float) -> bool:
        """ANALYZE where finished cycles changed more than that share of the rows since the last one; whether it did."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class KeyedWarehouse(Protocol):
    """A warehouse that can serve keyed updates."""

    def keyed(self, target: Target, job: str, partition: str) -> KeyedTarget:
        """One partition of one keyed update."""
        ...

    def keyed_status(self, target: Target, job: str) -> list[KeyedStatus]:
        """What the ledger has of each partition that was ever begun."""
        ...
