"""What a source says of its tables and of itself."""

from datetime import UTC, datetime, timedelta

import pytest

from syncer_assets.model.errors import ConfigError, SyncError
from syncer_assets.sources.base import Source
from syncer_assets_tests.sources.contract.under_test import SourceUnderTest


def test_a_table_is_described_and_listed(under_test: SourceUnderTest, source: Source) -> None:
    facts = source.describe(under_test.orders)
    assert [found.column.name for found in facts.columns] == [
        under_test.spell(name) for name in ("id", "code", "note", "updated_at")
    ]
    assert facts.primary_key == (under_test.id.name,)
    assert facts.can_select
    assert under_test.column(facts, "id").type == "int64"
    assert under_test.column(facts, "note").nullable
    assert not under_test.column(facts, "code").nullable
    found = facts.column(under_test.at.name)
    assert found and found.cursor_kind == under_test.time_kind
    assert {under_test.orders, under_test.empty} <= set(source.tables())


def test_a_table_that_is_not_there_is_an_error_with_the_way_out(under_test: SourceUnderTest, source: Source) -> None:
    wrong = f"{under_test.orders}s"
    with pytest.raises(ConfigError) as raised:
        source.describe(wrong)
    assert wrong in str(raised.value) and raised.value.fix


def test_a_table_that_goes_while_it_is_read_is_an_error_of_ours(under_test: SourceUnderTest, source: Source) -> None:
    read = under_test.read(source)
    under_test.execute(f"DROP TABLE {under_test.orders}")
    with pytest.raises(SyncError):
        list(source.read(read))


def test_the_identity_is_the_same_for_everybody_who_asks(under_test: SourceUnderTest, source: Source) -> None:
    other = under_test.open()
    try:
        assert other.identity().database == source.identity().database
    finally:
        other.close()


def test_the_clock_is_in_utc_and_does_not_go_back(under_test: SourceUnderTest, source: Source) -> None:
    first, second = source.clock(under_test.orders), source.clock(under_test.orders)
    assert first.utcoffset() == timedelta(0) and first <= second
    assert abs(first - datetime.now(UTC)) < timedelta(minutes=10)


def test_the_doctors_findings_have_names_and_what_is_wrong_has_words(source: Source) -> None:
    findings = source.doctor()
    names = [finding.name for finding in findings]
    assert names and len(set(names)) == len(names)
    assert all(finding.description for finding in findings)


def test_the_plan_of_a_query_is_told_and_its_sql_names_the_table(under_test: SourceUnderTest, source: Source) -> None:
    read = under_test.read(source, limit=5)
    assert source.explain(read).rows >= 0
    assert "orders" in source.sql(read).lower()
