"""The core table: typed columns of the raw documents; nothing lost to a late commit, nothing made NULL in silence."""

import random
import threading
from dataclasses import replace
from typing import Any

import pytest

from syncer_assets.model.errors import AssertionFailed, ConfigError, SchemaChanged
from syncer_assets.model.files import CoreColumn, CoreReport, CoreSpec
from syncer_assets.model.table import Target
from syncer_assets.warehouses.postgres.files.load import STAMP_SQL
from syncer_assets_tests.files.rig import Files
from syncer_assets_tests.servers import poll

CORE = CoreSpec(
    Target("analytics", "core", "members"),
    (
        CoreColumn("branch", ("branch",), "integer", required=True),
        CoreColumn("name", ("person", "name"), "text"),
        CoreColumn("paid", ("paid",), "numeric(6,2)"),
        CoreColumn("tags", ("tags",), "jsonb"),
    ),
)
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def member(id: int, **fields: object) -> dict[str, object]:
    return {"id": id, "branch": 7, "person": {"name": f"name {id}"}, "paid": 1.5, "tags": ["a"], **fields}


def rows(files: Files) -> dict[str, Any]:
    found = files.database.execute("SELECT id, branch, name, paid::text, tags FROM core.members")
    return {row[0]: row[1:] for row in found}


def rejects(files: Files) -> list[tuple[str, str, str, str]]:
    return files.database.execute("SELECT id, column_name, reason, value FROM stg.members_core_rejects ORDER BY 1, 2")


def load(files: Files, core: CoreSpec = CORE, *, full: bool = False) -> CoreReport:
    report = files.load_core(core, full=full)
    assert all(check.passed for check in report.checks if check.severity == "ERROR")
    return report


def test_columns_are_typed_by_their_paths_and_absent_ones_are_null(files: Files) -> None:
    files.put("a.jsonl", [member(1), {"id": 2, "branch": 8, "paid": None}])
    files.load()
    report = load(files)
    assert (report.rows_inserted, report.rejected) == (2, 0)
    assert rows(files) == {"1": (7, "name 1", "1.50", ["a"]), "2": (8, None, None, None)}


def test_a_row_that_did_not_change_is_not_touched(files: Files) -> None:
    files.put("a.jsonl", [member(1), member(2)])
    files.load()
    load(files)
    before = files.database.execute("SELECT id, xmin::text, _updated_at FROM core.members ORDER BY id")
    files.put("b.jsonl", [member(2, unused="changed"), member(3)])
    files.load()
    report = load(files)
    assert (report.load, report.rows, report.rows_inserted, report.rows_unchanged) == ("incremental", 2, 1, 1)
    assert load(files, full=True).rows_unchanged == 3
    assert files.database.execute("SELECT id, xmin::text, _updated_at FROM core.members ORDER BY id")[:2] == before


@pytest.mark.parametrize("bad", [{"branch": "seven"}, {"branch": 1.5}, {"branch": ""}, {"paid": 123456}, {"paid": "x"}])
def test_a_value_that_does_not_convert_is_a_reject_with_its_key_and_no_row(
    files: Files, bad: dict[str, object]
) -> None:
    files.put("a.jsonl", [member(1), member(2)])
    files.load()
    load(files)
    files.put("a.jsonl", [member(1, **bad), member(2)])
    files.load()
    report = load(files)
    (column,) = bad
    assert (report.rejected, report.rows_deleted, set(rows(files))) == (1, 1, {"2"})
    ((id, name, reason, value),) = rejects(files)
    assert (id, name, value) == ("1", column, str(bad[column]))
    assert reason == {"branch": "no integer", "paid": "no numeric(6,2)"}[column]
    assert (report.rows_in_raw, report.rows_in_core, report.rows_rejected_in_all) == (2, 1, 1)
    files.put("a.jsonl", [member(1), member(2)])
    files.load()
    load(files)
    assert set(rows(files)) == {"1", "2"} and not rejects(files)


def test_a_document_without_a_required_value_is_a_reject(files: Files) -> None:
    files.put("a.jsonl", [{"id": 1}, {"id": 2, "branch": None}, member(3)])
    files.load()
    load(files)
    assert [(id, name, reason) for id, name, reason, _ in rejects(files)] == [
        ("1", "branch", "missing"),
        ("2", "branch", "missing"),
    ]
    assert set(rows(files)) == {"3"}


def test_rows_that_vanish_from_the_raw_table_vanish(files: Files) -> None:
    files.put("a.jsonl", [member(1), member(2), member(3, branch="x")])
    files.load()
    load(files)
    files.put("a.jsonl", [member(1)])
    files.load()
    report = load(files)
    assert (report.load, report.rows_deleted) == ("incremental", 1)
    assert set(rows(files)) == {"1"} and not rejects(files)


def test_a_load_that_commits_late_is_not_lost(files: Files) -> None:
    """An open load holds the table's row: no later one can commit below it, so no mark can pass it."""
    files.put("a.jsonl", [member(1)])
    files.load()
    load(files)
    with files.database.connect(autocommit=False) as late:
        stamp = late.execute(STAMP_SQL.replace("$1", "%s").encode(), (files.spec.target.name,)).fetchone()
        assert stamp is not None
        late.execute(
            "INSERT INTO stg.members_raw SELECT 'late', raw_data, source_file, run_id, %s, %s FROM stg.members_raw",
            (stamp[0], stamp[0]),
        )
        files.put("b.jsonl", [member(2)])
        other = threading.Thread(target=files.load)
        other.start()
        poll(lambda: files.database.scalar(WAITING) or not other.is_alive(), 60)
        load(files)
        assert set(rows(files)) == {"1"}
        late.commit()
        other.join()
    load(files)
    assert set(rows(files)) == {"1", "2", "late"}


def test_a_changed_declaration_is_loaded_in_full_and_adds_its_column(files: Files) -> None:
    files.put("a.jsonl", [member(1, extra=5)])
    files.load()
    load(files)
    more = replace(CORE, columns=(*CORE.columns, CoreColumn("extra", ("extra",), "bigint")))
    report = load(files, more)
    assert (report.load, report.reason) == ("full", "the declaration or a table changed")
    assert files.database.scalar("SELECT extra FROM core.members") == 5


def test_a_core_table_that_was_dropped_is_made_anew(files: Files) -> None:
    files.put("a.jsonl", [member(1)])
    files.load()
    load(files)
    files.database.execute("DROP TABLE core.members")
    load(files)
    assert set(rows(files)) == {"1"}


def test_a_column_of_another_type_is_told_and_nothing_is_changed(files: Files) -> None:
    files.put("a.jsonl", [member(1)])
    files.load()
    load(files)
    other = replace(CORE, columns=(CoreColumn("branch", ("branch",), "text"),))
    with pytest.raises(SchemaChanged, match="'branch' is integer in the table and text by its declaration"):
        load(files, other)
    assert set(rows(files)) == {"1"}


def test_a_query_makes_the_rows_and_may_leave_documents_out(files: Files) -> None:
    query = "SELECT id, upper(raw_data #>> '{person,name}') AS name FROM raw WHERE (raw_data ->> 'paid')::numeric > 1;"
    core = replace(CORE, columns=(), query=query)
    files.put("a.jsonl", [member(1), member(2, paid=0)])
    files.load()
    load(files, core)
    names = "SELECT id, name FROM core.members ORDER BY id"
    assert files.database.execute(names) == [("1", "NAME 1")]
    files.put("b.jsonl", [member(1, paid=0), member(3)])
    files.load()
    assert load(files, core).load == "incremental"
    assert files.database.execute(names) == [("3", "NAME 3")]
    with pytest.raises(ConfigError, match="gives an id twice"):
        load(files, replace(core, query="SELECT id, 1 AS n FROM raw UNION ALL SELECT id, 2 FROM raw"))


@pytest.mark.parametrize("seed", range(4))
def test_incremental_loads_end_where_a_full_one_does(files: Files, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(10):
        documents = [
            member(chance.randrange(8), branch=chance.choice([1, 2, "x"]), paid=chance.choice([1, 2, None]))
            for _ in range(chance.randrange(5))
        ]
        files.put(f"{chance.randrange(4)}.jsonl", documents, 1_700_000_000 + chance.randrange(100))
        files.load()
        if chance.random() < 0.7:
            load(files)
    load(files)
    found, bad = rows(files), rejects(files)
    report = load(files, full=True)
    assert (rows(files), rejects(files)) == (found, bad)
    assert report.rows_inserted + report.rows_updated + report.rows_deleted == 0


def test_rows_that_a_trigger_swallows_stop_the_load_before_its_commit(files: Files) -> None:
    files.put("a.jsonl", [member(1)])
    files.load()
    load(files)
    files.database.execute(
        "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER swallow BEFORE INSERT ON core.members FOR EACH ROW EXECUTE FUNCTION swallow()"
    )
    files.put("b.jsonl", [member(2)])
    files.load()
    with pytest.raises(AssertionFailed, match="not every document is a row or a reject"):
        load(files)
    files.database.execute("DROP TRIGGER swallow ON core.members")
    load(files)
    assert set(rows(files)) == {"1", "2"}
    files.database.execute(
        "CREATE TRIGGER swallow BEFORE INSERT ON stg.members_raw FOR EACH ROW EXECUTE FUNCTION swallow()"
    )
    files.put("c.jsonl", [member(3)])
    with pytest.raises(AssertionFailed, match="look for a trigger"):
        files.load()
    assert files.pending() == ["c.jsonl"]
