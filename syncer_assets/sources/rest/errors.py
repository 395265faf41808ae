"""What an API's answer means when it is no page: what happened, whether to ask again, when, and what to do."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ...model.errors import SyncError

AGAIN = (408, 425, 429, 500, 502, 503, 504)
"""Statuses after which the same request may succeed (RFC 9110, RFC 6585, RFC 8470)."""

_FIXES = {
    400: "compare `params` and `pages` with the API's manual",
    404: "compare `base_url` and `path` with the API's manual",
    405: "compare `path` with the API's manual: it has to answer GET",
    410: "compare `path` with the API's manual: the API says that it is gone",
    414: "shorten `params`",
    422: "compare `params` and `pages` with the API's manual",
}


class ApiError(SyncError):
    """An answer that is no page. `code` is the HTTP status; `wait_seconds` what the server asks to wait."""

    kind = "api"

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        retryable: bool = False,
        wait_seconds: float | None = None,
        table: str | None = None,
        partition: str | None = None,
        fix: str | None = None,
    ):
        super().__init__(message, table=table, partition=partition, fix=fix)
        self.code, self.retryable, self.wait_seconds = code, retryable, wait_seconds

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (
            self.message,
            self.code,
            self.retryable,
            self.wait_seconds,
            self.table,
            self.partition,
            self.fix,
        )

    def at(self, table: str, partition: str | None) -> "ApiError":
        """The same error with its place."""
        return _again(self.message, self.code, self.retryable, self.wait_seconds, table, partition, self.fix)


def refusal(path: str, status: int, headers: Mapping[str, str], variables: tuple[str, ...]) -> ApiError:
    """The error of an answer that is not 200. Its body is not told: it may hold records."""
    told = f"GET {path} was answered {status}"
    if status in AGAIN:
        wait = wait_seconds(headers)
        asked = f" and asks to wait {wait:.0f} s" if wait else ""
        fix = "lower `limits.requests_per_second`" if status == 429 else "run it again later; ask who runs the API"
        return ApiError(told + asked, code=status, retryable=True, wait_seconds=wait, fix=fix)
    if status in (401, 403):
        return ApiError(told, code=status, fix=_access_fix(status, variables))
    return ApiError(told, code=status, fix=_FIXES.get(status, "ask who runs the API what this answer means"))


def wait_seconds(headers: Mapping[str, str]) -> float | None:
    """What Retry-After asks for: seconds, or a date that is counted from the server's own `Date` (RFC 9110, 10.2.3)."""
    asked = headers.get("retry-after", "").strip()
    if asked.isascii() and asked.isdigit():
        return float(asked)
    until = _date(asked)
    if until is None:
        return None
    now = _date(headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _access_fix(status: int, variables: tuple[str, ...]) -> str:
    if not variables:
        return "the API wants credentials: name the variable that holds them, `bearer_env: NAME` or `secret_headers`"
    named = " and ".join(variables)
    if status == 401:
        return f"put a valid, unexpired secret into {named}"
    return f"give the account of {named} the right to read this"


def _again(
    message: str,
    code: int | None,
    retryable: bool,
    wait: float | None,
    table: str | None,
    partition: str | None,
    fix: str | None,
) -> ApiError:
    return ApiError(
        message, code=code, retryable=retryable, wait_seconds=wait, table=table, partition=partition, fix=fix
    )
