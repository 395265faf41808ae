"""Pages that were received and are not committed yet: kept as they come, so that a killed run is gone on with.

An attempt is a folder, `_attempts/<seq>-<uuid>/`, of `attempt.json` and of steps. A step is one object, put if it is
absent: a line that says where its span (`Endpoint.spans`) is after it, then its records as gzip. No name in there ends
as data does, so a reader that takes files by pattern never sees one.
"""

import gzip
import json
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from ...model.api import Endpoint
from ...sources.rest import Position
from ..lake import Lake, Place, lost_race

LEVEL = 4
_ABOUT = "attempt.json"


@dataclass(frozen=True)
class Step:
    """Some pages of one span. `next` is the position after them, `seen` the digests of the positions in it."""

    span: int
    number: int
    pages: int
    rows: int
    next: Position
    done: bool
    first_total: int | None
    total: int | None
    seen: tuple[str, ...] = ()


@dataclass(frozen=True)
class Attempt:
    """One try to read a partition as `seq`, of an endpoint with that fingerprint."""

    lake: Lake
    place: Place
    seq: int
    name: str
    fingerprint: str
    started_at: datetime
    resumed: bool = False

    @property
    def folder(self) -> str:
        return f"{attempts_folder(self.place)}/{self.name}"

    def steps(self) -> list[Step]:
        """The steps that are there, by span and number."""
        return [self.step(path)[0] for path in self.step_paths()]

    def step_paths(self) -> list[str]:
        """The objects of the steps, in the order of their records."""
        return [path for path in self.lake.paths(self.folder) if path.endswith(".step")]

    def step(self, path: str) -> tuple[Step, bytes]:
        """A step and its records, packed."""
        head, _, packed = self.lake.get(path).partition(b"\n")
        said = json.loads(head)
        return Step(**{**said, "seen": tuple(said["seen"])}), packed

    def write(self, step: Step, lines: bytes) -> None:
        """Keep a step. Raises LostRace if another run of the partition, which went on with the same attempt, has it."""
        body = json.dumps(asdict(step)).encode() + b"\n" + gzip.compress(lines, LEVEL, mtime=0)
        if not self.lake.put_if_absent(f"{self.folder}/{step.span:05d}-{step.number:08d}.step", body):
            raise lost_race(self.place, self.seq)

    @property
    def is_overtaken(self) -> bool:
        """Whether another run has the number, or began the partition afresh."""
        return self.seq in self.lake.seqs(self.place) or f"{self.folder}/{_ABOUT}" not in self.lake.paths(self.folder)

    def remove(self) -> None:
        """Remove the attempt's objects."""
        self.lake.remove(self.lake.paths(self.folder))


def open_attempt(lake: Lake, place: Place, seq: int, endpoint: Endpoint, *, afresh: bool) -> Attempt:
    """The youngest attempt at `seq` that may be gone on with, else a new one; the others are removed.

    Pages of another meaning, or of longer ago than `resume_within`, are never mixed with new ones.
    """
    chosen = None if afresh else usable_attempt(lake, place, seq, endpoint)
    if chosen is None:
        chosen = _new_attempt(lake, place, seq, endpoint)
    remove_attempts(lake, place, keep=chosen.name, upto=seq if afresh else seq - 1)
    return chosen


def usable_attempt(lake: Lake, place: Place, seq: int, endpoint: Endpoint) -> Attempt | None:
    """The youngest attempt at `seq` that may be gone on with."""
    usable = [each for each in _attempts(lake, place) if _is_usable(each, seq, endpoint)]
    return max(usable, key=lambda attempt: attempt.started_at, default=None)


def attempts_folder(place: Place) -> str:
    """Where a partition's attempts lie."""
    return f"{place.folder}/_attempts"


def has_attempts(lake: Lake, place: Place, *, upto: int) -> bool:
    """Whether something is left of attempts at numbers that are taken."""
    return bool(_paths(lake, place, None, upto))


def remove_attempts(lake: Lake, place: Place, *, keep: str | None = None, upto: int) -> None:
    """Remove what is left of attempts at numbers that are taken, or of pages that nobody will go on with."""
    lake.remove(_paths(lake, place, keep, upto))


def _paths(lake: Lake, place: Place, keep: str | None, upto: int) -> list[str]:
    folder = attempts_folder(place)
    names = {path: path.removeprefix(f"{folder}/").partition("/")[0] for path in lake.paths(folder)}
    return [path for path, name in names.items() if name != keep and int(name.partition("-")[0]) <= upto]


def _attempts(lake: Lake, place: Place) -> Iterator[Attempt]:
    for path in lake.paths(attempts_folder(place)):
        if path.endswith(f"/{_ABOUT}"):
            name = path.rsplit("/", 2)[1]
            said = json.loads(lake.get(path))
            started, seq = datetime.fromisoformat(said["started_at"]), int(name.partition("-")[0])
            yield Attempt(lake, place, seq, name, said["fingerprint"], started, resumed=True)


def _is_usable(attempt: Attempt, seq: int, endpoint: Endpoint) -> bool:
    age = datetime.now(UTC) - attempt.started_at
    return attempt.seq == seq and attempt.fingerprint == endpoint.fingerprint and age <= endpoint.resume_within


def _new_attempt(lake: Lake, place: Place, seq: int, endpoint: Endpoint) -> Attempt:
    attempt = Attempt(lake, place, seq, f"{seq:08d}-{uuid.uuid4()}", endpoint.fingerprint, datetime.now(UTC))
    said = {"started_at": attempt.started_at.isoformat(), "fingerprint": attempt.fingerprint}
    lake.put_if_absent(f"{attempt.folder}/{_ABOUT}", json.dumps(said).encode())
    return attempt
