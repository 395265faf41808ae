"""Captures: a ceiling, and what is known of the transactions that could still write below it (DESIGN 5)."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from .marks import CursorColumn, Mark, decode, encode
from .risk import RiskName

ProofKind = Literal["writers_finished", "lag", "snapshot"]


@dataclass(frozen=True)
class ServerIdentity:
    """`database` names the data (kept in manifests), `server` the process that answered (an attempt reads from one)."""

    database: str
    server: str


@dataclass(frozen=True)
class Protection:
    """How late commits below a ceiling of this cursor are ruled out; `reason` says why they are not."""

    proof: ProofKind
    protected: bool
    reason: str = ""
    risk: RiskName = "late_commits"


@dataclass(frozen=True)
class Capture:
    """A ceiling read at `source_time`, and the transactions (`writers`) that must end before it is proven.

    `ceiling` is the highest cursor value seen, `provable` the value that may become `safe`. While `prepared` is None
    the prepared transactions have not been listed yet: they are, once, when all writers have ended. `sentinel` is an
    id far above the sequence's last value: it is not the ceiling, its rows are read beside the window.
    `allocated` is the last id that the sequence handed out: rows may be deleted below it without any being lost.
    """

    ceiling: Mark
    provable: Mark | None
    source_time: datetime
    server: str
    proof: ProofKind
    writers: tuple[str, ...] = ()
    prepared: tuple[str, ...] | None = ()
    proven: bool = False
    first_seen: datetime | None = None
    sentinel: Mark | None = None
    allocated: Mark | None = None

    def with_proof(self) -> "Capture":
        """The same capture, proven: every writer listed has ended."""
        return replace(self, writers=(), prepared=(), proven=True)

    def to_json(self) -> dict[str, object]:
        """The manifest's form. Only captures that are not proven yet are worth keeping."""
        return {
            "ceiling": encode(self.ceiling),
            "provable": encode(self.provable),
            "source_time": self.source_time.isoformat(),
            "server": self.server,
            "proof": self.proof,
            "writers": list(self.writers),
            "prepared": None if self.prepared is None else list(self.prepared),
            "first_seen": (self.first_seen or self.source_time).isoformat(),
        }

    @classmethod
    def from_json(cls, row: dict, order: tuple[CursorColumn, ...]) -> "Capture":
        """The inverse of `to_json`."""
        ceiling = decode(row["ceiling"], order)
        assert ceiling is not None
        return cls(
            ceiling=ceiling,
            provable=decode(row["provable"], order),
            source_time=datetime.fromisoformat(row["source_time"]),
            server=row["server"],
            proof=row["proof"],
            writers=tuple(row["writers"]),
            prepared=None if row["prepared"] is None else tuple(row["prepared"]),
            first_seen=datetime.fromisoformat(row["first_seen"]),
        )
