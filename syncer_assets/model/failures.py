"""What an error asks for, by class, and the type of the tables in `codes/` that say which class a code is of."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

Failure = Literal["new_connection", "retry_transaction", "wait_longer", "once", "smaller_chunk", "if_not_ours", "never"]
FAILURES: tuple[Failure, ...] = get_args(Failure)
HALVING: tuple[Failure, ...] = ("smaller_chunk", "if_not_ours")
"""After these a loop of chunks goes on with half the rows."""
MEANINGS: Mapping[Failure, str] = {
    "new_connection": "the session or the server is gone: again over a new connection, until the budget is spent",
    "retry_transaction": "another transaction was in the way: the whole one again, `attempts` times at most",
    "wait_longer": "the server has too much to do: again after long waits, with one warning",
    "once": "it may pass: one more attempt",
    "smaller_chunk": "a limit of time ended the statement: a chunk is asked for with half the rows; anything else is"
    " tried once more",
    "if_not_ours": "somebody else ended the statement (a person, a replica that had to apply): a chunk is asked for"
    " with half the rows; anything else is tried again, `attempts` times at most",
    "never": "it would fail again: the first attempt is the last one, and the error names the fix",
}
"""What the one layer that retries (`sync/retry.py`) does, by class."""


@dataclass(frozen=True)
class Text:
    """What only a message tells (by a regular expression), of the errors with this code, or of those without any."""

    code: str | None
    pattern: str
    failure: Failure
    fix: str | None = None


@dataclass(frozen=True)
class Codes:
    """The errors of one family of servers.

    `classes` lists codes by class; one that ends in `*` stands for all codes that begin so. `reading` are those that
    mean something else in a session that only reads. `texts` win over both. What is in none of them is of `unknown`.
    """

    family: str
    classes: Mapping[Failure, tuple[str, ...]]
    texts: tuple[Text, ...] = ()
    reading: Mapping[str, Failure] = field(default_factory=dict)
    fixes: Mapping[str, str] = field(default_factory=dict)
    unknown: Failure = "never"

    def failure(self, code: str | None, text: str = "", *, reading: bool = False) -> Failure:
        """The class of an error."""
        if told := self._told(code, text):
            return told.failure
        if code is None:
            return self.unknown
        if reading and code in self.reading:
            return self.reading[code]
        for found in _spellings(code):
            for failure, codes in self.classes.items():
                if found in codes:
                    return failure
        return self.unknown

    def fix(self, code: str | None, text: str = "") -> str | None:
        """What to do about an error, where there is one thing to do."""
        told = self._told(code, text)
        if told and told.fix:
            return told.fix
        return next((self.fixes[found] for found in _spellings(code or "") if found in self.fixes), None)

    def _told(self, code: str | None, text: str) -> Text | None:
        return next((each for each in self.texts if each.code == code and re.search(each.pattern, text)), None)


def _spellings(code: str) -> Iterator[str]:
    """`42P01`, `42P0*`, .. `4*`."""
    yield code
    yield from (f"{code[:length]}*" for length in range(len(code), 0, -1))
