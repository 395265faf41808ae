"""Hashed columns leave the source as HMAC-SHA256 and nothing else: the plain value is nowhere in the lake."""

import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest

from syncer_assets.model.errors import ConfigError
from syncer_assets.model.table import ColumnRules, TableSpec
from syncer_assets_tests.sync.tables import Rig, spec_of

KEY = "0123456789 ключ 0123456789"
EMAILS = ["ann@example.com", "", " ", "Ünïcödé 😀", "it's", "x" * 1000, "line\nbreak", None]
TABLE = """
CREATE TABLE orders (
    id bigserial PRIMARY KEY, email text, number int, price numeric(8,2), raw bytea, at timestamptz
)"""


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCER_HASH_KEY", KEY)


def mac(value: str | bytes | None) -> str | None:
    body = value.encode() if isinstance(value, str) else value
    return None if body is None else hmac.new(KEY.encode(), body, hashlib.sha256).hexdigest()


def hashing(*columns: str, **fields: Any) -> TableSpec:
    return spec_of(cursor=["id"], columns=ColumnRules(hash=columns, **fields))


def filled(rig: Rig) -> None:
    rig.database.execute(TABLE)
    with rig.database.connect() as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO orders (email, number, price, raw, at) VALUES (%s, 7, 1.50, %s, '2024-01-01 00:00Z')",
            [(email, None if email is None else email.encode()) for email in EMAILS],
        )


def test_hashes_are_those_of_python(rig: Rig) -> None:
    filled(rig)
    spec = hashing("email", "raw", "number", "price")
    rig.sync(spec)
    rig.load(spec)
    expected = {(mac(email), mac(email), mac("7"), mac("1.50")): 1 for email in EMAILS}
    assert rig.in_warehouse("email", "raw", "number", "price") == expected
    types = {column.name: column.type for column in rig.warehouse.table_columns(rig.target)}
    assert {types[name] for name in ("email", "raw", "number", "price")} == {"text"}


def test_the_plain_value_is_nowhere_in_the_lake(rig: Rig) -> None:
    """Not in the rows, not in Parquet's statistics, not in a manifest; nor is an excluded column's."""
    canary = "canary-7f3a91-in-the-mail"
    rig.database.execute(f"{TABLE}; ALTER TABLE orders ADD COLUMN notes text")
    rig.database.execute(
        "INSERT INTO orders (email, notes) SELECT %s || g, %s FROM generate_series(1, 500) g", [canary, canary]
    )
    rig.sync(hashing("email", exclude=("notes",)))
    root = rig.lake.root
    assert root is not None
    bodies = [path.read_bytes() for path in Path(root).rglob("*") if path.is_file()]
    assert len(bodies) == 3
    assert not any(canary.encode() in body for body in bodies)
    assert rig.in_lake(hashing("email"), "email")[(mac(f"{canary}1"),)] == 1


def test_a_hashed_cursor_pages_but_does_not_show(rig: Rig) -> None:
    filled(rig)
    spec = hashing("id")
    rig.sync(spec)
    rig.sync(spec)
    assert rig.in_lake(spec, "id") == {(mac(str(number)),): 1 for number in range(1, len(EMAILS) + 1)}
    assert {(file.min, file.max) for file in rig.head(spec).files} == {(None, None)}


@pytest.mark.parametrize("key", ["", "short"])
def test_a_missing_or_short_key_stops_before_anything_is_read(
    rig: Rig, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCER_HASH_KEY", key)
    filled(rig)
    with pytest.raises(ConfigError, match=r"public\.orders: .*at least 16 characters.*SYNCER_HASH_KEY") as raised:
        rig.sync(hashing("email"))
    assert key not in str(raised.value) or not key
    assert rig.manifests(hashing("email")) == []
