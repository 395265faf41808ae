"""What is proposed for a table, and what a person is told to check."""

from datetime import UTC, datetime

import pytest
import yaml

from syncer_assets.model.marks import CursorColumn
from syncer_assets.model.partition import PartitionScheme
from syncer_assets.model.risk import Risk
from syncer_assets.sync.discover import Proposal, discover, partitions_for, propose
from syncer_assets.sync.discover_yaml import entry, scalar, to_yaml
from syncer_assets_tests.privileges import role_of
from syncer_assets_tests.sync.tables import Rig

TIME = CursorColumn("updated_at", "timestamptz")


def proposal(rig: Rig, columns: str, *statements: str, rows: int | None = None) -> Proposal:
    """The proposal for a table t; `rows` is what its statistics claim."""
    rig.database.execute(f"CREATE TABLE t ({columns})")
    for statement in statements:
        rig.database.execute(statement)
    rig.database.execute("ANALYZE t")
    if rows is not None:
        rig.database.execute(f"UPDATE pg_class SET reltuples = {rows}, relpages = {rows // 50} WHERE relname = 't'")
    return propose(rig.source, "public.t")


def test_an_indexed_updated_at_comes_first(rig: Rig) -> None:
    found = proposal(
        rig,
        "id bigserial PRIMARY KEY, created_at timestamptz, modified timestamp, updated_at timestamptz NOT NULL",
        "CREATE INDEX ON t (updated_at)",
    )
    assert (found.spec.key, found.spec.cursor, found.spec.load) == (("id",), ("updated_at",), "upsert")
    assert found.warnings == ()


@pytest.mark.parametrize(
    "name", ["updated_at", "last_update", "lastModified", "modified_on", "row_updated_at", "changed", "UPDATE_TIME"]
)
def test_names_of_columns_that_tell_of_updates(rig: Rig, name: str) -> None:
    found = proposal(rig, f'id int PRIMARY KEY, "{name}" timestamptz NOT NULL')
    assert found.spec.cursor == (name,)


@pytest.mark.parametrize("name", ["created_at", "birthday", "update_count", "valid_until"])
def test_other_names_do_not(rig: Rig, name: str) -> None:
    found = proposal(rig, f'id int PRIMARY KEY, "{name}" timestamptz NOT NULL')
    assert (found.spec.cursor, found.spec.load) == ((), "replace")


def test_a_small_table_without_updated_at_is_read_whole(rig: Rig) -> None:
    found = proposal(rig, "id bigserial PRIMARY KEY, name text", rows=99_000)
    assert (found.spec.cursor, found.spec.load) == ((), "replace")
    assert "small enough to be read whole" in found.notes[0]


def test_a_large_one_is_read_by_its_id_and_the_updates_are_named(rig: Rig) -> None:
    found = proposal(rig, "id bigserial PRIMARY KEY, name text", rows=2_000_000)
    assert (found.spec.cursor, found.spec.load, found.spec.partitions.by) == (("id",), "upsert", "none")
    assert found.warnings == (
        Risk("inserts_only", "id finds inserts only: updates and deletes are left to `syncer reconcile`"),
    )


def test_a_large_log_without_an_integer_key_is_read_by_its_creation(rig: Rig) -> None:
    found = proposal(
        rig,
        "id uuid PRIMARY KEY, created_at timestamptz NOT NULL",
        "CREATE INDEX ON t (created_at)",
        rows=2_000_000,
    )
    assert (found.spec.cursor, found.spec.load) == (("created_at",), "upsert")
    assert found.warnings[0].name == "inserts_only"


def test_a_large_table_without_any_cursor_is_read_whole_with_a_warning(rig: Rig) -> None:
    found = proposal(rig, "a text, b text, PRIMARY KEY (a, b)", rows=2_000_000)
    assert (found.spec.cursor, found.spec.load) == ((), "replace")
    assert "all 2,000,000 rows are read each time" in found.warnings[0].text


def test_a_table_without_a_key_is_never_upserted(rig: Rig) -> None:
    found = proposal(rig, "note text, updated_at timestamptz NOT NULL")
    assert (found.spec.key, found.spec.cursor, found.spec.load) == ((), (), "replace")
    assert "no primary key" in found.warnings[0].text


def test_a_unique_index_stands_in_for_a_primary_key(rig: Rig) -> None:
    found = proposal(rig, "code text NOT NULL UNIQUE, updated_at timestamptz NOT NULL")
    assert found.spec.key == ("code",)


def test_a_time_without_zone_is_taken_as_utc_and_flagged(rig: Rig) -> None:
    found = proposal(rig, "id int PRIMARY KEY, updated_at timestamp NOT NULL")
    assert found.spec.cursor_zone == "UTC"
    assert any("has no time zone" in warning.text for warning in found.warnings)


def test_a_cursor_that_may_be_null_is_read_all_the_same(rig: Rig) -> None:
    found = proposal(rig, "id int PRIMARY KEY, updated_at timestamptz")
    assert found.spec.null_cursor == "include"
    assert any("may be NULL" in warning.text for warning in found.warnings)


def test_a_large_table_whose_cursor_has_no_index_says_which_to_create(rig: Rig) -> None:
    found = proposal(rig, "id int PRIMARY KEY, updated_at timestamptz NOT NULL", rows=2_000_000)
    (risk,) = found.warnings
    assert risk.name == "cursor_without_index"
    assert risk.text.endswith('CREATE INDEX CONCURRENTLY ON "public"."t" ("updated_at", "id")')


@pytest.mark.parametrize(
    "columns, statements, reason",
    [
        ("id bigint PRIMARY KEY", (), "not drawn by the column's default"),
        ("id bigserial PRIMARY KEY", ("ALTER SEQUENCE t_id_seq CACHE 20",), "blocks"),
    ],
)
def test_ids_that_come_out_of_order_are_flagged(
    rig: Rig, columns: str, statements: tuple[str, ...], reason: str
) -> None:
    found = proposal(rig, columns, *statements, rows=2_000_000)
    assert any(reason in warning.text for warning in found.warnings)


def test_values_in_the_future_are_flagged(rig: Rig) -> None:
    insert = "INSERT INTO t VALUES (1, now() + interval '1 year')"
    found = proposal(rig, "id int PRIMARY KEY, updated_at timestamptz NOT NULL", insert)
    assert any("in the future" in warning.text for warning in found.warnings)


def test_what_travels_as_text_is_named(rig: Rig) -> None:
    found = proposal(rig, "id int PRIMARY KEY, tags text[], n numeric")
    assert any("tags (text[]), n (numeric)" in note for note in found.notes)


def test_a_table_that_may_not_be_read_is_left_out_with_the_reason(rig: Rig) -> None:
    found = propose(rig.source, "public.nothing")
    assert found.refused is not None
    assert entry(found)[0].startswith("# LEFT OUT public.nothing: ")
    assert yaml.safe_load(to_yaml("shop", "analytics", "shop", [found]))["attributes"]["tables"] == []


def test_a_huge_table_is_cut_by_ids_or_by_time(rig: Rig) -> None:
    found = proposal(
        rig,
        "id bigserial PRIMARY KEY, updated_at timestamptz NOT NULL",
        "CREATE INDEX ON t (updated_at)",
        "INSERT INTO t (updated_at) VALUES ('2023-03-17 12:00+00'), ('2024-11-02 12:00+00')",
        rows=60_000_000,
    )
    assert found.spec.partitions == PartitionScheme(by="time", every="month", start="2023-03-01")


@pytest.mark.parametrize(
    "rows, last, every, start",
    [
        (50_000_000, datetime(2026, 1, 1, tzinfo=UTC), "month", "2024-01-01"),
        (500_000_000, datetime(2025, 1, 1, tzinfo=UTC), "week", "2024-01-01"),
        (2_000_000_000, datetime(2024, 7, 1, tzinfo=UTC), "day", "2024-01-03"),
        (9_000_000_000, datetime(2034, 7, 1, tzinfo=UTC), "month", "2024-01-01"),
    ],
)
def test_partitions_by_time_are_long_but_not_too_full_nor_too_many(
    rows: int, last: datetime, every: str, start: str
) -> None:
    scheme = partitions_for(TIME, datetime(2024, 1, 3, tzinfo=UTC), last, rows)
    assert scheme is not None
    assert (scheme.every, scheme.start) == (every, start)


@pytest.mark.parametrize("highest, size", [(10**8, 10**7), (10**10, 10**8), (10**12, 10**10)])
def test_partitions_by_id_are_never_too_many(highest: int, size: int) -> None:
    assert partitions_for(CursorColumn("id", "integer"), None, highest, 10**7) == PartitionScheme(by="id", size=size)


def test_the_yaml_says_what_was_found_whatever_the_names_are(rig: Rig) -> None:
    rig.database.execute('CREATE TABLE "odd: name #1" ("no" int PRIMARY KEY, "a ""b""" int)')
    rig.database.execute("CREATE TABLE plain (id int PRIMARY KEY)")
    found = discover(rig.source, rig.source.tables())
    document = yaml.safe_load(to_yaml("shop", "analytics", "on", found, ["one line", "and another"]))
    assert document["attributes"] == {
        "source": "shop",
        "warehouse": "analytics",
        "schema": "on",
        "tables": [
            {"table": "public.odd: name #1", "key": ["no"], "load": "replace"},
            {"table": "public.plain", "key": ["id"], "load": "replace"},
        ],
    }


def test_tables_of_one_name_go_into_schemas_of_their_own(rig: Rig) -> None:
    rig.database.execute('CREATE SCHEMA "Sales Dept"; CREATE SCHEMA sales_dept')
    for schema in ("public", '"Sales Dept"', "sales_dept"):
        rig.database.execute(f"CREATE TABLE {schema}.wide (id int PRIMARY KEY)")
    rig.database.execute('CREATE TABLE "Sales Dept".own (id int PRIMARY KEY)')
    role, schemas = role_of(rig.database.name), '"Sales Dept", sales_dept'
    rig.database.execute(
        f"GRANT USAGE ON SCHEMA {schemas} TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA {schemas} TO {role}"
    )
    text = to_yaml("shop", "analytics", "shop", discover(rig.source, rig.source.tables()))
    found = {
        document["attributes"]["schema"]: [table["table"] for table in document["attributes"]["tables"]]
        for document in yaml.safe_load_all(text)
    }
    assert found == {
        "shop": ["Sales Dept.own", "public.wide"],
        "shop_sales_dept": ["Sales Dept.wide"],
        "shop_sales_dept2": ["sales_dept.wide"],
    }
    assert "# CHECK schema: shop has wide" in text


@pytest.mark.parametrize("text", ["plain", "public.orders", "yes", "Null", "a b", "1e3", "ä", "a: b", '"', "{x}", "😀"])
def test_a_name_reads_back_as_it_was_written(text: str) -> None:
    assert yaml.safe_load(f"[{scalar(text)}]") == [text]
