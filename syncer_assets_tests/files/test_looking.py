"""`syncer plan`, `watermarks`, `doctor` and `report` on files, and on the lists of an API."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncer_assets_tests.files.deployed import Evo
from syncer_assets_tests.files.test_assets import DAY, FILE, NEXT_FILE, members
from syncer_assets_tests.servers import Database


def test_a_plan_names_the_files_that_a_run_would_load_and_why(evo: Evo, call: Any) -> None:
    assert call("plan")[1]["files"][0]["partitions"] == []
    evo.put(FILE, members(1, 2))
    evo.put(NEXT_FILE, members(3))
    evo.put("members/2024/02/31/a.jsonl.gz", members(4))
    evo.put("members/2999/01/01/a.jsonl.gz", members(5))
    code, said = call("plan")
    assert code == 0, said
    (entity,) = said["files"]
    assert (entity["entity"], entity["target"]) == ("evo.members", "analytics.stg.members_raw")
    assert (entity["files"], entity["files_outside"], entity["files_waiting"]) == (4, 1, 1)
    first, second = entity["partitions"]
    size = (evo.folder / FILE).stat().st_size
    assert first == {
        "partition": DAY, "reason": "1 new", "files": 1, "bytes": size, "loads": 1, "first": FILE, "last": FILE
    }  # fmt: skip
    assert second["partition"] == "2024-05-02"
    assert [(column["name"], column["path"], column["required"]) for column in entity["core"]["columns"]] == [
        ("branch_id", ["idBranch"], True),
        ("name", ["person", "name"], False),
    ]
    assert evo.warehouse.scalar("SELECT count(*) FROM pg_tables WHERE schemaname = '_syncer'") == 0, "it writes nothing"
    assert call("run", "--partition", DAY)[0] == 0
    evo.put(NEXT_FILE, b"\x1f\x8b no gzip")
    assert call("run")[0] == 1
    evo.put(FILE, members(1, 2, 7))
    (entity,) = call("plan")[1]["files"]
    assert [part["reason"] for part in entity["partitions"]] == ["1 changed", "1 refused before"]
    (entity,) = call("plan", "--partition", DAY)[1]["files"]
    assert [part["partition"] for part in entity["partitions"]] == [DAY]


def test_watermarks_say_which_files_are_done_and_how_far_the_core_table_is(evo: Evo, call: Any) -> None:
    code, said = call("watermarks")
    assert (code, said["files"]) == (0, [{"entity": "evo.members", "partitions": [], "core": None}])
    evo.put(FILE, members(1, 2))
    evo.put(NEXT_FILE, members(3))
    assert call("run")[0] == 0
    (marks,) = call("watermarks")[1]["files"]
    assert [(part["partition"], part["files"], part["lines"], part["last_file"]) for part in marks["partitions"]] == [
        (DAY, 1, 2, FILE),
        ("2024-05-02", 1, 1, NEXT_FILE),
    ]
    assert marks["core"]["upto"] == marks["core"]["raw_at"]
    evo.put(FILE, members(1, 2, 8))
    assert evo.run(DAY, core=False).success
    (marks,) = call("watermarks")[1]["files"]
    assert marks["core"]["upto"] < marks["core"]["raw_at"]


def about_files(said: dict[str, Any]) -> dict[str, tuple[str, str]]:
    found = [finding for finding in said["findings"] if finding["about"] == "files evo.members"]
    return {finding["name"]: (finding["level"], finding["text"]) for finding in found}


def test_the_doctor_looks_at_the_store_the_first_file_and_the_tables_and_leaves_nothing(evo: Evo, call: Any) -> None:
    evo.put("member/2024/05/01/a.jsonl.gz", members(1))
    code, said = call("doctor")
    found = about_files(said)
    assert code == 0, said
    assert found["pattern"][0] == "warning" and "has member/2024/05/01/a.jsonl.gz" in found["pattern"][1]
    evo.put(FILE, members(1))
    evo.put("members/2024/02/31/a.jsonl.gz", members(4))
    code, said = call("doctor")
    found = about_files(said)
    assert {name: level for name, (level, _) in found.items()} == {
        "pattern": "ok",
        "partitions": "warning",
        "first file": "ok",
        "raw table": "ok",
        "changed files": "ok",
        "core table": "ok",
    }, found
    made = "SELECT count(*) FROM pg_class WHERE relnamespace::regnamespace::text IN ('_syncer', 'stg', 'core')"
    assert evo.warehouse.scalar(made) == 0


def test_the_doctor_names_what_a_load_would_fail_at(
    evo: Evo, call: Any, monkeypatch: pytest.MonkeyPatch, loader: str
) -> None:
    evo.put(FILE, members(1))
    assert call("run")[0] == 0
    assert {level for level, _ in about_files(call("doctor")[1]).values()} == {"ok"}
    evo.put(FILE, b"\x1f\x8b\x08\x00 no gzip")
    evo.warehouse.execute("ALTER TABLE core.members ALTER COLUMN branch_id TYPE text")
    code, said = call("doctor")
    found = about_files(said)
    assert code == 1
    assert found["first file"][0] == "warning" and "is cut off" in found["first file"][1]
    assert "'branch_id' is text in the table and integer" in found["tables"][1]
    monkeypatch.setenv("TEST_ANALYTICS_DSN", evo.warehouse.dsn_as(loader))
    code, said = call("doctor")
    assert code == 1
    assert f'GRANT INSERT, UPDATE, DELETE ON stg.members_raw TO "{loader}"' in about_files(said)["tables"][1]
    evo.warehouse.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA stg TO {loader}; DROP TABLE core.members")
    found = about_files(call("doctor")[1])
    assert found["changed files"][0] == "warning"
    assert "tables" in found and "core" in found["tables"][1]
    evo.warehouse.execute("DROP TABLE stg.members_raw")
    assert "was dropped" in about_files(call("doctor")[1])["tables"][1]


def test_the_doctor_names_a_folder_and_a_variable_that_are_missing(
    evo: Evo, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    evo.folder.rename(evo.folder.with_name("elsewhere"))
    monkeypatch.delenv("TEST_ANALYTICS_DSN")
    code, said = call("doctor")
    errors = {(found["about"], found["name"]): found["text"] for found in said["findings"] if found["level"] == "error"}
    assert code == 1
    assert "TEST_ANALYTICS_DSN" in [name for _, name in errors]
    assert "is not there" in errors["files evo.members", "store"]
    assert "TEST_ANALYTICS_DSN is not set" in errors["files evo.members", "tables"]


@pytest.fixture
def loader(warehouse_db: Database) -> Iterator[str]:
    """A role that may look, and no more."""
    role = f"looker_{warehouse_db.name}"
    warehouse_db.execute(
        f"CREATE ROLE {role} LOGIN; GRANT CONNECT, TEMPORARY ON DATABASE {warehouse_db.name} TO {role};"
        f"GRANT ALL ON SCHEMA _syncer, stg TO {role}; GRANT USAGE ON SCHEMA core TO {role};"
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {warehouse_db.role} IN SCHEMA stg, core GRANT SELECT ON TABLES TO {role};"
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {warehouse_db.role} IN SCHEMA _syncer GRANT ALL ON TABLES TO {role}"
    )
    yield role
    warehouse_db.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


def test_the_report_tells_rows_bytes_and_seconds_of_each_file_and_compares(evo: Evo, call: Any, tmp_path: Path) -> None:
    evo.put(FILE, members(1, 2))
    evo.put(NEXT_FILE, members(3, 3))
    assert call("run")[0] == 0
    before = tmp_path / "before.json"
    code, said = call("report")
    assert code == 0, said
    before.write_text(json.dumps(said))
    (entity,) = said["files"]
    total, sizes = entity["total"], [(evo.folder / path).stat().st_size for path in (FILE, NEXT_FILE)]
    assert (total["files"], total["lines"], total["rows_inserted"], total["duplicates"]) == (2, 4, 3, 1)
    assert total["bytes"] == sum(sizes) == sum(file["bytes"] for file in entity["files"])
    assert total["seconds"] == pytest.approx(sum(file["seconds"] for file in entity["files"]), abs=0.002)
    assert total["lines_per_second"] == pytest.approx(4 / total["seconds"], rel=0.1)
    assert [part["partition"] for part in entity["partitions"]] == [DAY, "2024-05-02"]
    evo.put(FILE, members(1, 2, 4))
    evo.warehouse.execute("ALTER TABLE _syncer.files DROP COLUMN seconds")
    assert call("report")[1]["files"][0]["total"]["seconds"] is None, "the ledger of an earlier release"
    assert call("run")[0] == 0
    code, said = call("report", "--baseline", str(before))
    assert code == 0, said
    (entity,) = said["files"]
    assert [file["path"] for file in entity["files"]] == [FILE]
    assert entity["speed_ratio"] == pytest.approx(
        entity["total"]["lines_per_second"] / total["lines_per_second"], abs=0.01
    )
    assert call("report", "--since", "2999-01-01")[1]["files"][0]["total"]["files"] == 0
    page = tmp_path / "report.html"
    assert call("report", "--html", str(page))[0] == 0
    assert FILE in page.read_text() and "name 1" not in page.read_text()
