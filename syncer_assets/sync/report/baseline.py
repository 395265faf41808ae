"""A baseline: the JSON of an earlier report, with the figures of each table then and how far each partition was."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path

from ...model.errors import ConfigError
from .figures import Figures
from .file_loads import FileFigures, FilesBefore
from .history import Seqs

VERSION = 1


@dataclass(frozen=True)
class BaselineTable:
    """A table as it was: its figures, and the last manifest of each partition."""

    figures: Figures
    seqs: Mapping[str, Seqs]


@dataclass(frozen=True)
class Baseline:
    """An earlier report. What it counted is not counted again, as long as it is the same lake (`lake_generation`)."""

    made_at: datetime
    lake_generation: str | None
    tables: Mapping[tuple[str, str], BaselineTable] = field(default_factory=dict)
    files: Mapping[tuple[str, str], FilesBefore] = field(default_factory=dict)

    def seqs(self, table: str, target: str, lake_generation: str | None) -> Mapping[str, Seqs]:
        """Up to which manifest each partition of a table was counted; nothing in another lake."""
        found = self.tables.get((table, target))
        return found.seqs if found and lake_generation == self.lake_generation else {}


def read_baseline(path: Path) -> Baseline:
    """The baseline in a file. Raises ConfigError where it is no report of a version that is known."""
    fix = "write one with `syncer report --json > FILE`"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the baseline {path} cannot be read ({type(error).__name__})", fix=fix) from None
    try:
        body = json.loads(text.strip().splitlines()[-1])
        if body["version"] != VERSION:
            raise ValueError("version")
        return Baseline(
            made_at=datetime.fromisoformat(body["made_at"]),
            lake_generation=body["lake_generation"],
            tables={(row["table"], row["target"]): _table(row) for row in body["tables"]},
            files={(row["entity"], row["target"]): _files(row) for row in body.get("files", ())},
        )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        raise ConfigError(f"the baseline {path} is no report of this command", fix=fix) from None


def _table(row: dict) -> BaselineTable:
    return BaselineTable(
        Figures(**_total(Figures, row)),
        {name: Seqs(int(at["lake"]), int(at["loaded"])) for name, at in row["seqs"].items()},
    )


def _files(row: dict) -> FilesBefore:
    loaded_at = {file["path"]: datetime.fromisoformat(file["at"]) for file in row["files"]}
    return FilesBefore(FileFigures(**_total(FileFigures, row)), loaded_at)


def _total(figures: type, row: dict) -> dict:
    """Those of the sums that are known by now."""
    known = {each.name for each in fields(figures)}
    total = {name: value for name, value in row["total"].items() if name in known}
    if not all(value is None or isinstance(value, int | float) for value in total.values()):
        raise ValueError("total")
    return total
