"""What a run tells: of each asset and partition, and of what went wrong. Plain values, since workers are processes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Number = int | float
Plain = int | float | str | bool

_NUMBERS = ("rows", "files", "queries", "seconds")
READERS = ("lake", "api", "raw", "keyed_update")
"""How the keys of assets begin that read from outside: what a run read is theirs."""


@dataclass(frozen=True)
class CheckOutcome:
    """One check. A failed one of severity WARN does not fail the run."""

    name: str
    passed: bool
    severity: Literal["ERROR", "WARN"] = "ERROR"
    description: str = ""

    @property
    def failed(self) -> bool:
        return not self.passed and self.severity == "ERROR"

    def to_json(self) -> dict[str, object]:
        found: dict[str, object] = {"name": self.name, "passed": self.passed}
        if not self.passed:
            found |= {"severity": self.severity, "description": self.description}
        return found


@dataclass(frozen=True)
class AssetOutcome:
    """One materialisation, with its metadata."""

    key: str
    partition: str | None
    metadata: dict[str, Plain] = field(default_factory=dict)
    checks: tuple[CheckOutcome, ...] = ()

    def number(self, name: str) -> Number:
        """A number of the metadata, 0 where the asset has none of that name."""
        value = self.metadata.get(name, 0)
        return value if isinstance(value, int | float) else 0

    def to_json(self) -> dict[str, object]:
        """The contract's fields first, then the metadata that is not among them."""
        return {
            "key": self.key,
            "partition": self.partition,
            **{name: self.number(name) for name in _NUMBERS},
            "checks": [check.to_json() for check in self.checks],
            **{name: value for name, value in self.metadata.items() if name not in _NUMBERS},
        }


@dataclass(frozen=True)
class Problem:
    """A failure, in one line: where, why, and what to do."""

    table: str
    partition: str | None
    message: str
    kind: str = "unexpected"

    def __str__(self) -> str:
        where = f"{self.table} [{self.partition}]" if self.partition else self.table
        return self.message if self.message.startswith(f"{where}: ") else f"{where}: {self.message}"

    def to_json(self) -> dict[str, object]:
        return {"table": self.table, "partition": self.partition, "kind": self.kind, "message": self.message}


@dataclass
class TableOutcome:
    """A table's part of a run. `partitions` were read and loaded; `seconds` is the time on the clock."""

    table: str
    partitions: int = 0
    assets: list[AssetOutcome] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def checks(self) -> list[CheckOutcome]:
        return [check for asset in self.assets for check in asset.checks]

    def read(self, name: str) -> Number:
        """The sum of a number over the assets that read from outside."""
        return sum(self.total(name, first_part) for first_part in READERS)

    def loaded(self, name: str) -> Number:
        """The sum of a number over the assets that load; a core table's rows are those of its raw table once more."""
        return self.total(name) - self.total(name, "core")

    def total(self, name: str, first_part: str | None = None) -> Number:
        """The sum of a number over the assets, or over those whose key begins with `first_part`."""
        return sum(
            asset.number(name) for asset in self.assets if first_part is None or asset.key.startswith(f"{first_part}/")
        )


@dataclass(frozen=True)
class RunOutcome:
    """A whole run."""

    tables: Sequence[TableOutcome]
    seconds: float

    @property
    def ok(self) -> bool:
        return all(table.ok for table in self.tables)

    def to_json(self) -> dict[str, object]:
        """The body of `--json`, beside `ok`."""
        return {
            "assets": [asset.to_json() for table in self.tables for asset in table.assets],
            "problems": [problem.to_json() for table in self.tables for problem in table.problems],
            "seconds": round(self.seconds, 3),
        }
