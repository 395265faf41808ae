"""`syncer plan`, `watermarks`, `doctor` and `report` on the lists of an API."""

import pytest

from syncer_assets_tests.cli.conftest import Call
from syncer_assets_tests.cli.syncer import Syncer
from syncer_assets_tests.cli.test_run_api import LOADED, YAML, answer, deploy
from syncer_assets_tests.misbehaving_api import Asked, MisbehavingApi, Reply

MONTHS = YAML.replace("2026-01-01", "2026-10-01")
SECRET = "s3cret-of-the-api"


def test_a_plan_tells_partitions_windows_and_pages_and_asks_nothing(syncer: Syncer, call: Call) -> None:
    windows = MONTHS.replace("partitions: {every: month", "window: 7d\n      partitions: {every: month")
    with MisbehavingApi(answer) as server:
        files = deploy(syncer, server, windows)
        planned = {each["list"]: each["partitions"] for each in call("plan", "--json").result["lists"]}
        october = planned["api/crm/orders"][0]
        assert (october["partition"], october["reason"], october["windows"]) == ("2026-10-01", "never read", 5)
        assert october["pages"] is None
        assert october["first"] == "GET /orders?month=2026-10&per_page=10&page=1"
        assert planned["api/crm/countries"][0]["first"] == "GET /countries"
        assert not server.asked and not files.exists()
        shown = call("plan", "--select", "countries").stdout
        assert "never read" in shown and "api/crm/orders" not in shown
        assert call("run").code == 0
        asked = len(server.asked)
        planned = {each["list"]: each["partitions"] for each in call("plan", "--json").result["lists"]}
        assert "2026-10-01" not in [part["partition"] for part in planned["api/crm/orders"]], "it is closed"
        (countries,) = planned["api/crm/countries"]
        assert (countries["reason"], countries["pages"]) == ("it never closes", 1)
        one = call("plan", "--json", "--select", "orders", "--partition", "2026-10-01").result["lists"][0]["partitions"]
        assert [(part["reason"], part["pages"]) for part in one] == [("asked for", 10)]
        assert len(server.asked) == asked


def test_a_plan_knows_the_pages_of_a_run_that_failed(syncer: Syncer, call: Call) -> None:
    with MisbehavingApi(lambda asked: Reply(b"", 400) if asked.params.get("page") == "2" else answer(asked)) as server:
        deploy(syncer, server, MONTHS)
        assert call("run", "--select", "orders").code == 1
        part = call("plan", "--json", "--select", "orders").result["lists"][0]["partitions"][0]
        assert (part["reason"], part["pages_kept"]) == ("never read", 1)


def test_watermarks_and_report_tell_what_was_read(syncer: Syncer, call: Call) -> None:
    with MisbehavingApi(answer) as server:
        deploy(syncer, server, MONTHS)
        assert "never read" in call("watermarks").stdout
        assert [each["reads"] for each in call("report", "--json").result["lists"]] == [0, 0]
        assert call("run").code == 0
        marks = {(each["list"], each["partition"]): each for each in call("watermarks", "--json").result["lists"]}
        assert marks["api/crm/orders", "2026-10-01"]["closed"] and not marks["api/crm/countries", "all"]["closed"]
        assert call("run", "--select", "countries").code == 0
        found = {each["list"]: each for each in call("report", "--json").result["lists"]}
        countries = found["api/crm/countries"]
        assert (countries["reads"], countries["records"], countries["files"]) == (2, 2, 1), "nothing changed"
        assert countries["bytes"] == next((syncer.folder / "files" / "crm" / "countries").rglob("*.gz")).stat().st_size
        assert found["api/crm/orders"]["reads"] == len([key for key in marks if key[0] == "api/crm/orders"])
        later = call("report", "--json", "--since", "2999-01-01").result["lists"]
        assert [each["reads"] for each in later] == [0, 0]


def test_the_doctor_asks_for_one_page_of_each_list_and_never_tells_a_secret(syncer: Syncer, call: Call) -> None:
    def guarded(asked: Asked) -> Reply:
        return answer(asked) if asked.headers.get("authorization") == f"Bearer {SECRET}" else Reply(b"", 401)

    with MisbehavingApi(guarded) as server:
        deploy(syncer, server, MONTHS.replace("  files:", "  bearer_env: TEST_CRM_TOKEN\n  files:") + LOADED)
        ended = call("doctor", "--json")
        assert ended.code == 1 and not server.asked
        assert "TEST_CRM_TOKEN" in [each["name"] for each in ended.result["findings"] if each["level"] == "error"]
        ended = call("doctor", "--json", TEST_CRM_TOKEN=SECRET)
        found = {each["about"]: (each["level"], each["text"]) for each in ended.result["findings"]}
        assert ended.code == 0, ended.stdout
        assert found["list crm.orders"] == ("ok", "GET /orders is answered with 10 records, of 12 in all")
        assert found["list crm.countries"][0] == "ok" and len(server.asked) == 2
        assert found[f"files of API crm in file://{syncer.folder / 'files'}"][0] == "ok"
        ended = call("doctor", "--json", TEST_CRM_TOKEN=f"wrong-{SECRET}")
        found = {each["about"]: (each["level"], each["text"]) for each in ended.result["findings"]}
        assert ended.code == 1
        assert "answered 401" in found["list crm.orders"][1] and "TEST_CRM_TOKEN" in found["list crm.orders"][1]
        assert SECRET not in ended.stdout + ended.stderr


@pytest.mark.parametrize("command", ["plan", "watermarks", "report", "status"])
def test_a_warehouse_that_does_not_answer_fails_the_command_and_leaves_the_rest(
    command: str, syncer: Syncer, call: Call
) -> None:
    with MisbehavingApi(answer) as server:
        deploy(syncer, server, MONTHS + LOADED)
        (syncer.folder / "files").mkdir()
        ended = call(command, "--json", TEST_WAREHOUSE_DSN="postgresql://nobody:s3cret@127.0.0.1:9/nowhere")
    assert ended.code == 1 and len(ended.errors) == 1
    assert len(ended.result["lists"]) == 2
    assert "s3cret" not in ended.stdout + ended.stderr
