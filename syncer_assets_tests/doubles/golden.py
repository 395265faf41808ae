"""Golden files: every statement that a warehouse was sent in a scenario, as a reader would check it by the manual.

`SYNCER_WRITE_GOLDEN=1` writes them anew; what changed then shows in the diff.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

FOLDER = Path(__file__).with_name("golden")


def check(warehouse: str, scenario: str, statements: Iterable[str], normalised: Callable[[str], str]) -> None:
    """Compare the statements, each kind once and in order, with the golden file of the scenario."""
    path = FOLDER / warehouse / f"{scenario}.sql"
    told = "\n".join(f"{each};" for each in dict.fromkeys(map(normalised, statements))) + "\n"
    if os.environ.get("SYNCER_WRITE_GOLDEN") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(told)
    assert path.exists(), f"{path.name} is missing: run with SYNCER_WRITE_GOLDEN=1 and read what it wrote"
    assert told == path.read_text(), f"{warehouse} was sent other statements than {path.name} has"
