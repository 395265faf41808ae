"""A file is loaded once and whole: whatever fails, whoever loads beside it, and however it is packed."""

import gzip
import json
import os
import threading
from typing import Any

import psycopg
import pytest

from syncer_assets.model.errors import CommitUnknown, IdentityChanged, ObjectStoreError, SyncError
from syncer_assets.model.file_pattern import FilePattern
from syncer_assets.model.files import FileLimits, SourceFile
from syncer_assets.model.partition import PartitionScheme
from syncer_assets.sources.json_lines import open_store, read_file
from syncer_assets.sync import files as engine
from syncer_assets.warehouses.postgres.files import load as loading
from syncer_assets_tests.files.rig import Files
from syncer_assets_tests.servers import Bucket

XMINS = "SELECT id, xmin::text, _updated_at FROM stg.members_raw ORDER BY id"


def documents(*ids: int, v: int = 1) -> list[dict[str, int]]:
    return [{"id": i, "v": v} for i in ids]


def test_a_document_that_did_not_change_is_not_touched(files: Files) -> None:
    files.put("a.jsonl", documents(1, 2))
    files.load()
    before = files.database.execute(XMINS)
    files.put("b.jsonl", documents(1, 2))
    files.put("a.jsonl", documents(1, 2))
    report = files.load(full=True)
    assert (report.rows_unchanged, report.rows_inserted, report.rows_updated, report.duplicates) == (2, 0, 0, 2)
    assert [row[2] for row in files.database.execute(XMINS)] == [row[2] for row in before]


def test_the_same_files_again_change_nothing_at_all(files: Files) -> None:
    files.put("a.jsonl", documents(1, 2))
    files.load()
    before = files.database.execute(XMINS)
    assert files.load().nothing_new
    report = files.load(full=True)
    assert (report.lines, report.rows_unchanged) == (2, 2)
    assert files.database.execute(XMINS) == before


def test_a_changed_file_replaces_its_rows(files: Files) -> None:
    files.put("a.jsonl", documents(1, 2, 3))
    files.put("b.jsonl", documents(9))
    files.load()
    files.put("a.jsonl", documents(2, 3, v=5))
    report = files.load()
    assert (report.files, report.files_replaced, report.rows_deleted, report.rows_updated) == (1, 1, 1, 2)
    assert files.rows() == {"2": {"id": 2, "v": 5}, "3": {"id": 3, "v": 5}, "9": {"id": 9, "v": 1}}


@pytest.mark.parametrize("cut", [1, 12, 100, 3_000, -1])
def test_a_file_that_is_cut_off_is_refused_whole_and_leaves_the_others(files: Files, cut: int) -> None:
    content = gzip.compress(
        "".join(json.dumps({"id": i, "r": os.urandom(9).hex()}) + "\n" for i in range(500)).encode()
    )
    files.put("a.jsonl.gz", content[:cut])
    files.put("b.jsonl.gz", documents(1000))
    report = files.load()
    assert set(files.rows()) == {"1000"}
    assert list(report.refused) == ["a.jsonl.gz"]
    assert not next(check for check in report.checks if check.name == "refused").passed
    files.put("a.jsonl.gz", content)
    report = files.load()
    assert not report.refused and len(files.rows()) == 501


def test_a_file_that_is_damaged_after_much_of_it_was_staged_is_refused_whole(files: Files) -> None:
    content = gzip.compress(
        b"".join(b'{"id": %d, "r": "%s"}\n' % (i, os.urandom(5000).hex().encode()) for i in range(900))
    )
    at = len(content) - 2_000
    files.put("a.jsonl.gz", content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
    files.put("b.jsonl.gz", documents(1000))
    report = files.load()
    assert set(files.rows()) == {"1000"} and not files.rejects()
    assert "is corrupt" in report.refused["a.jsonl.gz"]
    assert report.copies > 1, "of the damaged file"


def test_a_changed_file_that_is_refused_leaves_the_rows_of_its_last_good_version(files: Files) -> None:
    files.put("a.jsonl.gz", documents(1, 2))
    files.load()
    files.put("a.jsonl.gz", gzip.compress(b'{"id": 1, "v": 2}\n')[:-4])
    report = files.load()
    assert list(report.refused) == ["a.jsonl.gz"]
    assert files.rows() == {"1": {"id": 1, "v": 1}, "2": {"id": 2, "v": 1}}
    assert not files.pending()


def test_too_many_bad_lines_refuse_the_file_before_anything_of_it_is_committed(files: Files) -> None:
    bad = b'{"id": 1}\n' * 999 + b"secret NaN\n" * 2
    files.put("a.jsonl", bad)
    files.put("b.jsonl", documents(5))
    report = files.load()
    assert set(files.rows()) == {"5"} and not files.rejects()
    reason = report.refused["a.jsonl"]
    assert "2 of 1001 lines are no documents, more than 0.1 %: line 1000 (byte 9990), line 1001" in reason
    assert "secret" not in reason
    files.change(limits=FileLimits(reject_limit=0.01))
    files.load(refused_again=True)
    assert set(files.rows()) == {"1", "5"} and len(files.rejects()) == 2


def test_a_bomb_is_refused_before_it_fills_the_memory(files: Files) -> None:
    files.put("a.jsonl.gz", gzip.compress(b" " * 100_000_000))
    report = files.load()
    assert "unpacks to more than 250 times its size" in report.refused["a.jsonl.gz"]


def test_members_that_part_in_the_middle_of_a_line_and_every_way_of_packing(files: Files) -> None:
    lines = "".join(json.dumps({"id": i, "text": "é" * 20}) + "\n" for i in range(200)).encode()
    parts = [lines[i : i + 333] for i in range(0, len(lines), 333)]
    files.put("a.jsonl.gz", b"".join(gzip.compress(part) for part in parts) + b"\0" * 512)
    report = files.load()
    assert (report.lines, len(files.rows())) == (200, 200)
    assert all(document["text"] == "é" * 20 for document in files.rows().values())


def test_zstd_arrays_single_documents_and_documents_in_a_row(files: Files) -> None:
    import pyarrow as pa

    files.put("a.ndjson.zst", pa.compress(b'{"id": 1}\n{"id": 2}\n', "zstd", asbytes=True))
    files.put("b.json", b'\xef\xbb\xbf [{"id": 3, "t": "]},{"}, {"id": 4, "n": [[]]}\n]\n')
    files.put("c.json.gz", gzip.compress(b'{"id": 5,\n "lines": [\n1]}\n'))
    files.put("d.json", b'{"id": 6}\n{"id": 7}')
    report = files.load()
    assert (report.lines, report.rejected) == (7, 0)
    assert sorted(files.rows()) == list("1234567")
    assert files.rows()["3"] == {"id": 3, "t": "]},{"}


@pytest.mark.parametrize("content", [b'[{"id": 1}, {"id": 2}', b'{"id": 1', b'[{"id": 1}}', b'{"id": 1}]'])
def test_a_json_file_that_ends_too_soon_or_too_late_is_refused(files: Files, content: bytes) -> None:
    files.put("a.json", content)
    report = files.load()
    assert list(report.refused) == ["a.json"] and not files.rows()


def test_two_loads_at_once_load_each_file_once(files: Files) -> None:
    for number in range(6):
        files.put(f"{number}.jsonl", documents(*range(number, number + 20), v=number))
    reports: list[Any] = []
    threads = [threading.Thread(target=lambda: reports.append(files.load())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reports) == 3
    assert len(files.rows()) == 25
    assert all(document["v"] == min(5, int(id)) for id, document in files.rows().items())
    assert all(
        lines == loaded + rejected + duplicates for lines, loaded, rejected, duplicates in files.ledger().values()
    )


def test_several_workers_agree_on_the_newest_file(files: Files) -> None:
    files.change(workers=4, files_per_load=1)
    for number in range(8):
        files.put(f"{number}.jsonl", documents(*range(50), v=number))
    report = files.load()
    assert report.loads == 8
    assert {document["v"] for document in files.rows().values()} == {7}


def test_a_lost_answer_to_commit_is_found_in_the_ledger(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = []

    def commit(connection: psycopg.Connection) -> None:
        real(connection)
        if not lost:
            lost.append(True)
            raise CommitUnknown("the answer is lost", phase="commit", retryable=True)

    real = loading.commit
    monkeypatch.setattr(loading, "commit", commit)
    files.put("a.jsonl", documents(1, 2))
    report = files.load()
    assert lost and (report.files, report.rows_inserted) == (1, 2)
    assert files.database.scalar("SELECT count(*) FROM _syncer.files") == 1


def test_a_killed_session_is_loaded_again_from_the_start(files: Files) -> None:
    files.put("a.jsonl", documents(*range(100)))
    killed = []

    def emit(event: str, **fields: object) -> None:
        if event == "files staged" and not killed:
            killed.append(True)
            files.database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    report = files.load(emit=emit)
    assert killed and report.rows_inserted == 100


def test_another_loads_version_of_a_file_is_not_overwritten_by_an_older_one(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load that staged a file, and was overtaken by one that loaded its next version, changes nothing."""
    files.put("a.jsonl", documents(1, v=1))
    overtaken = []

    def emit(event: str, **fields: object) -> None:
        if event == "files staged" and not overtaken:
            overtaken.append(True)
            files.put("a.jsonl", documents(1, v=2))
            files.load()

    files.load(emit=emit)
    assert files.rows() == {"1": {"id": 1, "v": 2}}
    assert not files.pending()


def test_a_raw_table_that_was_dropped_or_made_anew_stops_the_load(files: Files) -> None:
    files.put("a.jsonl", documents(1))
    files.load()
    files.database.execute("DROP TABLE stg.members_raw")
    with pytest.raises(IdentityChanged, match="was dropped"):
        files.load()
    files.database.execute("CREATE TABLE stg.members_raw (id text PRIMARY KEY)")
    with pytest.raises(SyncError, match="another one"):
        files.load()


def test_partitions_by_time_and_by_prefix(files: Files) -> None:
    files.change(
        pattern=FilePattern("{date:%Y/%m/%d}/*.jsonl"),
        partitions=PartitionScheme(by="time", every="month", start="2024-01-01"),
    )
    for day, id in (("2024/01/31", 1), ("2024/02/01", 2), ("2023/12/31", 3), ("2024/02/31", 4)):
        files.put(f"{day}/a.jsonl", documents(id))
    report = files.load(partition="2024-02-01")
    assert (set(files.rows()), report.files_outside) == ({"2"}, 2)
    files.change(pattern=FilePattern("{prefix}/**/*.jsonl"), partitions=PartitionScheme(by="prefix"))
    files.load(partition="2023")
    assert set(files.rows()) == {"2", "3"}


def test_files_in_a_bucket(files: Files, s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    import obstore

    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    obstore.put(s3.store, "bronze/members/a.jsonl.gz", gzip.compress(b'{"id": 1}\n'))
    obstore.put(s3.store, "bronze/other/a.jsonl.gz", gzip.compress(b'{"id": 2}\n'))
    files.change(pattern=FilePattern("members/*.jsonl.gz"))
    store = open_store(f"{s3.url}/bronze")
    assert engine.load_files(store, files.warehouse, files.spec).rows == 1
    assert engine.load_files(store, files.warehouse, files.spec).nothing_new
    obstore.put(s3.store, "bronze/members/a.jsonl.gz", gzip.compress(b'{"id": 3}\n'))
    engine.load_files(store, files.warehouse, files.spec)
    assert set(files.rows()) == {"3"}
    missing = open_store(f"{s3.url}-missing")
    with pytest.raises(ObjectStoreError) as raised:
        engine.load_files(missing, files.warehouse, files.spec)
    assert s3.secret_key not in str(raised.value)


def test_a_file_that_changes_between_listing_and_reading_is_refused(files: Files) -> None:
    files.put("a.jsonl", documents(1))
    (listed,) = files.store.list(files.spec.pattern)
    files.put("a.jsonl", documents(1, 2))
    with pytest.raises(SyncError, match="was changed while it was read"):
        list(read_file(files.store, listed, FileLimits()))
    gone = SourceFile("b.jsonl", 1, "e", listed.modified)
    with pytest.raises(SyncError, match="is gone"):
        list(read_file(files.store, gone, FileLimits()))


def test_a_refused_file_that_is_gone_is_red_no_longer(files: Files) -> None:
    files.put("a.jsonl.gz", b"\x1f\x8b\x08")
    assert files.load().files_refused == 1
    (files.folder / "a.jsonl.gz").unlink()
    assert files.load().files_refused == 0
