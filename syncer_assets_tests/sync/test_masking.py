"""Columns with a rule are written as a keyed HMAC-SHA256, shortened or masked: the plain value is nowhere else."""

import hashlib
import hmac
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from syncer_assets.model.errors import ConfigError
from syncer_assets.model.partition import PartitionScheme
from syncer_assets.model.table import ColumnRules, MaskRule, TableSpec
from syncer_assets.sync.checksum import compare
from syncer_assets.sync.mask import masker
from syncer_assets.sync.plan import plan
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


CANARY = "canary-7f3a91"
PEOPLE = """
CREATE TABLE orders (
    id bigserial PRIMARY KEY, phone text, iban varchar(40), name character(40), tax numeric, area text DEFAULT 'x'
)"""
RULES = ColumnRules(
    truncate=(("phone", 4),), mask=(("iban", MaskRule("..", keep_last=4)), ("name", MaskRule("(a person)")))
)


def masking(rules: ColumnRules = RULES, **fields: Any) -> TableSpec:
    return spec_of(cursor=["id"], columns=rules, **fields)


def with_people(rig: Rig) -> None:
    rig.database.execute(PEOPLE)
    rig.database.execute(
        "INSERT INTO orders (phone, iban, name) SELECT '+49 ' || c || g, c || 1000 + g, c FROM"
        f" (SELECT '{CANARY}' AS c) c, generate_series(1, 300) g"
    )
    rig.database.execute("INSERT INTO orders (phone, iban, name) VALUES (NULL, NULL, NULL), ('é😀ß', '1234', '')")


def test_shortened_and_masked_values_are_all_that_arrives(rig: Rig, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither lake, warehouse, events nor output have the rest; the comparison leaves such columns out."""
    with_people(rig)
    spec = masking()
    rig.sync(spec)
    rig.load(spec)
    expected = {("+49 ", f"..{1000 + n}", "(a person)"): 1 for n in range(1, 301)}
    expected |= {(None, None, None): 1, ("é😀ß", "..", "(a person)"): 1}
    assert rig.in_lake(spec, "phone", "iban", "name") == expected
    assert rig.in_warehouse("phone", "iban", "name") == expected
    dumped = rig.warehouse_db.scalar("SELECT string_agg(o::text, ' ') FROM shop.orders o")
    said = [dumped, repr(rig.events), *capfd.readouterr()]
    root = Path(str(rig.lake.root))
    assert not any(CANARY in text for text in said)
    assert not any(CANARY.encode() in path.read_bytes() for path in root.rglob("*") if path.is_file())
    compared = compare(rig.source, rig.warehouse, spec, rig.target)
    assert compared.equal and compared.columns_left_out == ("phone", "iban", "name")


def test_a_mask_keeps_nothing_of_a_value_that_is_not_longer_than_what_is_kept() -> None:
    values = pa.array(["", "1", "1234", "12345", "äöü😀ß", None])
    mask = masker(masking(ColumnRules(mask=(("v", MaskRule("*", 4)),))), ["v"])
    assert mask(pa.record_batch({"v": values})).column("v").to_pylist() == ["*", "*", "*", "*2345", "*öü😀ß", None]


def test_a_plan_tells_the_rules(rig: Rig) -> None:
    with_people(rig)
    told = {column.name: column.note for column in plan(rig.source, None, masking()).columns}
    assert told["phone"].startswith("its first 4 characters; the value itself is not written")
    assert told["iban"].startswith("masked: '..' and its last 4 characters;")
    assert told["name"].startswith("masked: '(a person)';")


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (ColumnRules(truncate=(("id", 1),)), "`columns.truncate` names 'id', by which rows are told apart"),
        (ColumnRules(mask=(("area", MaskRule()),)), "`columns.mask` names 'area', by which rows are told apart"),
        (ColumnRules(mask=(("tax", MaskRule()),)), "'tax' of type numeric, and only text can be shortened"),
        (ColumnRules(truncate=(("fone", 1),)), "`columns.truncate` names the column 'fone', which .*phone"),
    ],
)
def test_a_rule_that_a_column_cannot_have_is_refused_by_name(rig: Rig, rules: ColumnRules, message: str) -> None:
    rig.database.execute(PEOPLE)
    with pytest.raises(ConfigError, match=message):
        rig.sync(masking(rules, partitions=PartitionScheme(by="prefix", column="area", length=1)), "x")


@pytest.mark.parametrize(
    ("before", "after", "other_key"),
    [
        (ColumnRules(), ColumnRules(hash=("phone",)), False),
        (ColumnRules(hash=("phone",)), ColumnRules(hash=("phone",)), True),
        (ColumnRules(truncate=(("phone", 4),)), ColumnRules(truncate=(("phone", 5),)), False),
        (RULES, ColumnRules(), False),
    ],
)
def test_a_changed_rule_or_key_is_refused_until_a_full_read(
    rig: Rig, before: ColumnRules, after: ColumnRules, other_key: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else rows of both kinds lie side by side, and no hash of the new key joins with one of the old."""
    with_people(rig)
    rig.sync(masking(before))
    if other_key:
        monkeypatch.setenv("SYNCER_HASH_KEY", KEY + "2")
    rig.database.execute("INSERT INTO orders (phone) VALUES ('new')")
    with pytest.raises(ConfigError, match=r"'phone' was written .*, and is to be written .*syncer run --full"):
        rig.sync(masking(after))
    assert rig.sync(masking(after), mode="full").rows == 303
    assert rig.sync(masking(after)).nothing_new


def test_a_manifest_tells_keys_apart_and_nothing_of_them(rig: Rig) -> None:
    with_people(rig)
    rig.sync(hashing("phone"))
    [rule] = [column.transform for column in rig.head(hashing("phone")).columns if column.hidden]
    expected = hmac.new(KEY.encode(), b"syncer_assets: which key is this", hashlib.sha256).hexdigest()
    assert rule == f"hash:{expected[:8]}"
