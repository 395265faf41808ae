"""The manifest of a repair: deletes beside files; and every other manifest is written as it always was."""

from dataclasses import replace
from datetime import UTC, datetime

from syncer_assets.model.columns import Column
from syncer_assets.model.manifest import DataFile, Manifest
from syncer_assets.model.marks import CursorColumn
from syncer_assets.model.table import Target
from syncer_assets.sync.lake import Lake, open_lake
from syncer_assets.sync.load import plan_load
from syncer_assets_tests.sync.tables import spec_of

MANIFEST = Manifest(
    seq=1,
    mode="append",
    source="shop",
    engine="postgres",
    source_identity="postgres:1/2",
    table="public.orders",
    partition="all",
    low=None,
    safe=(5,),
    high=(7,),
    proof="writers_finished",
    captures=(),
    captured_at=datetime(2026, 1, 1, tzinfo=UTC),
    key=("id",),
    cursor=("id",),
    order=(CursorColumn("id", "integer"),),
    columns=(Column("id", "int64", "bigint"), Column("note", "string", "text")),
    files=(
        DataFile("data/1/part-00000.parquet", 5, 100, "aa"),
        DataFile("data/1/part-00001.parquet", 2, 50, "bb", provisional=True),
    ),
    rows=7,
    scheme="none",
)
GONE = DataFile("data/2/part-00001.parquet", 3, 30, "cc")
BODY_SHA256 = "067160f664df9aeee046edfcbfeb956d9e545231c7fad463254d4023ce3db143"


def test_a_manifest_without_deletes_has_the_body_that_it_always_had() -> None:
    assert b"deletes" not in MANIFEST.to_bytes()
    assert MANIFEST.sha256 == BODY_SHA256, "ledgers have this hash"


def test_deletes_are_read_as_they_were_written() -> None:
    written = replace(MANIFEST, deletes=(GONE,))
    again = Manifest.from_bytes(written.to_bytes(), "m")
    assert again.deletes == (GONE,) and again == written
    assert Manifest.from_bytes(MANIFEST.to_bytes(), "m").deletes == ()


def test_deletes_are_planned_with_their_own_columns_and_survive_a_replace() -> None:
    """A re-read of a time range brings no news of rows that are gone: what a repair said before still counts."""
    lake: Lake = open_lake("memory://")
    repair = replace(MANIFEST, seq=2, mode="repair", deletes=(GONE,))
    replaced = replace(MANIFEST, seq=3, mode="replace")
    plan = plan_load(lake, spec_of(deletes="hard"), Target("w", "s", "t"), [MANIFEST, repair, replaced])
    assert [(live.seq, live.file) for live in plan.deletes] == [(2, GONE)] and plan.hard_deletes
    assert [live.seq for live in plan.files] == [3, 3] and plan.superseded == {1: 3, 2: 3}
    assert not plan_load(lake, spec_of(deletes="soft"), Target("w", "s", "t"), [repair]).hard_deletes


def test_a_full_read_of_ids_deletes_nothing_where_deletes_are_soft() -> None:
    lake: Lake = open_lake("memory://")
    replaced = [replace(MANIFEST, mode="replace")]
    target = Target("w", "s", "t")
    assert plan_load(lake, spec_of(cursor=["id"], deletes="hard"), target, replaced).delete_missing is not None
    assert plan_load(lake, spec_of(cursor=["id"], deletes="soft"), target, replaced).delete_missing is None
