"""`syncer run` and `syncer status` on files."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from syncer_assets.cli import main
from syncer_assets_tests.files.deployed import Evo
from syncer_assets_tests.files.test_assets import DAY, FILE, NEXT_FILE, members
from syncer_assets_tests.servers import Database

ENTITIES = """
    - {entity: sales, pattern: "sales/{prefix}/*.json", partitions: {by: prefix}, id: id}
    - {entity: notes, pattern: "notes.jsonl"}
    - {entity: none, pattern: "none/*.jsonl", core: {columns: {a: {}}}}
"""


def test_a_run_loads_what_is_pending_and_the_core_table_and_status_shows_it(evo: Evo, call: Any) -> None:
    evo.put(FILE, members(1, 2))
    evo.put(NEXT_FILE, members(3))
    code, said = call("run")
    assert code == 0, said
    assert [(asset["key"], asset["partition"]) for asset in said["assets"]] == [
        ("raw/evo/members", DAY),
        ("raw/evo/members", "2024-05-02"),
        ("core/evo/members", None),
    ]
    assert evo.warehouse.scalar("SELECT count(*) FROM core.members") == 3
    code, said = call("status")
    assert code == 0, said
    assert [(each["partition"], each["files"], each["lines"], each["pending"]) for each in said["files"]] == [
        (DAY, 1, 2, 0),
        ("2024-05-02", 1, 1, 0),
    ]


def test_a_refused_file_fails_the_run_and_names_the_file(evo: Evo, call: Any) -> None:
    evo.put(FILE, members(1))
    evo.put(NEXT_FILE, b"\x1f\x8b\x08\x00 no gzip")
    code, said = call("run", "--select", "members")
    assert code == 1
    assert [problem["kind"] for problem in said["problems"]] == ["file_refused"]
    assert "05/02/a.jsonl.gz" in said["problems"][0]["message"]
    assert evo.warehouse.scalar("SELECT count(*) FROM core.members") == 1
    _, said = call("status")
    assert [each["refused"] for each in said["files"]] == [0, 1]
    evo.put(NEXT_FILE, members(2))
    code, said = call("run")
    assert code == 0, said


def test_full_loads_every_file_anew_into_a_table_that_was_dropped(evo: Evo, call: Any) -> None:
    evo.put(FILE, members(1, 2))
    assert call("run")[0] == 0
    evo.warehouse.execute("DROP TABLE stg.members_raw")
    code, said = call("run")
    assert code == 1
    assert "was dropped" in said["problems"][0]["message"] and "--full" in said["problems"][0]["message"]
    code, said = call("run", "--full")
    assert code == 0, said
    assert evo.warehouse.scalar("SELECT count(*) FROM stg.members_raw") == 2


def test_one_partition_can_be_named_and_a_wrong_one_says_which_there_are(evo: Evo, call: Any) -> None:
    evo.put(FILE, members(1))
    evo.put(NEXT_FILE, members(2))
    assert call("run", "--partition", DAY)[0] == 0
    assert evo.warehouse.execute("SELECT id FROM stg.members_raw") == [("1",)]
    code, said = call("run", "--partition", "2024-06-01")
    assert code == 1
    assert "there are files from 2024-05-01 to 2024-05-02" in said["problems"][0]["message"]


def test_prefixes_a_single_file_and_no_file_at_all(
    tmp_path: Path,
    warehouse_db: Database,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    evo = Evo.deployed(tmp_path, warehouse_db, instance, monkeypatch, ENTITIES)
    evo.put("sales/north/1.json", b'[{"id": 1}, {"id": 2}]')
    evo.put("sales/south/1.json", b'{"id": 3}')
    evo.put("notes.jsonl", b'{"a": 1}\n')
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    code = main(["run", "--json", "--defs", str(tmp_path / "defs")])
    said = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert code == 0, said
    assert [(asset["key"], asset["partition"]) for asset in said["assets"]] == [
        ("raw/evo/sales", "north"),
        ("raw/evo/sales", "south"),
        ("raw/evo/notes", None),
    ]
    assert warehouse_db.scalar("SELECT count(*) FROM stg.sales_raw") == 3
