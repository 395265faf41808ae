"""A ceiling is the maximum of before, and is proven when nobody writes; hashes tell rows apart, alike everywhere."""

from syncer_assets.model.keys import Buckets
from syncer_assets.sources.base import Source
from syncer_assets_tests.servers import poll
from syncer_assets_tests.sources.contract.under_test import ORDERS, SourceUnderTest

BUCKETS = 4
SUM_OF_HASHES = 65763586335440107009
"""Of id, code and note; the texts that are hashed are those of `drivers/postgres_checksum`."""
DEADLINE_SECONDS = 90


def test_a_ceiling_is_the_maximum_and_what_comes_later_lies_above(under_test: SourceUnderTest, source: Source) -> None:
    spec, facts, order = under_test.spec(), source.describe(under_test.orders), (under_test.at, under_test.id)
    capture = source.capture(spec, facts, order)
    assert capture is not None
    assert capture.ceiling[:1] == (source.maximum(under_test.orders, under_test.at),)
    under_test.execute(
        f"INSERT INTO {under_test.orders} (id, code, note, updated_at) VALUES (900, 'a', NULL, '2026-02-01 00:00:00')"
    )
    below = under_test.read(source, upto=capture.ceiling[:1])
    assert 900 not in {row["id"] for row in under_test.rows(source, below)}
    later = source.capture(spec, facts, order)
    assert later is not None and later.ceiling[0] > capture.ceiling[0]  # type: ignore[operator]  # times of one column


def test_a_ceiling_is_proven_while_nobody_writes_or_the_cursor_is_not_called_protected(
    under_test: SourceUnderTest, source: Source
) -> None:
    spec, facts, order = under_test.spec(), source.describe(under_test.orders), (under_test.at, under_test.id)
    protection = source.protection(spec, facts, order)
    capture = source.capture(spec, facts, order)
    assert capture is not None and capture.server == source.identity().server
    if not protection.protected:
        assert protection.reason
        return

    def proven() -> bool:
        judged = source.judge(spec, order, [capture])
        return bool(judged) and judged[0].proven

    assert poll(proven, DEADLINE_SECONDS, every_seconds=0.2)


def test_an_empty_table_has_no_ceiling(under_test: SourceUnderTest, source: Source) -> None:
    facts = source.describe(under_test.empty)
    assert source.capture(under_test.spec(under_test.empty), facts, (under_test.at, under_test.id)) is None


def test_hashes_are_the_same_on_every_source_and_change_with_a_row(under_test: SourceUnderTest, source: Source) -> None:
    facts = source.describe(under_test.orders)
    columns = [under_test.column(facts, name) for name in ("id", "code", "note")]
    key = [under_test.id.name]
    before = source.checksum(under_test.orders, columns, key, BUCKETS)
    assert {bucket: rows for bucket, (rows, _) in before.items()} == dict.fromkeys(
        range(BUCKETS), len(ORDERS) // BUCKETS
    )
    assert sum(total for _, total in before.values()) == SUM_OF_HASHES
    under_test.execute(f"UPDATE {under_test.orders} SET note = 'changed' WHERE id = 14")
    after = source.checksum(under_test.orders, columns, key, BUCKETS)
    assert [bucket for bucket in before if before[bucket] != after[bucket]] == [14 % BUCKETS]
    assert source.checksum(under_test.orders, columns, key, BUCKETS, [1]) == {1: after[1]}


def test_the_rows_of_a_bucket_add_up_to_it(under_test: SourceUnderTest, source: Source) -> None:
    facts = source.describe(under_test.orders)
    columns = [under_test.column(facts, name) for name in ("id", "code", "note")]
    key = [under_test.id.name]
    rows, total = source.checksum(under_test.orders, columns, key, BUCKETS)[2]
    found = source.key_rows(under_test.orders, columns, key, Buckets(BUCKETS, (2,)), [columns[1]])
    assert (found.num_rows, sum(found.column("hash").to_pylist())) == (rows, total)
    expected = {(str(row["id"]), row["code"]) for row in ORDERS if row["id"] % BUCKETS == 2}
    assert set(zip(found.column("k0").to_pylist(), found.column("b0").to_pylist(), strict=True)) == expected
