"""`syncer report`: before a change, after it, and what a page must not tell."""

import json
import re

import pytest

from syncer_assets_tests.cli.conftest import Call
from syncer_assets_tests.cli.syncer import Syncer
from syncer_assets_tests.servers import Database

CANARY = "canary-row-value"
ROWS = f"INSERT INTO orders (note) SELECT '{CANARY}' FROM generate_series(1, {{}})"
ORDERS = "{table: public.orders, cursor: id, settle_seconds: 0, late_commit_lag: 0s, chunk: {rows: 100}}"
COUNTRIES = "{table: public.countries, load: replace}"


@pytest.fixture(autouse=True)
def shop(source_db: Database, syncer: Syncer) -> None:
    source_db.execute(
        "CREATE TABLE orders (id bigserial PRIMARY KEY, note text);"
        f"{ROWS.format(500)}; CREATE TABLE countries (code text PRIMARY KEY); INSERT INTO countries VALUES ('DE')"
    )
    syncer.declare(f"{ORDERS}\n{COUNTRIES}")


def test_before_a_change_and_after_it(syncer: Syncer, call: Call, source_db: Database) -> None:
    """500 rows in chunks of 100 take 6 queries and one of the ceiling; after the change 1,000 rows take fewer."""
    assert call("run").code == 0
    before = syncer.folder / "before.json"
    first = call("report", "--json")
    assert first.code == 0, first.stderr
    before.write_text(first.stdout)
    syncer.declare(f"{ORDERS.replace('rows: 100', 'rows: 5000')}\n{COUNTRIES}")
    source_db.execute(ROWS.format(1000))
    assert call("run").code == 0
    ended = call("report", "--json", "--baseline", str(before))
    assert ended.code == 0, ended.stderr
    orders, countries = ended.result["tables"]
    (then, _), now = first.result["tables"], orders["total"]
    assert (then["total"]["rows"], now["rows"], now["rows_loaded"]) == (500, 1000, 1000)
    expected = round(1000 / then["total"]["rows_per_query"]) - now["queries"]
    assert orders["comparison"]["queries_saved"] == expected > 5
    speed = (now["rows"] / now["seconds"]) / (then["total"]["rows"] / then["total"]["seconds"])
    assert orders["comparison"]["speed_ratio"] == pytest.approx(speed, abs=0.02)
    assert (countries["total"]["rows"], countries["comparison"]["speed_ratio"]) == (0, None)
    assert "## Against" in call("report", "--baseline", str(before)).stdout


def test_a_page_is_written_and_tells_no_value_and_no_secret(syncer: Syncer, call: Call) -> None:
    assert call("run").code == 0
    path = syncer.folder / "report.html"
    ended = call("report", "--html", str(path))
    assert ended.code == 0, ended.stderr
    page = path.read_text()
    for text in (page, ended.stdout, call("report", "--json").stdout):
        assert "shop.orders" in text
        for hidden in (CANARY, syncer.env["TEST_HASH_KEY"], syncer.env["TEST_SOURCE_DSN"]):
            assert hidden not in text
    assert page.count("<svg") >= 4
    assert not re.search(r"https?:|<script", page)
    assert "cannot be written" in call("report", "--html", "/no/such/folder/report.html").errors[0]


def test_a_single_table_and_a_time(call: Call) -> None:
    assert call("run").code == 0
    assert [table["table"] for table in call("report", "--json", "--select", "orders").result["tables"]] == [
        "shop.orders"
    ]
    assert call("report", "--json", "--since", "1h").result["total"]["rows"] == 501
    assert call("report", "--json", "--since", "2999-01-01").result["total"]["rows"] == 0
    assert call("report", "--since", "yesterday").code == 2


def test_before_the_first_run_there_is_nothing_to_tell_and_no_lake_is_made(syncer: Syncer, call: Call) -> None:
    ended = call("report", "--json")
    assert (ended.code, ended.result["total"]["rows"]) == (0, 0)
    assert not (syncer.folder / "lake").exists()


def test_a_baseline_that_is_none_and_a_warehouse_that_does_not_answer(syncer: Syncer, call: Call) -> None:
    assert call("run").code == 0
    wrong = syncer.folder / "wrong.json"
    wrong.write_text(json.dumps({"tables": []}))
    assert "is no report" in call("report", "--baseline", str(wrong)).errors[0]
    ended = call("report", "--json", TEST_WAREHOUSE_DSN="postgresql://nobody:s3cret@127.0.0.1:9/nowhere")
    assert ended.code == 1
    assert (ended.result["total"]["rows"], ended.result["total"]["loads"]) == (501, 0)
    assert len(ended.errors) == 1
    assert "s3cret" not in ended.stdout + ended.stderr
