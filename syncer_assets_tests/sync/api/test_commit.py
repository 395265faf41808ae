"""What is committed when: pages of an attempt are seen by nobody, a manifest is the one commit point, runs go on."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from syncer_assets.model.api import Paging
from syncer_assets.model.errors import AssertionFailed, LakeCorrupt, LostRace, SyncError
from syncer_assets.model.partition import PartitionScheme
from syncer_assets.sync.api import extract, files, streams
from syncer_assets.sync.api.attempt import open_attempt
from syncer_assets.sync.api.extract import due_partitions
from syncer_assets.sync.api.streams import open_streams
from syncer_assets_tests.misbehaving_api import Asked, MisbehavingApi, Reply, orders, paged
from syncer_assets_tests.servers import poll
from syncer_assets_tests.sync.api.rig import PAGED, Rig

GOOD = paged(orders(95))
CURSOR = replace(PAGED, records="items", total=None, paging=Paging("cursor", "after", next="next"))


@pytest.fixture(autouse=True)
def a_step_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "STEP_SECONDS", 0.0)


def failing_at(page: int):
    return lambda asked: Reply(b"", 403) if asked.int("page", 1) == page else GOOD(asked)


def pages_asked(server: MisbehavingApi) -> list[int]:
    return [asked.int("page", 1) for asked in server.asked]


def test_a_failed_read_shows_nothing_and_the_next_goes_on_at_its_page(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    with MisbehavingApi(failing_at(6)) as server, pytest.raises(SyncError):
        rig.read(server)
    assert rig.files() == [] and rig.manifest() is None
    with MisbehavingApi(GOOD) as server:
        report = rig.read(server)
        assert pages_asked(server) == [6, 7, 8, 9, 10]
    assert (report.pages, report.pages_resumed, report.requests) == (10, 5, 5)
    assert rig.ids() == list(range(1, 96)) and report.duplicates == 0 and rig.left() == []


def test_what_came_before_the_error_is_kept_though_no_step_was_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "STEP_SECONDS", 3600.0)
    rig = Rig(tmp_path)
    with MisbehavingApi(failing_at(6)) as server, pytest.raises(SyncError):
        rig.read(server)
    with MisbehavingApi(GOOD) as server:
        rig.read(server)
        assert pages_asked(server) == [6, 7, 8, 9, 10]


def test_full_and_another_endpoint_and_an_old_attempt_begin_afresh(tmp_path: Path) -> None:
    for name, change, mode in (
        ("full", {}, "full"),
        ("other", {"params": (("state", "open"),)}, "auto"),
        ("old", {"resume_within": timedelta()}, "auto"),
    ):
        rig = Rig(tmp_path / name)
        with MisbehavingApi(failing_at(6)) as server, pytest.raises(SyncError):
            rig.read(server)
        with MisbehavingApi(GOOD) as server:
            report = replace(rig, endpoint=replace(PAGED, **change)).read(server, mode=mode)
            assert pages_asked(server)[0] == 1, name
        assert report.pages_resumed == 0 and rig.ids() == list(range(1, 96)) and rig.left() == []


@pytest.mark.parametrize("status", extract.EXPIRED)
def test_a_cursor_that_the_server_forgot_begins_afresh(status: int, tmp_path: Path) -> None:
    """Cursors of one session: `s1-20`."""
    session = {"name": "s1", "fails": True}

    def answer(asked: Asked) -> Reply:
        name, _, start = asked.params.get("after", f"{session['name']}-0").partition("-")
        if name != session["name"]:
            return Reply(b"", status)
        if start == "20" and session["fails"]:
            return Reply(b"", 403)
        end = int(start) + 10
        return Reply.json({"items": orders(10, int(start) + 1), "next": f"{name}-{end}" if end < 50 else None})

    rig = Rig(tmp_path, CURSOR)
    with MisbehavingApi(answer) as server:
        with pytest.raises(SyncError):
            rig.read(server)
        session |= {"name": "s2", "fails": False}
        report = rig.read(server)
    assert rig.ids() == list(range(1, 51)) and report.pages_resumed == 0
    assert "cursor of an earlier run expired" in [event for event, _ in rig.events]


def test_a_second_read_of_the_same_keeps_the_files_and_one_of_other_records_adds_some(tmp_path: Path) -> None:
    rows, rig = orders(20), Rig(tmp_path)
    with MisbehavingApi(paged(rows)) as server:
        rig.read(server)
        before = {name: (tmp_path / name).stat().st_mtime_ns for name in rig.files()}
        again = rig.read(server)
        assert again.unchanged and again.seq == 2
        assert {name: (tmp_path / name).stat().st_mtime_ns for name in rig.files()} == before
        rows[3] = {"id": 4, "name": "changed"}
        changed = rig.read(server)
    assert not changed.unchanged and changed.seq == 3
    assert [name.rsplit("/", 1)[1] for name in rig.files()] == ["00000001-00000.jsonl.gz", "00000003-00000.jsonl.gz"]
    assert rig.lines()[3] == '{"id": 4, "name": "changed"}'


def test_files_are_of_the_size_that_was_asked_for_and_whole(tmp_path: Path) -> None:
    rig = Rig(tmp_path, replace(PAGED, target_mb=0.0005))
    with MisbehavingApi(GOOD) as server:
        report = rig.read(server)
    manifest = rig.manifest()
    assert manifest is not None and 1 < report.files < 10
    assert sum(file.rows for file in manifest.files) == 95 and rig.ids() == list(range(1, 96))
    for file in manifest.files:
        body = (tmp_path / file.path).read_bytes()
        assert len(body) == file.bytes
        assert __import__("hashlib").sha256(body).hexdigest() == file.sha256


def test_a_run_killed_after_the_manifest_is_made_good_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path, replace(PAGED, target_mb=0.0005))
    with MisbehavingApi(GOOD) as server:
        with monkeypatch.context() as patch:
            patch.setattr(extract, "publish", _killed)
            with pytest.raises(KeyboardInterrupt):
                rig.read(server)
        assert rig.manifest() is not None and rig.files() == []
        rig.read(server)
    assert rig.ids() == list(range(1, 96))
    assert rig.events[-1][0] == "pages committed"
    assert "files named that a killed run had committed" in [event for event, _ in rig.events]


@pytest.mark.parametrize("step", ["paths", "copy"])
def test_two_runs_may_name_the_files_of_one_manifest(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second has named them, and removed the attempt, when the first has listed what is there."""
    rig = Rig(tmp_path)
    with MisbehavingApi(GOOD) as server:
        with monkeypatch.context() as patch:
            patch.setattr(extract, "publish", _killed)
            with pytest.raises(KeyboardInterrupt):
                rig.read(server)
        lake, manifest = rig.lake, rig.manifest()
        assert manifest is not None
        original, others = getattr(lake, step), []

        def overtaken(*args: str) -> object:
            found = original(*args) if step == "paths" else None
            if not others:
                others.append(rig.read(server))
            return found if step == "paths" else original(*args)

        monkeypatch.setattr(lake, step, overtaken)
        files.publish(lake, rig.place(), manifest)
    assert others and rig.ids() == list(range(1, 96)) and rig.left() == []


@pytest.mark.parametrize("killed", ["publish", "remove_attempts"])
def test_a_closed_partition_that_a_killed_run_left_half_done_is_due(
    killed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody asks for it again otherwise, and its records would be seen by no reader."""
    rig = Rig(tmp_path, DAILY)
    with MisbehavingApi(GOOD) as server:
        with monkeypatch.context() as patch:
            patch.setattr(extract, killed, _killed)
            with pytest.raises(KeyboardInterrupt):
                rig.read(server, "2024-02-27")
        assert due_partitions(rig.lake, "crm", DAILY)[0] == "2024-02-27"
        asked = len(server.asked)
        assert rig.read(server, "2024-02-27", mode="continue").unchanged
        assert len(server.asked) == asked and rig.left() == []
    assert rig.ids("2024-02-27") == list(range(1, 96))
    assert due_partitions(rig.lake, "crm", DAILY)[0] == "2024-02-28"


def _killed(*_: object, **__: object) -> int:
    raise KeyboardInterrupt


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    with MisbehavingApi(GOOD) as server:
        rig.read(server)
        (tmp_path / rig.files()[0]).unlink()
        with pytest.raises(LakeCorrupt, match=r"orders \[all\]: object .* is missing.* `mode: full`"):
            rig.read(server)
        assert rig.read(server, mode="full").seq == 2
    assert rig.ids() == list(range(1, 96)), "what the message says helps, though the records are the same"


def test_two_runs_of_a_partition_commit_one_manifest_each_number(tmp_path: Path) -> None:
    """The second commits while the first reads page 6."""
    rig = Rig(tmp_path)
    with MisbehavingApi(GOOD) as calm:

        def meanwhile(asked: Asked) -> Reply:
            if asked.int("page", 1) == 6:
                Rig(tmp_path).read(calm, mode="full")
            return GOOD(asked)

        with MisbehavingApi(meanwhile) as server, pytest.raises(LostRace):
            rig.read(server)
    manifest = rig.manifest()
    assert manifest is not None and manifest.seq == 1
    assert rig.ids() == list(range(1, 96)) and rig.left() == []


def test_two_runs_that_go_on_with_one_attempt_do_not_mix(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    with MisbehavingApi(failing_at(3)) as server, pytest.raises(SyncError):
        rig.read(server)
    attempt = open_attempt(rig.lake, rig.place(), 1, PAGED, afresh=False)
    assert attempt.resumed
    (step, *_), _ = zip(*[attempt.step(path) for path in attempt.step_paths()], strict=True)
    with pytest.raises(LostRace):
        attempt.write(step, b"")


def test_a_step_that_lost_records_stops_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from syncer_assets.sync.api import attempt

    write = attempt.Attempt.write
    monkeypatch.setattr(
        attempt.Attempt, "write", lambda self, step, lines: write(self, step, lines.partition(b"\n")[2])
    )
    rig = Rig(tmp_path)
    with MisbehavingApi(GOOD) as server, pytest.raises(AssertionFailed, match="has 9 records, 10 were received"):
        rig.read(server)
    assert rig.manifest() is None


def test_a_span_that_was_left_out_stops_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = files.pack
    monkeypatch.setattr(extract, "pack", lambda *args: replace(pack(*args), rows=94))
    rig = Rig(tmp_path)
    with MisbehavingApi(GOOD) as server, pytest.raises(AssertionFailed, match="94 records were written, 95 received"):
        rig.read(server)
    assert rig.manifest() is None and rig.files() == []


DAILY = replace(
    PAGED,
    params=(("from", "{start:%Y-%m-%d}"), ("to", "{end}"), ("epoch", "{start:epoch}")),
    path="/days/{start:%Y-%m-%d}/orders",
    partitions=PartitionScheme(by="time", every="day", start="2024-02-27"),
)


def test_a_partition_is_asked_for_by_its_times(tmp_path: Path) -> None:
    rig = Rig(tmp_path, DAILY)
    with MisbehavingApi(paged(orders(5))) as server:
        for key in ("2024-02-27", "2024-02-29"):
            rig.read(server, key)
        first, *_, last = server.asked
    assert (first.path, first.params["from"], first.params["to"]) == (
        "/days/2024-02-27/orders",
        "2024-02-27",
        "2024-02-28T00:00:00Z",
    )
    assert (last.params["from"], last.params["to"], last.params["epoch"]) == (
        "2024-02-29",
        "2024-03-01T00:00:00Z",
        "1709164800",
    )
    assert sorted({name.split("/")[2] for name in rig.files()}) == ["2024-02-27", "2024-02-29"]


@pytest.mark.parametrize("concurrency", [1, 5])
def test_windows_of_a_partition_are_read_each_to_its_end_and_in_order(concurrency: int, tmp_path: Path) -> None:
    """A record each minute; five hours a window, so the last one is shorter."""
    minutes = [
        {"id": number, "at": f"2024-02-28T{number // 60:02d}:{number % 60:02d}:00Z"} for number in range(24 * 60)
    ]

    def answer(asked: Asked) -> Reply:
        found = [row for row in minutes if asked.params["from"] <= row["at"] < asked.params["to"]]
        return paged(found)(asked)

    endpoint = replace(DAILY, params=(("from", "{start}"), ("to", "{end}")), window=timedelta(hours=5))
    endpoint = replace(endpoint, paging=replace(endpoint.paging, size=100))
    assert [stream.span and stream.span.end.hour for stream in open_streams(endpoint, "2024-02-28")] == [
        5,
        10,
        15,
        20,
        0,
    ]
    rig = Rig(tmp_path, endpoint).with_limits(concurrency=concurrency)
    with MisbehavingApi(answer) as server:
        report = rig.read(server, "2024-02-28")
    assert rig.ids("2024-02-28") == list(range(24 * 60))
    assert (report.total, report.checks[1].passed) == (1440, True)


def test_what_is_closed_is_read_again_only_if_a_person_asks(tmp_path: Path) -> None:
    rig = Rig(tmp_path, DAILY)
    assert due_partitions(rig.lake, "crm", DAILY)[:2] == ["2024-02-27", "2024-02-28"]
    with MisbehavingApi(paged(orders(5))) as server:
        assert rig.read(server, "2024-02-27").closed
        assert due_partitions(rig.lake, "crm", DAILY)[0] == "2024-02-28"
        asked = len(server.asked)
        assert rig.read(server, "2024-02-27").rows == 5
        assert rig.read(server, "2024-02-27", mode="continue", asked_by_person=True).unchanged
        assert len(server.asked) == asked
        rig.read(server, "2024-02-27", asked_by_person=True)
        assert len(server.asked) > asked
    late = replace(DAILY, late=timedelta(days=100_000))
    assert due_partitions(rig.lake, "crm", late)[0] == "2024-02-27"


KILLED = """
import sys
from pathlib import Path
from syncer_assets.sync.api import streams
from syncer_assets_tests.sync.api.rig import Rig
streams.STEP_SECONDS = 0.0
class Server: url = sys.argv[2]
Rig(Path(sys.argv[1])).read(Server())
"""


def test_a_killed_run_is_gone_on_with(tmp_path: Path) -> None:
    """SIGKILL while page 8 is being answered."""
    import threading

    reached, never = threading.Event(), threading.Event()

    def answer(asked: Asked) -> Reply:
        if asked.int("page", 1) == 8 and not reached.is_set():
            reached.set()
            never.wait(20)
        return GOOD(asked)

    rig = Rig(tmp_path)
    with MisbehavingApi(answer) as server:
        checkout = str(Path(__file__).parents[3])
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path), server.url], env={**os.environ, "PYTHONPATH": checkout}
        )
        poll(reached.is_set, 60)
        process.send_signal(signal.SIGKILL)
        process.wait()
        never.set()
        assert rig.files() == [] and rig.manifest() is None
        before = len(server.asked)
        report = rig.read(server)
        assert pages_asked(server)[before:] == [8, 9, 10]
    assert rig.ids() == list(range(1, 96)) and report.pages_resumed == 7


def test_a_manifest_names_what_a_reader_needs(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    with MisbehavingApi(GOOD) as server:
        rig.read(server)
    body = json.loads((tmp_path / "crm/orders/all/_manifests/00000001.json").read_bytes())
    assert (body["version"], body["seq"], body["rows"], body["pages"], body["total"], body["duplicates"]) == (
        1,
        1,
        95,
        10,
        95,
        0,
    )
    assert [file["path"] for file in body["files"]] == rig.files()
