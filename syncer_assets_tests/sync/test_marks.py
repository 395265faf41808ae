"""Marks and manifests as text: what compares, sorts; what was written, is read (DESIGN 6)."""

import string
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer_assets.model.capture import Capture
from syncer_assets.model.columns import Column
from syncer_assets.model.errors import LakeCorrupt
from syncer_assets.model.manifest import DataFile, Manifest
from syncer_assets.model.marks import (
    CursorColumn,
    CursorKind,
    compare,
    decode_scalar,
    encode,
    encode_scalar,
    highest,
    is_below,
    lowest,
)

INTEGERS = st.one_of(st.integers(-(2**63), 2**64 - 1), st.sampled_from([0, -1, 1, 2**63, 2**64 - 1, -(2**63)]))
ZONES = st.sampled_from(
    [UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12)), timezone(timedelta(minutes=345))]
)
AWARE = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=ZONES)  # noqa: DTZ001  # the bounds are naive
NAIVE = st.datetimes()
DATES = st.dates()
KINDS: list[tuple[CursorKind, st.SearchStrategy]] = [
    ("integer", INTEGERS),
    ("timestamptz", AWARE),
    ("timestamp", NAIVE),
    ("date", DATES),
]
EACH = pytest.mark.parametrize(("kind", "values"), KINDS, ids=[kind for kind, _ in KINDS])
ORDER = (CursorColumn("updated_at", "timestamptz"), CursorColumn("id", "integer"))
MARKS = st.one_of(st.none(), st.tuples(AWARE), st.tuples(AWARE, INTEGERS))


@EACH
def test_encoded_values_sort_as_the_values_do(kind: CursorKind, values: st.SearchStrategy) -> None:
    @given(values, values)
    def check(one: int, other: int) -> None:
        assert (one < other) == (encode_scalar(one) < encode_scalar(other))
        assert (one == other) == (encode_scalar(one) == encode_scalar(other))

    check()


@EACH
def test_encoded_values_come_back(kind: CursorKind, values: st.SearchStrategy) -> None:
    @given(values)
    def check(value: int) -> None:
        assert decode_scalar(encode_scalar(value), kind) == value

    check()


@given(MARKS, MARKS, MARKS)
def test_marks_are_ordered(one: tuple | None, two: tuple | None, three: tuple | None) -> None:
    assert not (is_below(one, two) and is_below(two, one))
    if is_below(one, two) and is_below(two, three):
        assert is_below(one, three)
    assert not is_below(highest(one, two), one) and not is_below(highest(one, two), two)
    assert not is_below(one, lowest(one, two)) and not is_below(two, lowest(one, two))


@given(AWARE, INTEGERS)
def test_a_shorter_mark_lies_after_every_row_that_has_it(moment: datetime, key: int) -> None:
    assert compare((moment, key), (moment,)) < 0 < compare((moment,), (moment, key))
    assert compare((moment,), (moment + timedelta(microseconds=1), -(2**63))) < 0


TEXTS = st.text(max_size=20)
CAPTURES = st.builds(
    Capture,
    ceiling=st.tuples(AWARE, INTEGERS),
    provable=MARKS,
    source_time=AWARE,
    server=TEXTS,
    proof=st.sampled_from(["writers_finished", "lag"]),
    writers=st.lists(TEXTS, max_size=3).map(tuple),
    prepared=st.one_of(st.none(), st.lists(TEXTS, max_size=3).map(tuple)),
    first_seen=AWARE,
)
FILES = st.builds(
    DataFile,
    path=TEXTS,
    rows=st.integers(0, 10**9),
    bytes=st.integers(0, 10**12),
    sha256=st.text(string.hexdigits, min_size=64, max_size=64),
    min=st.none() | TEXTS,
    max=st.none() | TEXTS,
    provisional=st.booleans(),
)
COLUMNS = st.builds(
    Column,
    name=TEXTS,
    type=st.just("int64"),
    source_type=TEXTS,
    nullable=st.booleans(),
    portable=st.booleans(),
    transform=st.sampled_from([None, "hash"]),
)
MANIFESTS = st.builds(
    Manifest,
    seq=st.integers(1, 10**8),
    mode=st.sampled_from(["append", "replace", "repair"]),
    source=TEXTS,
    engine=st.just("postgres"),
    source_identity=TEXTS,
    table=TEXTS,
    partition=TEXTS,
    low=MARKS,
    safe=MARKS,
    high=MARKS,
    proof=st.just("lag"),
    captures=st.lists(CAPTURES, max_size=2).map(tuple),
    captured_at=AWARE.map(lambda moment: moment.astimezone(UTC)),
    key=st.just(("id",)),
    cursor=st.just(("updated_at",)),
    order=st.just(ORDER),
    columns=st.lists(COLUMNS, max_size=3).map(tuple),
    files=st.lists(FILES, max_size=3).map(tuple),
    rows=st.integers(0, 10**9),
    scheme=TEXTS,
    closed=st.booleans(),
    run_id=TEXTS,
    code_version=TEXTS,
)


@given(MANIFESTS)
def test_a_manifest_comes_back(manifest: Manifest) -> None:
    again = Manifest.from_bytes(manifest.to_bytes(), "m")
    assert again == manifest
    assert again.to_bytes() == manifest.to_bytes() and again.sha256 == manifest.sha256


@given(MANIFESTS, TEXTS)
def test_another_manifest_has_another_hash(manifest: Manifest, run_id: str) -> None:
    other = replace(manifest, run_id=run_id)
    assert (other.sha256 == manifest.sha256) == (run_id == manifest.run_id)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"version": 2}', b'{"version": 1}', b"\xff"])
def test_what_is_no_manifest_is_corrupt(body: bytes) -> None:
    with pytest.raises(LakeCorrupt, match=r"manifest 0001\.json"):
        Manifest.from_bytes(body, "0001.json")


def test_a_known_encoding() -> None:
    """It stands in manifests that outlive this release."""
    assert encode((datetime(2024, 5, 1, 2, tzinfo=timezone(timedelta(hours=2))), 17)) == [
        "2024-05-01T00:00:00.000000Z",
        "00000000000000000017",
    ]
    assert encode((-1,)) == ["-99999999999999999999"]
    assert encode((date(2024, 5, 1),)) == ["2024-05-01"]
