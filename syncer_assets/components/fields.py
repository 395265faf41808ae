"""Fields of the YAML that more than one component has, and how their values are judged.

Dagster validates a value twice: as it is written, which may be a template (`{{ env('ROWS') }}`), and as it was
resolved. A template is therefore let through. Messages are "what is wrong: what to do".
"""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, TypeVar

import dagster as dg
import pydantic

from ..model.table import WORKERS_MOST

T = TypeVar("T")

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+")
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(text: str) -> timedelta:
    """`30s`, `5m`, `1h30m`, `7d`. Raises ValueError for anything that is not numbers with units."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is no duration: write a number and a unit, such as 30s, 5m, 1h or 7d")
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhdw])", text)
    return sum((timedelta(**{_UNITS[unit]: float(number)}) for number, unit in parts), timedelta())


def _accept(test: Callable[[T], object], message: str) -> pydantic.AfterValidator:
    """A validator: `test` is false, or raises ValueError, for a wrong value; `{}` in the message stands for it."""

    def judge(value: T) -> T:
        if not (isinstance(value, str) and "{{" in value) and not test(value):
            raise ValueError(message.format(repr(value)))
        return value

    return pydantic.AfterValidator(judge)


def between(low: float, high: float) -> pydantic.AfterValidator:
    """A validator for numbers of a range."""

    def is_between(number: float) -> bool:
        return low <= number <= high

    return _accept(is_between, f"{{}} is out of range: write a number from {low:g} to {high:g}")


def _is_schedule(expression: str, timezone: str) -> bool:
    try:
        dg.ScheduleDefinition(name="probe", cron_schedule=expression, execution_timezone=timezone, job_name="probe")
    except dg.DagsterInvalidDefinitionError:
        return False
    return True


def _is_cron(text: str) -> bool:
    return _is_schedule(text, "UTC")


def _is_timezone(text: str) -> bool:
    return _is_schedule("0 0 * * *", text)


def _is_day_window(text: str) -> bool:
    return re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d", text) is not None and text[:5] != text[6:]


def _is_duration(text: str) -> bool:
    parse_duration(text)
    return True


def _is_positive(number: float) -> bool:
    return number > 0


def _is_worker_count(number: int) -> bool:
    return 1 <= number <= WORKERS_MOST


def _is_zero_or_more(number: float) -> bool:
    return number >= 0


def _is_share(number: float) -> bool:
    return 0 <= number <= 1


def _is_environment_name(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text) is not None


def _is_lake_url(text: str) -> bool:
    return re.match(r"(file|s3|s3a|gs|az|azure|abfs|abfss|memory)://", text) is not None


_TOO_SMALL = "{} is too small: write a number above 0"

Duration = Annotated[str, _accept(_is_duration, "")]
CronExpression = Annotated[str, _accept(_is_cron, '{} is no cron expression: write its five fields, as in "0 2 * * *"')]
Timezone = Annotated[str, _accept(_is_timezone, '{} is no time zone: write a name, as in "Europe/Berlin"')]
DayWindow = Annotated[
    str, _accept(_is_day_window, '{} is no window: write two different times of the day, as in "01:00-05:00"')
]
PositiveInt = Annotated[int, _accept(_is_positive, _TOO_SMALL)]
PositiveFloat = Annotated[float, _accept(_is_positive, _TOO_SMALL)]
Workers = Annotated[
    int, _accept(_is_worker_count, f"{{}} is no number of workers: write a number from 1 to {WORKERS_MOST}")
]
Seconds = Annotated[float, _accept(_is_zero_or_more, "{} is too small: write seconds, 0 or more")]
Share = Annotated[float, _accept(_is_share, "{} is no share: write a number from 0 to 1")]

# These two do not tell the value: somebody may have written the secret itself.
EnvironmentName = Annotated[
    str,
    _accept(
        _is_environment_name,
        "this is no name of an environment variable: write the NAME, such as SHOP_DSN, and keep the secret there",
    ),
]
LakeUrl = Annotated[
    str, _accept(_is_lake_url, "the lake's url is of no known kind: use file://, s3://bucket/prefix, gs:// or az://")
]
