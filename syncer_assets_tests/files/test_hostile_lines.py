"""What stands in files that nobody meant to write: each thing has a stated treatment, and costs no other line."""

import gzip
import json
from decimal import Decimal
from typing import Any

import pytest

from syncer_assets.model.files import DocumentId, FileLimits
from syncer_assets_tests.files.rig import Files

GOOD = b'{"id": "good", "v": 1}\n'


def line(id: str, value: bytes) -> bytes:
    return b'{"id": "%s", "v": %s}\n' % (id.encode(), value)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (b"9007199254740993", 9007199254740993),
        (b"123456789012345678901234567890", 123456789012345678901234567890),
        (b"1e400", 10**400),
        (b"1.10", Decimal("1.10")),
        (b'"a\\tb\\\\c\\"d"', 'a\tb\\c"d'),
        (b'"\\u00e9\\ud83d\\ude00"', "é😀"),
        ('"Grüße 😀"'.encode(), "Grüße 😀"),
        (b"[" * 1000 + b"]" * 1000, None),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"\t1 ", 1),
    ],
)
def test_a_document_is_kept_as_it_was(files: Files, value: bytes, kept: Any) -> None:
    files.put("a.jsonl", line("1", value) + GOOD)
    report = files.load()
    assert (report.rows, report.rejected) == (2, 0)
    same = files.database.scalar(
        "SELECT raw_data = %s::jsonb FROM stg.members_raw WHERE id = '1'", [line("1", value).decode()]
    )
    assert same is True
    text = files.database.scalar("SELECT (raw_data -> 'v')::text FROM stg.members_raw WHERE id = '1'")
    if kept is not None:
        assert json.loads(text, parse_float=Decimal) == kept


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (line("1", b"NaN"), "invalid input syntax for type json"),
        (line("1", b"-Infinity"), "invalid input syntax for type json"),
        (line("1", b'"\\u0000"'), "unsupported Unicode escape sequence"),
        (line("1", b'"\\ud800"'), "Unicode"),
        (line("1", b'"\xff\xfe"'), "invalid UTF-8"),
        (line("1", b'"\0"'), "a zero byte"),
        (line("1", b'"a\tb"'), "invalid input syntax for type json"),
        (line("1", b"1e200000"), "overflows numeric format"),
        (line("1", b"[" * 500_000 + b"]" * 500_000), "StatementTooComplex (54001)"),
        (b'{"id": "1", "v": \n', "invalid input syntax for type json"),
        (b"   \n", "invalid input syntax for type json"),
        (b'{"v": 1}\n', "no text at the id's path id"),
        (b'{"id": null}\n', "no text at the id's path id"),
        (b'{"id": "%s"}\n' % (b"x" * 2000), "no text at the id's path id"),
        (b"42\n", "no text at the id's path id"),
    ],
)
def test_a_line_that_is_no_document_is_rejected_with_its_place_and_reason(
    files: Files, bad: bytes, reason: str
) -> None:
    files.change(limits=FileLimits(reject_limit=0.5))
    files.put("a.jsonl", GOOD + bad + GOOD.replace(b"good", b"other"))
    report = files.load()
    assert set(files.rows()) == {"good", "other"}
    assert (report.lines, report.rows, report.rejected) == (3, 2, 1)
    ((path, number, said, offset, raw),) = files.database.execute(
        "SELECT file, line_number, reason, byte_offset, raw FROM stg.members_rejects"
    )
    assert (path, number, offset) == ("a.jsonl", 2, len(GOOD))
    assert reason in said
    kept = bytes(raw)
    assert bad.rstrip(b"\n").startswith(kept) or json.loads(kept) == json.loads(bad)


def test_many_bad_lines_among_good_ones_cost_only_themselves(files: Files) -> None:
    """Of every kind at once, the kind that ends a statement included."""
    files.change(limits=FileLimits(reject_limit=0.5))
    kinds = [b"NaN", b'"\\u0000"', b'"\xff"', b'"\0"', b"[" * 200_000]
    content = b"".join(line(f"{n}", kinds[n % 10] if n % 10 < 5 and n % 7 == 0 else b"1") for n in range(3_000))
    files.put("a.jsonl", content)
    report = files.load()
    bad = sum(n % 10 < 5 and n % 7 == 0 for n in range(3_000))
    assert (report.rejected, report.rows) == (bad, 3_000 - bad)
    assert {number for _, number, _ in files.rejects()} == {n + 1 for n in range(3_000) if n % 10 < 5 and n % 7 == 0}


def test_byte_order_mark_crlf_and_empty_lines_are_no_documents(files: Files) -> None:
    files.put("a.jsonl", b'\xef\xbb\xbf{"id": 1}\r\n\r\n\n{"id": 2}\r\n{"id": 3}')
    report = files.load()
    assert (report.lines, report.rejected) == (3, 0)
    assert files.rows() == {"1": {"id": 1}, "2": {"id": 2}, "3": {"id": 3}}


def test_a_line_of_20_mb_is_loaded_and_one_above_the_limit_is_rejected(files: Files) -> None:
    files.change(limits=FileLimits(max_document_mb=21, reject_limit=0.5))
    files.put("a.jsonl", line("20", b'"%s"' % (b"x" * 20_000_000)) + line("22", b'"%s"' % (b"x" * 22_000_000)) + GOOD)
    files.load()
    assert set(files.rows()) == {"20", "good"}
    assert files.rejects() == [("a.jsonl", 2, "longer than max_document_mb (21 MB)")]


def test_empty_files_have_no_lines_whatever_their_name(files: Files) -> None:
    for name in ("a.jsonl", "b.jsonl.gz", "c.json"):
        files.put(name, b"")
    files.put("d.jsonl", b"\n\r\n")
    files.put("e.jsonl.gz", gzip.compress(b""))
    files.put("f.json", b" [ ] ")
    report = files.load()
    assert (report.files, report.lines, report.refused) == (6, 0, {})
    assert not files.pending()


@pytest.mark.parametrize("kind", ["bigint", "uuid"])
def test_an_id_of_another_type_is_rejected(files: Files, kind: Any) -> None:
    files.change(id=DocumentId(("id",), kind), limits=FileLimits(reject_limit=0.9))
    good = {"bigint": 9223372036854775807, "uuid": "0190163d-8694-739b-aea5-966c26f8ad91"}[kind]
    files.put("a.jsonl", [{"id": good}, {"id": "12x"}, {"id": 9223372036854775808}, {"id": 1.5}])
    files.load()
    assert [str(id) for id in files.rows()] == [str(good)]
    assert {reason for _, _, reason in files.rejects()} == {f"no {kind} at the id's path id"}


def test_without_a_path_each_line_is_a_row_of_its_own(files: Files) -> None:
    files.change(id=DocumentId())
    files.put("a.jsonl", [{"v": 1}, {"v": 1}])
    files.put("b.jsonl", [{"v": 1}])
    files.load()
    assert len(files.rows()) == 3
    files.put("a.jsonl", [{"v": 2}])
    report = files.load()
    assert (len(files.rows()), report.rows_updated, report.rows_deleted) == (2, 1, 1)
