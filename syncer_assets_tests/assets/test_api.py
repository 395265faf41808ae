"""A run reads an API's partition into files, records what it did, and nothing that is secret."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest

from syncer_assets.assets import api
from syncer_assets.assets.api import API_CHECKS, due_requests
from syncer_assets.assets.report import REPORT_KEY
from syncer_assets.components.deployment import Deployment, load_deployment
from syncer_assets.model.errors import SyncError
from syncer_assets_tests.assets.results import checks, everything_recorded, failure, materialized, metadata, run_report
from syncer_assets_tests.misbehaving_api import Answer, Asked, MisbehavingApi, Reply, orders, paged

TOKEN = "C4naryToken"
KEY = dg.AssetKey(["api", "crm", "orders"])
DAY = "2024-02-28"
YAML = """
type: syncer_assets.ApiExtract
attributes:
  source: crm
  base_url_env: TEST_CRM_URL
  bearer_env: TEST_CRM_TOKEN
  files: "{{ env('TEST_FILES') }}"
  limits: {requests_per_second: 1000, budget_seconds: 0.2}
  endpoints:
    - entity: orders
      path: /orders
      params: {day: "{start:%Y-%m-%d}"}
      records: data.items
      id: id
      total: meta.total
      pages: {by: page, param: page, size_param: per_page, size: 10}
      partitions: {start: "2024-02-28"}
      schedule: "10 * * * *"
    - {entity: countries, path: /countries, schedule: "0 5 * * *"}
"""
CONNECTIONS = """
type: syncer_assets.Connections
attributes: {lake: {url: "{{ env('TEST_LAKE') }}"}, sources: {}, warehouses: {}}
"""


def answer(asked: Asked) -> Reply:
    if asked.headers.get("authorization") != f"Bearer {TOKEN}":
        return Reply(b"{}", 401)
    if asked.path == "/countries":
        return Reply.json([{"code": "DE"}, {"code": "FR"}])
    return paged(orders(25, first=int(asked.params["day"].replace("-", ""))))(asked)


@contextmanager
def dying_instead() -> Iterator[None]:
    """In the place of `engine_errors`: the process ends when the pages so far are kept, before it can say why."""
    try:
        yield
    except SyncError:
        raise RuntimeError("the process died") from None


@dataclass
class Crm:
    """The deployment and its API. `run` is what a person does in the UI."""

    deployment: Deployment
    server: MisbehavingApi
    folder: Path
    instance: dg.DagsterInstance
    runs: list[str] = field(default_factory=list)

    def run(self, entity: str = "orders", partition: str | None = DAY, **more: object) -> dg.ExecuteInProcessResult:
        asset = self.deployment.asset(dg.AssetKey(["api", "crm", entity]))
        config = {"ops": {asset.op.name: {"config": more}}} if more else None
        result = dg.materialize(
            [asset],
            partition_key=partition if entity == "orders" else None,
            instance=self.instance,
            raise_on_error=False,
            run_config=config,
        )
        self.runs.append(result.run_id)
        return result

    def answer(self, answer: Answer) -> None:
        self.server.answer = answer


@pytest.fixture
def crm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance) -> Iterator[Crm]:
    for name, text in (("connections", CONNECTIONS), ("crm", YAML)):
        (tmp_path / "defs" / name).mkdir(parents=True)
        (tmp_path / "defs" / name / "defs.yaml").write_text(text)
    with MisbehavingApi(answer) as server:
        monkeypatch.setenv("TEST_LAKE", f"file://{tmp_path / 'lake'}")
        monkeypatch.setenv("TEST_FILES", f"file://{tmp_path / 'files'}")
        monkeypatch.setenv("TEST_CRM_URL", server.url)
        monkeypatch.setenv("TEST_CRM_TOKEN", TOKEN)
        yield Crm(load_deployment(tmp_path / "defs"), server, tmp_path, instance)


def test_records_arrive_in_files_and_every_check_passes(crm: Crm) -> None:
    result = crm.run()
    assert result.success and materialized(result) == {"api/crm/orders": DAY}
    assert checks(result, KEY) == dict.fromkeys(API_CHECKS, True)
    report = metadata(result, KEY)
    for name in ("rows", "pages", "requests", "retries", "bytes", "files", "seconds", "rows_per_second", "total"):
        assert isinstance(report[name], int | float), name
    assert (report["rows"], report["pages"], report["total"], report["duplicates"]) == (25, 3, 25, 0)
    assert report["partition_closed"] == "true" and report["dagster/partition_row_count"] == 25
    assert [path.name for path in (crm.folder / "files/crm/orders" / DAY).glob("*.gz")] == ["00000001-00000.jsonl.gz"]
    assert materialized(crm.run("countries")) == {"api/crm/countries": None}
    told = metadata(run_report(crm.deployment.definitions, crm.instance), REPORT_KEY)
    assert (told["lists"], told["list_reads"], told["records"]) == (2, 2, 27)
    assert "| api/crm/orders | 1 | 25 |" in str(told["report"])


def test_a_closed_partition_is_read_again_when_a_person_asks_and_only_then(crm: Crm) -> None:
    crm.run()
    before = len(crm.server.asked)
    assert metadata(crm.run(mode="continue"), KEY)["unchanged"] == "true" and len(crm.server.asked) == before
    assert metadata(crm.run(), KEY)["requests"] == 3
    assert metadata(crm.run(mode="full"), KEY)["requests"] == 3


def test_how_fast_it_is_asked_can_be_said_for_one_run(crm: Crm) -> None:
    crm.run(requests_per_second=2.0)
    first, _, last = crm.server.asked
    assert last.at - first.at >= 0.7  # a second between them, but for what the first one waited for its answer


def test_a_refusal_is_told_once_with_the_variable_to_look_at(crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_CRM_TOKEN", "old")
    result = crm.run()
    assert not result.success and len(crm.server.asked) == 1
    told = failure(result, "api__crm__orders")
    assert told.startswith(f"orders [{DAY}]: GET /orders was answered 401") and "TEST_CRM_TOKEN" in told
    monkeypatch.delenv("TEST_CRM_TOKEN")
    assert failure(crm.run(), "api__crm__orders").startswith("the environment variable TEST_CRM_TOKEN is not set")


def test_the_schedule_asks_for_what_is_not_closed(crm: Crm) -> None:
    crm.run()
    orders_of, countries = crm.deployment.apis
    requests = due_requests(orders_of, "tick")
    assert requests[0].partition_key == "2024-02-29" and len(requests) == 50
    assert [check.name for check in requests[0].asset_check_keys or []] == list(API_CHECKS)
    assert [request.partition_key for request in due_requests(countries, "tick")] == [None]
    names = {schedule.name for schedule in crm.deployment.definitions.schedules or []}
    assert {"api__crm__orders", "api__crm__countries"} <= names


def test_no_event_of_any_run_says_the_token(crm: Crm, capfd: pytest.CaptureFixture[str]) -> None:
    crm.run()
    for status in (302, 403):
        crm.answer(
            lambda asked, status=status: Reply(f"{asked.headers}".encode(), status, {"Location": f"http://{TOKEN}"})
        )
        assert not crm.run().success
    crm.answer(lambda asked: Reply(f"{asked.headers}".encode()))
    assert not crm.run().success
    files = [path for path in crm.folder.rglob("*") if path.is_file()]
    stored = "\n".join([*map(str, files), *(path.read_bytes().decode("latin-1") for path in files)])
    for text in (everything_recorded(crm.instance, crm.runs), "".join(capfd.readouterr()), stored):
        assert text and TOKEN not in text


@pytest.mark.parametrize("mode", ["auto", "full"])
def test_a_step_that_is_tried_again_does_what_was_asked_for_from_the_page_where_it_failed(
    mode: str, crm: Crm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closed partition that a person asked for: else the second try would find nothing to do, and be green.

    Dagster tries a step again whose process died. Of an error that the engine told it does not."""
    monkeypatch.setattr(api, "engine_errors", dying_instead)
    crm.run()
    before, refused = len(crm.server.asked), []

    def busy_once(asked: Asked) -> Reply:
        if asked.int("page", 1) == 3 and not refused:
            refused.append(asked)
            return Reply(b"", 429, {"Retry-After": "3600"})
        return answer(asked)

    crm.answer(busy_once)
    result = crm.run(mode=mode)
    assert result.success and refused
    report = metadata(result, KEY)
    assert (report["pages_resumed"], report["rows"], report["seq"]) == (2, 25, 2)
    assert [asked.int("page", 1) for asked in crm.server.asked[before:]] == [1, 2, 3, 3]
