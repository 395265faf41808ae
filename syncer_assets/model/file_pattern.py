"""Which objects belong to an entity, by their paths: `members/{date:%Y/%m/%d}/*.jsonl.gz`."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from .errors import ConfigError

_PARTS = re.compile(r"\{date:(?P<date>[^{}]+)\}|(?P<prefix>\{prefix\})|(?P<any>\*\*/?)|(?P<some>\*)|(?P<one>\?)")
_DIRECTIVES = {"%Y": r"\d{4}", "%m": r"\d\d", "%d": r"\d\d", "%H": r"\d\d"}
_FIX = "write it as members/{date:%Y/%m/%d}/*.jsonl.gz, members/{prefix}/*.json.gz or members/*.jsonl"


@dataclass(frozen=True)
class FilePattern:
    """A path below the source's folder: `*` and `?` stay within a folder, `**` does not; `{date:..}` or `{prefix}`
    is the part that names the partition, with the directives %Y, %m, %d and %H."""

    text: str

    @property
    def names_date(self) -> bool:
        return self._date_format is not None

    @property
    def names_prefix(self) -> bool:
        return "{prefix}" in self.text

    @cached_property
    def folder(self) -> str:
        """The folder that all matching paths are in, without wildcards: what has to be listed."""
        first = _PARTS.search(self.text)
        fixed = self.text[: first.start()] if first else self.text
        return fixed.rpartition("/")[0]

    def matches(self, path: str) -> bool:
        return self._regex.fullmatch(path) is not None

    def date(self, path: str) -> datetime | None:
        """The time (UTC) that a matching path names; None where it names none, or one that does not exist."""
        found = self._regex.fullmatch(path)
        if found is None or self._date_format is None:
            return None
        try:
            return datetime.strptime(found["date"], self._date_format).replace(tzinfo=UTC)
        except ValueError:
            return None

    def prefix(self, path: str) -> str | None:
        """The prefix that a matching path names."""
        found = self._regex.fullmatch(path)
        return found["prefix"] if found and self.names_prefix else None

    def check(self) -> None:
        """Raises ConfigError for a pattern that means nothing."""
        if not self.text or self.text.startswith("/") or "{" in _PARTS.sub("", self.text):
            raise ConfigError(f"{self.text!r} is no pattern of paths", fix=_FIX)
        named = [found for found in _PARTS.finditer(self.text) if found["date"] or found["prefix"]]
        if len(named) > 1:
            raise ConfigError(f"{self.text!r} names a partition twice", fix=_FIX)
        if self._date_format is not None:
            left = re.sub("|".join(_DIRECTIVES), "", self._date_format)
            if "%" in left or "%Y" not in self._date_format:
                raise ConfigError(f"{self._date_format!r} is no date in a path", fix="use %Y, %m, %d and %H")

    @cached_property
    def _date_format(self) -> str | None:
        return next((found["date"] for found in _PARTS.finditer(self.text) if found["date"]), None)

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        regex, end = "", 0
        for found in _PARTS.finditer(self.text):
            regex += re.escape(self.text[end : found.start()]) + _regex_of(found)
            end = found.end()
        return re.compile(regex + re.escape(self.text[end:]))


def _regex_of(found: re.Match[str]) -> str:
    if found["date"]:
        parts = re.split("(%.)", found["date"])
        return "(?P<date>" + "".join(_DIRECTIVES.get(part, re.escape(part)) for part in parts) + ")"
    if found["prefix"]:
        return "(?P<prefix>[^/]+)"
    if found["any"]:
        return "(?:.*/)?" if found["any"].endswith("/") else ".*"
    return "[^/]*" if found["some"] else "[^/]"
