"""Rows come whole, in order, each once, and only those that were asked for."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from syncer_assets.model.errors import AttemptVoid
from syncer_assets.model.keys import Keys, KeySpan
from syncer_assets.sources.base import Source
from syncer_assets_tests.sources.contract.under_test import ORDERS, START, SourceUnderTest

SORTED = sorted(ORDERS, key=lambda row: (row["updated_at"], row["id"]))

BOUNDS: list[tuple[dict[str, int], Callable[[float], bool]]] = [
    ({"upto": 3}, lambda hour: hour <= 3),
    ({"after": 3}, lambda hour: hour > 3),
    ({"start": 2, "end": 5}, lambda hour: 2 <= hour < 5),
    ({"start": 2, "upto": 5}, lambda hour: 2 <= hour <= 5),
    ({"after": 99}, lambda hour: False),
]
"""Bounds in hours, and which hours lie within them."""


def moment(source_time: Any, like: Any) -> Any:
    """A time as the source's own marks have it: aware, or naive where its column is."""
    return source_time if getattr(like, "tzinfo", None) else source_time.replace(tzinfo=None)


def test_every_value_arrives_as_it_is_and_in_order(under_test: SourceUnderTest, source: Source) -> None:
    assert list(under_test.rows(source, under_test.read(source))) == SORTED


def test_pages_bring_each_row_once_though_times_repeat(under_test: SourceUnderTest, source: Source) -> None:
    found: list[dict[str, Any]] = []
    read = under_test.read(source, limit=7)
    while page := list(source.read(read)):
        last = page[-1].to_pylist()[-1]
        found += under_test.rows(source, read)
        read = replace(read, after=(last[under_test.at.name], last[under_test.id.name]))
    assert found == SORTED


def test_bounds_hold_for_rows_their_number_and_the_lowest(under_test: SourceUnderTest, source: Source) -> None:
    like = source.maximum(under_test.orders, under_test.at)
    for parts, expected in BOUNDS:
        hours = {name: moment(START + timedelta(hours=hour), like) for name, hour in parts.items()}
        bounds = {name: (value,) if name in ("after", "upto") else value for name, value in hours.items()}
        read = under_test.read(source, **bounds)
        wanted = [row for row in SORTED if expected((row["updated_at"] - START) / timedelta(hours=1))]
        assert list(under_test.rows(source, read)) == wanted, parts
        assert source.count(read) == len(wanted), parts
        lowest = source.lowest(read)
        assert lowest == (moment(wanted[0]["updated_at"], lowest) if wanted else None), parts


def test_the_maximum_is_the_largest_value_and_none_of_an_empty_table(
    under_test: SourceUnderTest, source: Source
) -> None:
    assert source.maximum(under_test.orders, under_test.id) == 700
    assert source.maximum(under_test.empty, under_test.id) is None


def test_rows_are_read_by_their_keys(under_test: SourceUnderTest, source: Source) -> None:
    id_column = under_test.column(source.describe(under_test.orders), "id")
    by_keys = under_test.read(source, keys=Keys((id_column,), (("7", "700", "8"),)))
    assert {row["id"] for row in under_test.rows(source, by_keys)} == {7, 700}
    by_span = under_test.read(source, keys=KeySpan(under_test.id.name, 14, 28))
    assert {row["id"] for row in under_test.rows(source, by_span)} == {14, 21, 28}


def test_prefixes_are_told_and_bound_a_read(under_test: SourceUnderTest, source: Source) -> None:
    code = under_test.spell("code")
    assert sorted(source.distinct_prefixes(under_test.orders, code, 1)) == ["a", "b", "c"]
    read = under_test.read(source, prefix_column=code, prefix="b")
    assert {row["id"] for row in under_test.rows(source, read)} == {
        row["id"] for row in ORDERS if row["code"][0] == "b"
    }
    assert source.count_outside(under_test.orders, code, ["a", "b"]) == sum(row["code"][0] == "c" for row in ORDERS)


def test_a_snapshot_brings_as_many_rows_as_it_says(under_test: SourceUnderTest, source: Source) -> None:
    snapshot = source.snapshot(replace(under_test.read(source), cursor=(), order=(under_test.id,)))
    try:
        assert snapshot.rows == sum(batch.num_rows for batch in snapshot.batches()) == len(ORDERS)
    finally:
        snapshot.close()


def test_another_server_than_the_one_named_voids_the_attempt(under_test: SourceUnderTest, source: Source) -> None:
    assert len(list(under_test.rows(source, under_test.read(source), source.identity().server))) == len(ORDERS)
    with pytest.raises(AttemptVoid):
        list(source.read(under_test.read(source), "another server"))
