"""How large a warehouse's compute is while a load runs: what the YAML declares, and what a load used."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any


@dataclass(frozen=True)
class Size:
    """A size by its own name (`XSMALL`, or a number of RPUs), and the scale factor of query acceleration."""

    name: str
    acceleration: int | None = None

    def __str__(self) -> str:
        return self.name if self.acceleration is None else f"{self.name} (acceleration {self.acceleration})"


@dataclass(frozen=True)
class SizeStep:
    """Loads of up to so many megabytes of Parquet get this size; None is without limit."""

    size: str
    up_to_mb: float | None = None


@dataclass(frozen=True)
class SizeRules:
    """The sizes of loads. A holder that was silent for `restore_after` counts as dead. `book` is the database of a
    Snowflake account where sizes are written down; the DSN's unless it is given."""

    steps: tuple[SizeStep, ...]
    acceleration: int | None = None
    restore_after: timedelta = timedelta(minutes=10)
    book: str | None = None

    def to_json(self) -> dict[str, object]:
        """As a Dagster resource holds it, whose config has no place for None."""
        steps = [{"size": s.size} | ({} if s.up_to_mb is None else {"up_to_mb": s.up_to_mb}) for s in self.steps]
        row: dict[str, object] = {"steps": steps, "restore_after_seconds": self.restore_after.total_seconds()}
        known = {"acceleration": self.acceleration, "book": self.book}
        return row | {name: value for name, value in known.items() if value is not None}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> "SizeRules":
        """The inverse of `to_json`."""
        steps = tuple(SizeStep(step["size"], step.get("up_to_mb")) for step in row["steps"])
        return cls(steps, row.get("acceleration"), timedelta(seconds=row["restore_after_seconds"]), row.get("book"))

    def size_for(self, bytes: int) -> Size:
        """The size of the first step that is large enough, or of the last one."""
        steps = sorted(self.steps, key=lambda step: float("inf") if step.up_to_mb is None else step.up_to_mb)
        fitting = [step for step in steps if step.up_to_mb is None or bytes <= step.up_to_mb * 2**20]
        return Size((fitting or steps[-1:])[0].size, self.acceleration)


@dataclass
class Usage:
    """What a load had: seconds at each size, the size that was found, and what it may have cost."""

    found: Size | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    credits: float = 0.0
    problem: str = ""

    def facts(self) -> dict[str, float | int | str]:
        """As metadata; nothing where no sizing is declared."""
        if self.found is None:
            return {}
        facts: dict[str, float | int | str] = {f"seconds_at_{name}": round(s, 1) for name, s in self.seconds.items()}
        facts |= {"size_found": str(self.found), "credits_estimated": round(self.credits, 6)}
        return facts | ({"sizing_problem": self.problem} if self.problem else {})
