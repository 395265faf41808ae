"""The command as a process: signals, and the demo from its beginning to its end."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from syncer_assets.demo.run import DAGSTER_YAML
from syncer_assets_tests.cli.syncer import Syncer
from syncer_assets_tests.servers import Database, free_ports, poll
from syncer_assets_tests.sync.tables import transaction

CHECKOUT = str(Path(__file__).parents[2])
READING = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'syncer_assets%'
"""


def start(arguments: list[str], folder: Path, **env: str) -> "subprocess.Popen[str]":
    """`syncer ARGUMENTS`, in a folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "syncer_assets.cli", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": CHECKOUT, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_at_once_and_the_next_one_goes_on(
    syncer: Syncer, source_db: Database, number: signal.Signals
) -> None:
    source_db.execute("CREATE TABLE orders (id bigserial PRIMARY KEY, v text); INSERT INTO orders (v) VALUES ('a')")
    syncer.declare("{table: public.orders, cursor: id, settle_seconds: 100}")
    with transaction(source_db, "INSERT INTO orders (v) VALUES ('open')"):
        process = start(["run", "--defs", str(syncer.folder / "defs")], syncer.folder, **syncer.env)
        poll(lambda: source_db.scalar(READING), deadline_seconds=60)
        time.sleep(1)
        process.send_signal(number)
        said = process.communicate(timeout=90)
    assert process.returncode == 130
    assert said[1] == "error: interrupted; what was committed stays, the next run goes on from there\n"
    syncer.declare("{table: public.orders, cursor: id, settle_seconds: 0}")
    assert syncer("run").code == 0


def test_a_killed_run_does_not_keep_its_table_from_the_next_one(
    syncer: Syncer, source_db: Database, home: str, tmp_path: Path
) -> None:
    (Path(home) / "dagster.yaml").write_text(DAGSTER_YAML)
    source_db.execute("CREATE TABLE orders (id bigserial PRIMARY KEY, v text); INSERT INTO orders (v) VALUES ('a')")
    syncer.declare("{table: public.orders, cursor: id, settle_seconds: 100}")
    kept = replace(syncer, env={**syncer.env, "DAGSTER_HOME": home})
    with transaction(source_db, "INSERT INTO orders (v) VALUES ('open')"):
        process = start(["run", "--defs", str(syncer.folder / "defs")], syncer.folder, **kept.env)
        poll(lambda: source_db.scalar(READING), deadline_seconds=60)
        time.sleep(1)
        process.kill()
        process.communicate()
    ended = kept("run", "--json", timeout=180)
    assert ended.code == 0, ended.stderr
    assert [asset["rows"] for asset in ended.result["assets"] if asset["key"] == "lake/shop/orders"] == [1]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_demo_ends_well_then_serves_its_ui_until_it_is_told_to_stop(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    elsewhere = {"SYNCER_DEFS": str(tmp_path / "somebody's own deployment")}
    process = start(["demo", "--scale", "0.01", "--json", "--port", str(port)], tmp_path, COLUMNS="120", **elsewhere)
    assert process.stdout and process.stderr
    try:
        result = json.loads(process.stdout.readline())
        assert result["ok"] is True, json.dumps(result)
        rows = {table["table"]: table["rows"] for table in result["tables"]}
        reviews = result["reviews"]
        assert reviews["held"] is True and reviews["in_core"] > 100
        assert {rows.pop("api/feedback/reviews"), rows.pop("raw/feedback/reviews")} == {reviews["told_by_api"]}
        assert rows == {
            "shop.orders": 10_000,
            "shop.order_items": 20_000,
            "shop.prealerts": 500,
            "shop.customers": 500,
            "shop.countries": 249,
        }
        assert result["ceiling"]["held"] is True
        assert all(table["equal"] for table in result["comparison"])
        said = "".join(until(process, "Dagster's UI: "))
        assert re.search(rf"http://127.0.0.1:{port}\b", said)
        assert answers(port)
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
    assert process.returncode == 0
    poll(lambda: not any(is_alive(child) for child in children), deadline_seconds=60)
    assert not (tmp_path / ".demo" / "postgres" / "data" / "postmaster.pid").exists()


def until(process: "subprocess.Popen[str]", text: str) -> list[str]:
    """The lines of stderr up to the one that holds `text`."""
    assert process.stderr
    lines = []
    while not lines or text not in lines[-1]:
        line = process.stderr.readline()
        assert line, "".join(lines)
        lines.append(line)
    return lines


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def answers(port: int) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", "/server_info")
        return connection.getresponse().status == 200
