"""Risks: what a person should weigh before a table is synced. `plan`, `discover` and `doctor` name them alike."""

from dataclasses import dataclass
from typing import Literal

RiskName = Literal[
    "late_commits",
    "replica",
    "logical_subscriber",
    "no_table",
    "not_transactional",
    "galera",
    "ids_in_blocks",
    "ids_from_elsewhere",
    "ids_hidden",
    "writers_hidden",
    "cursor_goes_back",
    "cursor_without_index",
    "cursor_nullable",
    "cursor_without_zone",
    "cursor_in_future",
    "inserts_only",
    "no_key",
    "no_cursor",
    "no_statistics",
]
"""Stable, for those who read the JSON. From `late_commits` to `cursor_goes_back`: why late commits may be missed."""

SMALL_ROWS = 100_000
"""A table of so many rows at the most is sorted in a moment: it needs no index on its cursor."""


@dataclass(frozen=True)
class Risk:
    """One risk of a table: its name, in words what may happen and what to do, and the statement where there is one."""

    name: RiskName
    text: str
    fix: str = ""
