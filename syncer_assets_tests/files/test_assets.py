"""Files as Dagster's assets: partitions, checks, the sensor, and what a refused file turns red."""

import dagster as dg
import pytest

from syncer_assets.assets.file_sensor import look_for_new_files
from syncer_assets.assets.report import REPORT_KEY
from syncer_assets.assets.requests import ASSET_JOB
from syncer_assets_tests.assets.results import checks, everything_recorded, materialized, metadata, run_report
from syncer_assets_tests.files.deployed import Evo

DAY, NEXT_DAY = "2024-05-01", "2024-05-02"
FILE, NEXT_FILE = "members/2024/05/01/a.jsonl.gz", "members/2024/05/02/a.jsonl.gz"


def members(*ids: int, name: str = "Ada") -> list[dict[str, object]]:
    return [{"idMember": i, "idBranch": 7, "person": {"name": name}} for i in ids]


class Ticks:
    """Evaluates the sensor as the daemon does, and carries out what it asks for."""

    def __init__(self, evo: Evo):
        self.evo = evo
        self.sensor = evo.deployment.definitions.get_repository_def().get_sensor_def("new_files__evo")

    def tick(self) -> list[dg.RunRequest]:
        context = dg.build_sensor_context(
            instance=self.evo.instance,
            definitions=self.evo.deployment.definitions,
            resources=self.evo.deployment.connections.resources(),
            instance_ref=self.evo.instance.get_ref(),
        )
        return list(self.sensor.evaluate_tick(context).run_requests or [])

    def partitions(self) -> list[str | None]:
        return sorted((request.partition_key for request in self.tick()), key=str)

    def carry_out(self) -> None:
        for request in self.tick():
            tags = {key: value for key, value in request.tags.items() if not key.startswith("dagster/")}
            self.evo.run(request.partition_key, core=False, tags=tags)


@pytest.fixture
def ticks(evo: Evo) -> Ticks:
    return Ticks(evo)


def test_a_partition_loads_its_files_and_the_core_table_follows(evo: Evo) -> None:
    evo.put(FILE, members(1, 2))
    evo.put(NEXT_FILE, members(3))
    result = evo.run(DAY)
    assert result.success
    assert materialized(result) == {"raw/evo/members": DAY, "core/evo/members": None}
    assert all(checks(result, evo.table.raw_key).values()) and all(checks(result, evo.table.core_key).values())
    assert metadata(result, evo.table.raw_key)["lines"] == 2
    assert evo.warehouse.execute("SELECT id, branch_id, name FROM core.members ORDER BY id") == [
        ("1", 7, "Ada"),
        ("2", 7, "Ada"),
    ]
    told = metadata(run_report(evo.deployment.definitions, evo.instance), REPORT_KEY)
    assert (told["entities"], told["files_loaded"], told["documents"], told["rejected"]) == (1, 1, 2, 0)
    assert "| evo.members | 1 |" in str(told["report"]) and "tables" not in told


def test_a_corrupt_file_is_red_and_named_and_the_others_load(evo: Evo) -> None:
    evo.put(FILE, members(1))
    evo.put(FILE.replace("a.", "b."), b"\x1f\x8b\x08\x00 no gzip")
    result = evo.run(DAY)
    assert result.success
    assert checks(result, evo.table.raw_key) == {
        "row_count": True,
        "rejects": True,
        "refused": False,
        "files_outside_partitions": True,
    }
    refused = metadata(result, evo.table.raw_key)["refused"]
    assert "2024/05/01/b.jsonl.gz: is cut off" in str(refused)
    assert evo.warehouse.scalar("SELECT count(*) FROM core.members") == 1


def test_the_sensor_asks_for_new_changed_and_late_files_and_then_for_nothing(ticks: Ticks) -> None:
    evo = ticks.evo
    assert ticks.sensor.job_name == ASSET_JOB
    evo.put(NEXT_FILE, members(1))
    assert ticks.partitions() == [NEXT_DAY]
    ticks.carry_out()
    assert ticks.partitions() == []
    evo.put(FILE, members(2))  # of a day before: late
    assert ticks.partitions() == [DAY]
    ticks.carry_out()
    evo.put(NEXT_FILE, members(1, name="Grace"))
    assert ticks.partitions() == [NEXT_DAY]
    ticks.carry_out()
    assert ticks.partitions() == []
    assert evo.warehouse.scalar("SELECT raw_data #>> '{person,name}' FROM stg.members_raw WHERE id = '1'") == "Grace"


def test_a_refused_file_is_not_asked_for_until_it_changes(ticks: Ticks) -> None:
    ticks.evo.put(FILE, b"\x1f\x8b\x08\x00 no gzip")
    assert ticks.partitions() == [DAY]
    ticks.carry_out()
    assert ticks.partitions() == []
    ticks.evo.put(FILE, members(1))
    assert ticks.partitions() == [DAY]


def test_the_same_files_are_the_same_request(ticks: Ticks) -> None:
    ticks.evo.put(FILE, members(1))
    assert {request.run_key for request in ticks.tick()} == {request.run_key for request in ticks.tick()}


def test_a_file_of_no_partition_is_a_warning(evo: Evo) -> None:
    evo.put(FILE, members(1))
    evo.put("members/2023/12/31/a.jsonl.gz", members(2))
    result = evo.run(DAY)
    assert checks(result, evo.table.raw_key)["files_outside_partitions"] is False
    assert result.success


def test_no_document_and_no_secret_is_in_what_dagster_records(evo: Evo) -> None:
    evo.put(FILE, [*members(1, name="Confidential Name"), {"person": {"name": "Confidential Reject"}}])
    assert evo.run(DAY).success
    recorded = everything_recorded(evo.instance, evo.runs)
    assert "Confidential" not in recorded
    assert evo.warehouse.dsn not in recorded
    assert evo.warehouse.scalar("SELECT count(*) FROM stg.members_rejects") == 1


def test_an_entity_that_cannot_be_listed_turns_the_tick_red(ticks: Ticks, monkeypatch: pytest.MonkeyPatch) -> None:
    assert look_for_new_files  # the evaluation function that the sensor calls
    ticks.evo.folder.rmdir()
    with pytest.raises(Exception, match="is not there"):
        ticks.tick()


def test_files_of_a_time_that_has_not_begun_wait_for_it(ticks: Ticks) -> None:
    ticks.evo.put("members/2999/01/01/a.jsonl.gz", members(1))
    assert ticks.partitions() == []


def test_the_core_table_is_asked_for_after_a_load_of_any_partition_and_once(evo: Evo) -> None:
    def asked(cursor: object = None) -> tuple[int, object]:
        result = dg.evaluate_automation_conditions(
            defs=evo.deployment.definitions,
            instance=evo.instance,
            asset_selection=dg.AssetSelection.assets(evo.table.raw_key, evo.table.core_key),
            cursor=cursor,  # type: ignore[arg-type]  # what the call before has returned
        )
        return len(result.get_requested_partitions(evo.table.core_key)), result.cursor

    number, cursor = asked()
    assert number == 0
    evo.put(FILE, members(1))
    assert evo.run(DAY, core=False).success
    number, cursor = asked(cursor)
    assert number == 1
    assert evo.run(DAY).success
    number, cursor = asked(cursor)
    assert number == 0
