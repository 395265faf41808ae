"""The last net under unexpected errors: values of the environment that are secrets never reach the terminal."""

import os
import re
from urllib.parse import unquote, urlsplit

_NAMES = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|KEY|DSN", re.IGNORECASE)
_KEYWORD = re.compile(r"password\s*=\s*('(?:[^'\\]|\\.)*'|\S+)")
SHORTEST = 4


def redact(text: str) -> str:
    """The text with every secret of the environment replaced."""
    for secret in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _secrets() -> set[str]:
    found: set[str] = set()
    for name, value in os.environ.items():
        password = _password(value)
        if password:
            found |= {value, password, unquote(password)}
        elif _NAMES.search(name):
            found.add(value)
    return {secret for secret in found if len(secret) >= SHORTEST}


def _password(value: str) -> str | None:
    """The password of a connection string."""
    if keyword := _KEYWORD.search(value):
        return keyword[1].strip("'")
    try:
        return urlsplit(value).password
    except ValueError:
        return None
