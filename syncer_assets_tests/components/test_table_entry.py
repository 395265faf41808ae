"""Every field of a table's YAML reaches the engine."""

import dataclasses
from datetime import timedelta

import pydantic
import pytest

from syncer_assets.assets.table import Cron
from syncer_assets.components.column_entries import ColumnsEntry, MaskEntry
from syncer_assets.components.entries import PartitionsEntry, TableEntry
from syncer_assets.components.fields import parse_duration
from syncer_assets.components.reading_entries import ChunkEntry, FilesEntry, SizesEntry, SparseEntry
from syncer_assets.components.schedule_entries import ReconcileEntry, ScheduleEntry, cron_of
from syncer_assets.components.upkeep_entries import IndexEntry
from syncer_assets.model.partition import PartitionScheme
from syncer_assets.model.table import (
    ChunkSettings,
    ColumnRules,
    FileSettings,
    IndexSpec,
    MaskRule,
    RefreshSettings,
    SizeSettings,
    SparseSettings,
    TableSpec,
)

FULL = {
    "table": "public.orders",
    "key": "id",
    "cursor": ["updated_at", "id"],
    "where": "status <> 'draft'",
    "load": "append",
    "partitions": {"by": "time", "every": "week", "start": "2024-01-01"},
    "late_commit_lag": "10m",
    "settle_seconds": 1,
    "pin_limit": "2h",
    "commit_every": "30s",
    "chunk": {"rows": 5, "target_seconds": 1.5},
    "files": {"target_mb": 16, "min_rows": 10, "max_rows": 100},
    "strategy": "keyset",
    "sparse": {
        "enabled": False,
        "efficiency_threshold": 0.2,
        "min_chunk_size_check": 10,
        "consecutive_sparse_limit": 3,
        "max_scale_factor": 4,
        "max_chunk_size": 1000,
    },
    "sizes": {"streaming_mb": 1, "parallel_mb": 2, "parallel_rows": 3},
    "workers": 4,
    "memory_mb": 64,
    "columns": {
        "include": ["id"],
        "exclude": ["notes"],
        "hash": ["email"],
        "hash_key_env": "OTHER_KEY",
        "truncate": {"phone": 4},
        "mask": {"name": {"text": "x"}, "iban": {"keep_last": 4}, "note": "***"},
    },
    "null_cursor": "include",
    "cursor_zone": "Europe/Berlin",
    "ignore_roles": ["reader"],
    "deletes": "ignore",
    "schema_changes": "freeze",
    "allow_lossy": ["amount"],
    "refresh": "swap",
    "swap_above": 0.25,
    "max_shrink": 0.5,
    "allow_empty": True,
    "indexes": [{"columns": ["customer_id"], "where": "x", "unique": True}],
}
EXPECTED = TableSpec(
    source="shop",
    table="public.orders",
    key=("id",),
    cursor=("updated_at", "id"),
    where="status <> 'draft'",
    load="append",
    partitions=PartitionScheme(by="time", every="week", start="2024-01-01"),
    late_commit_lag=timedelta(minutes=10),
    settle_seconds=1.0,
    pin_limit=timedelta(hours=2),
    commit_every=timedelta(seconds=30),
    chunk=ChunkSettings(5, 1.5),
    files=FileSettings(16, 10, 100),
    strategy="keyset",
    sparse=SparseSettings(False, 0.2, 10, 3, 4, 1000),
    sizes=SizeSettings(1, 2, 3),
    workers=4,
    memory_mb=64,
    columns=ColumnRules(
        *(("id",), ("notes",), ("email",), "OTHER_KEY", (("phone", 4),)),
        mask=(("name", MaskRule("x")), ("iban", MaskRule(keep_last=4)), ("note", MaskRule("***"))),
    ),
    null_cursor="include",
    cursor_zone="Europe/Berlin",
    ignore_roles=("reader",),
    deletes="ignore",
    schema_changes="freeze",
    allow_lossy=("amount",),
    refresh=RefreshSettings("swap", 0.25),
    max_shrink=0.5,
    allow_empty=True,
    indexes=(IndexSpec(("customer_id",), "x", True),),
)


def test_every_field_reaches_the_spec() -> None:
    assert TableEntry.model_validate(FULL).to_spec("shop") == EXPECTED


def test_no_field_of_the_spec_is_left_out_of_the_yaml() -> None:
    """A field added to TableSpec later must be given a place in the YAML, and in the test above."""
    bare = TableSpec(source="other", table="other")
    for field in dataclasses.fields(TableSpec):
        assert getattr(EXPECTED, field.name) != getattr(bare, field.name), field.name


def test_a_bare_entry_has_the_defaults_of_the_spec() -> None:
    entry = TableEntry.model_validate({"table": "t", "cursor": "id"})
    assert entry.to_spec("shop") == TableSpec(source="shop", table="t", cursor=("id",))


def test_a_profile_changes_the_defaults_and_what_is_written_wins() -> None:
    small = TableEntry.model_validate({"table": "t", "cursor": "id", "profile": "small"}).to_spec("shop")
    assert (small.workers, small.memory_mb, small.chunk.rows, small.files.target_mb) == (1, 128, 50_000, 64.0)
    written = {"workers": 3, "memory_mb": 512, "chunk": {"rows": 250_000}, "files": {"target_mb": 256}}
    entry = {"table": "t", "cursor": "id", "profile": "small"} | written
    assert TableEntry.model_validate(entry).to_spec("shop") == TableSpec("shop", "t", cursor=("id",), workers=3)


def test_prefix_partitions_are_of_the_cursor_unless_a_column_is_named() -> None:
    cut: dict[str, object] = {"by": "prefix", "length": 2}
    entry = {"table": "t", "cursor": "code", "partitions": cut}
    assert TableEntry.model_validate(entry).to_spec("shop").partitions.column == "code"
    entry["partitions"] = {**cut, "column": "country"}
    assert TableEntry.model_validate(entry).to_spec("shop").partitions.column == "country"


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("5m", 300), ("1h", 3600), ("1h30m", 5400), ("7d", 604800), ("250ms", 0.25)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "-5m", "5y", "5m "])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(text)


def test_a_schedule_is_a_cron_expression_or_names_its_zone() -> None:
    for schedule, cron in (
        ("0 2 * * *", Cron("0 2 * * *")),
        ({"cron": "0 2 * * *", "timezone": "Europe/Berlin"}, Cron("0 2 * * *", "Europe/Berlin")),
        (None, None),
    ):
        assert cron_of(TableEntry.model_validate({"table": "t", "schedule": schedule}).schedule) == cron


@pytest.mark.parametrize(
    "model",
    [
        *(TableEntry, PartitionsEntry, ChunkEntry, FilesEntry, SparseEntry, SizesEntry, MaskEntry, ColumnsEntry),
        *(IndexEntry, ScheduleEntry, ReconcileEntry),
    ],
)
def test_every_field_says_what_it_is_for(model: type[pydantic.BaseModel]) -> None:
    for name, field in model.model_fields.items():
        assert field.description, f"{model.__name__}.{name}"
