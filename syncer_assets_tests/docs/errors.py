"""The tables of docs/errors.md, made from the code: `python -m syncer_assets_tests.docs.errors` writes them anew."""

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from syncer_assets.model.backoff import PROFILES, Backoff
from syncer_assets.model.codes import mysql, objects, postgres, redshift, snowflake
from syncer_assets.model.failures import MEANINGS, Codes

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"
FAMILIES = (
    ("PostgreSQL (SQLSTATE)", postgres.CODES),
    ("MySQL and MariaDB (error number)", mysql.CODES),
    ("Snowflake", snowflake.CODES),
    ("Object stores, AWS", objects.CODES),
)


def page(text: str) -> str:
    """The page with its tables as the code has them today; each stands between two marks."""
    for name, lines in (("classes", _classes()), ("profiles", _profiles()), ("codes", _codes())):
        begin, end = f"<!-- {name}: made from the code -->", f"<!-- end of {name} -->"
        table = "\n".join([begin, "", *lines, "", end])
        text, count = re.subn(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _, table=table: table, text, flags=re.S)
        assert count == 1, f"docs/errors.md has no place for {name}"
    return text


def _classes() -> Iterator[str]:
    yield "| class | what is done |\n|---|---|"
    yield from (f"| `{failure}` | {meaning} |" for failure, meaning in MEANINGS.items())


def _profiles() -> Iterator[str]:
    names = [field.name for field in fields(Backoff)]
    yield f"| `failover` | {' | '.join(f'`{name}`' for name in names)} |\n|---|{'---|' * len(names)}"
    for profile, backoff in PROFILES.items():
        yield f"| `{profile}` | {' | '.join(f'{getattr(backoff, name):g}' for name in names)} |"


def _codes() -> Iterator[str]:
    for title, codes in FAMILIES:
        yield f"### {title}\n"
        yield "| class | codes |\n|---|---|"
        yield from (f"| `{failure}` | {' '.join(listed)} |" for failure, listed in codes.classes.items())
        yield from _reading(codes)
        yield ""
        yield from _texts(codes)
        yield "| code | what to do |\n|---|---|"
        yield from (f"| {code} | {_cell(fix)} |" for code, fix in codes.fixes.items())
        yield ""
    yield "### Redshift\n\nPostgreSQL's, and:\n"
    own = [text for text in redshift.CODES.texts if text not in postgres.CODES.texts]
    yield from _texts(Codes("redshift", {}, tuple(own)))


def _reading(codes: Codes) -> Iterator[str]:
    yield from (f"| `{failure}` | {code}, in a session that only reads |" for code, failure in codes.reading.items())


def _texts(codes: Codes) -> Iterator[str]:
    if codes.texts:
        yield "| with the text (regular expression) | code | class | what to do |\n|---|---|---|---|"
        for text in codes.texts:
            yield f"| `{_cell(text.pattern)}` | {text.code or 'none'} | `{text.failure}` | {_cell(text.fix or '')} |"
        yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
