"""`syncer run` reads the lists of APIs too."""

from pathlib import Path

import pytest

from syncer_assets_tests.cli.conftest import Call
from syncer_assets_tests.cli.syncer import Syncer
from syncer_assets_tests.misbehaving_api import Asked, MisbehavingApi, Reply, orders, paged
from syncer_assets_tests.servers import Database

YAML = """
type: syncer_assets.ApiExtract
attributes:
  source: crm
  base_url: ADDRESS
  files: file://FOLDER
  limits: {requests_per_second: 1000, budget_seconds: 0.1}
  endpoints:
    - entity: orders
      path: /orders
      params: {month: "{start:%Y-%m}"}
      records: data.items
      id: id
      total: meta.total
      pages: {by: page, param: page, size_param: per_page, size: 10}
      partitions: {every: month, start: "2026-01-01"}
    - {entity: countries, path: /countries}
"""


def answer(asked: Asked) -> Reply:
    if asked.path == "/countries":
        return Reply.json([{"code": "DE"}])
    return paged(orders(12))(asked) if asked.path == "/orders" else Reply(b"", 404)


def deploy(syncer: Syncer, server: MisbehavingApi, text: str = YAML) -> Path:
    folder = syncer.folder / "defs" / "crm"
    folder.mkdir()
    files = syncer.folder / "files"
    (folder / "defs.yaml").write_text(text.replace("ADDRESS", server.url).replace("FOLDER", str(files)))
    return files


def test_what_is_not_closed_is_read_and_the_rest_left_alone(syncer: Syncer, call: Call) -> None:
    with MisbehavingApi(answer) as server:
        files = deploy(syncer, server)
        assert call("status", "--json").result["lists"][0]["never_read"] and not files.exists()
        first = call("run", "--json")
        assert first.code == 0 and first.result["ok"], first.stderr
        found = {(asset["key"], asset["partition"]): asset for asset in first.result["assets"]}
        january = found["api/crm/orders", "2026-01-01"]
        assert (january["rows"], january["files"], january["total"]) == (12, 1, 12)
        assert [check["name"] for check in january["checks"]] == ["row_count", "complete"]
        assert found["api/crm/countries", None]["rows"] == 1
        assert len(list(files.rglob("*.jsonl.gz"))) == len(found)
        asked = len(server.asked)
        shown = {(row["list"], row["partition"]): row for row in call("status", "--json").result["lists"]}
        january = shown["api/crm/orders", "2026-01-01"]
        assert (january["rows"], january["closed"], january["complete"]) == (12, True, True)
        assert not shown["api/crm/countries", "all"]["closed"]
        assert "api/crm/orders" in call("status").stdout and len(server.asked) == asked
        again = call("run", "--json", "--select", "crm.orders")
        assert [asset["partition"] for asset in again.result["assets"]] == [max(str(part) for _, part in found if part)]
        one = call("run", "--json", "--select", "orders", "--partition", "2026-01-01")
        assert one.result["assets"][0]["requests"] == 2
        assert len(server.asked) == asked + 4


def test_a_list_that_fails_is_told_once_and_leaves_the_others(syncer: Syncer, call: Call) -> None:
    with MisbehavingApi(answer) as server:
        deploy(syncer, server, YAML.replace("path: /orders", "path: /order"))
        done = call("run", "--json")
        assert done.code == 1
        (problem,) = done.result["problems"]
        assert (problem["table"], problem["partition"], problem["kind"]) == ("api/crm/orders", "2026-01-01", "api")
        assert "GET /order was answered 404" in problem["message"] and "Fix: " in problem["message"]
        assert [asset["key"] for asset in done.result["assets"]] == ["api/crm/countries"]
        assert [asked.path for asked in server.asked].count("/order") == 1, "the other months are not tried"


LOADED = """
---
type: syncer_assets.FileLoad
attributes:
  source: crm
  url: file://FOLDER
  warehouse: analytics
  entities:
    - entity: countries
      pattern: "crm/countries/*/*.jsonl.gz"
      id: code
      core: {columns: {name: {required: true}, area: {type: "numeric"}}}
"""


def test_what_was_read_is_loaded_by_the_same_run(syncer: Syncer, call: Call, warehouse_db: Database) -> None:
    """Exactly: the API's numbers are the warehouse's, though no float holds them."""
    germany = b'{"code": "DE", "name": "Germany", "area": 357588.10}'
    france = b'{"code": "FR", "name": "France", "area": 9007199254740993}'
    body = b"[%b, %b]" % (germany, france)
    with MisbehavingApi(lambda asked: Reply(body)) as server:
        deploy(syncer, server, YAML + LOADED)
        done = call("run", "--json", "--select", "crm.countries")
        assert done.result["ok"], done.stderr
        assert [asset["key"] for asset in done.result["assets"]] == [
            f"{place}/crm/countries" for place in ("api", "raw", "core")
        ]
        assert [asset["rows"] for asset in done.result["assets"][:2]] == [2, 2]
        found = "SELECT id, name, area::text FROM core.countries ORDER BY id"
        assert warehouse_db.execute(found) == [("DE", "Germany", "357588.10"), ("FR", "France", "9007199254740993")]
        body = body.replace(b"Germany", b"Deutschland")
        call("run", "--select", "crm.countries")
        call("run", "--select", "crm.countries")
    assert [name for _, name, _ in warehouse_db.execute(found)] == ["Deutschland", "France"]
    assert len(list((syncer.folder / "files").rglob("*.jsonl.gz"))) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--select", "ordrs"], "there is no table 'ordrs'"), (["--partition", "2026-13-01"], "no table has a partition")],
)
def test_what_is_not_there_is_wrong_usage(arguments: list[str], said: str, syncer: Syncer, call: Call) -> None:
    with MisbehavingApi(answer) as server:
        deploy(syncer, server)
        done = call("run", *arguments)
    assert (done.code, len(done.errors)) == (2, 1) and said in done.errors[0]


def test_a_list_that_was_not_whole_is_told_by_the_run_and_by_status(syncer: Syncer, call: Call, home: str) -> None:
    capped = YAML.replace("id: id\n", "id: id\n      unstable: warn\n").replace("2026-01-01", "2026-09-01")

    def answer(asked: Asked) -> Reply:
        wrong = asked.params.get("month") == "2026-09"
        return Reply.json({"data": {"items": []}, "meta": {"total": 5 if wrong else 0}})

    with MisbehavingApi(answer) as server:
        deploy(syncer, server, capped)
        done = call("run", "--select", "crm.orders", DAGSTER_HOME=home)
        assert done.code == 0 and "complete: 0 records came, the API tells of 5" in done.stdout + done.stderr
        lists = call("status", "--json", "--select", "crm.orders", DAGSTER_HOME=home).result["lists"]
    assert [row["red_checks"] for row in lists][:2] == [["api:complete"], []]
