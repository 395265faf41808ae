"""Durations as people write them in YAML: `30s`, `5m`, `1h`, `7d`, `1h30m`."""

import re
from datetime import timedelta
from typing import Annotated

import pydantic

PATTERN = r"^(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+$"
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(text: str) -> timedelta:
    """The duration. Raises ValueError for anything that is not numbers with units."""
    if not re.match(PATTERN, text):
        raise ValueError(f"{text!r} is no duration: write a number and a unit, such as 30s, 5m, 1h or 7d")
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhdw])", text)
    return timedelta(**{name: sum(float(number) for number, unit in parts if _UNITS[unit] == name) for name in _UNITS.values()})


def _checked(text: str) -> str:
    parse_duration(text)
    return text


Duration = Annotated[str, pydantic.AfterValidator(_checked)]
"""A field of the YAML; it stays text, so that the YAML's schema says what to write."""
