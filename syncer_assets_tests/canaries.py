"""Secrets that must be nowhere, in every form in which something could write them down."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

PASSWORD = "C4n@ry %/ sp%zz 'q\"uote"
"""Every character that a URL, a connection string, a shell or SQL reads as something else."""


def forms(secret: str) -> set[str]:
    """The secret itself, URL-encoded, escaped as JSON, SQL and Python do it, in hex and in base64 at any offset."""
    plain = secret.encode()
    found = {
        secret,
        *(quote(secret, safe=safe) for safe in ("", "/", "/ '")),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
        secret.replace("'", "''"),
        plain.hex(),
        plain.hex().upper(),
    }
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for offset in range(3):
            # without the characters at either end, which its neighbours have a share in
            found.add(encode(b"\0" * offset + plain)[2 if offset else 0 :][2:-4].decode())
    return found


def said(secrets: dict[str, str], text: str) -> list[str]:
    """Which of the secrets (by name) the text has, and in what form."""
    return [f"{name} as {form}" for name, secret in secrets.items() for form in forms(secret) if form in text]


def assert_unsaid(secrets: dict[str, str], *texts: str) -> None:
    """None of the texts has one of the secrets."""
    for text in texts:
        found = said(secrets, text)
        assert not found, f"{found} in {text[:2000]}"


def kept(folder: Path) -> Iterator[tuple[str, str]]:
    """The files below a folder, as text that keeps each byte."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes().decode("latin-1")
