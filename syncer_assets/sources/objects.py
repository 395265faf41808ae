"""What every object store has in common: how its client repeats single requests, and what its errors mean."""

import re
from datetime import timedelta
from typing import Any

from ..model.backoff import Backoff
from ..model.codes.objects import CODES
from ..model.errors import ObjectStoreError

REQUESTS_MOST = 100
"""Attempts of one request; the budget ends them sooner."""


def retry_config(backoff: Backoff) -> dict[str, Any]:
    """obstore's retries of one request: the only ones, of requests that it knows to change nothing twice."""
    return {
        "max_retries": REQUESTS_MOST,
        "backoff": {
            "init_backoff": timedelta(seconds=backoff.base_seconds),
            "max_backoff": timedelta(seconds=max(backoff.base_seconds, backoff.cap_seconds)),
            "base": 2.0,
        },
        "retry_timeout": timedelta(seconds=backoff.budget_seconds),
    }


def store_error(what: str, error: Exception, fix: str, *, client_repeats: bool = True) -> ObjectStoreError:
    """The ObjectStoreError of obstore's exception; `fix` where its code has none.

    obstore does not repeat a list whose body was cut, nor a put-if-absent (not `client_repeats`) that was lost: that is
    left to the caller.
    """
    text = str(error)
    found = re.search(r"<Code>(\w+)</Code>", text) or re.search(r"status code: (\d{3})", text)
    code = found[1] if found else type(error).__name__
    failure = CODES.failure(code)
    lost = failure == "new_connection" and "HTTP error" in text
    if lost and not (client_repeats and re.search(r"after \d+ retries", text)):
        failure = "retry_transaction"
    reason = text.split("\n", 1)[0].split("Debug source", 1)[0].strip()[:300]
    return ObjectStoreError(
        f"{what} ({type(error).__name__}: {reason})",
        code=code,
        failure=failure,
        fix=CODES.fix(code) or fix,
    )
