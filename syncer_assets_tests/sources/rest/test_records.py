"""Records are cut out of a page byte for byte."""

import json
import random

import pytest

from syncer_assets.model.api import Endpoint
from syncer_assets.sources.rest import ApiError, Response, ids_of, read_page
from syncer_assets.sources.rest.links import next_link
from syncer_assets.sources.rest.records import Document, NoJson

EXACT = [
    '{"id": 9007199254740993}',
    '{"price": 1.10, "tiny": 1E-400, "huge": 1e400, "minus": -0.0, "zero": 0e0}',
    '{"b": 1, "a": 2, "b": 3}',
    '{"text": "caf\\u00e9 café \\ud800 \\u0000 \\" ]},{[ \\\\"}',
    '"a string"',
    "null",
    "12345678901234567890123456789012345678901234567890." + "1" * 5_000,
    "1" * 5_000,
    "[[], {}, [1, [2, [3]]]]",
    "{}",
    "true",
    '{ "spaces" :  [ 1 ,2 ] }',
    "NaN",
]


def page(body: bytes, endpoint: Endpoint, **headers: str):
    return read_page(Response("http://x", body, {"content-type": "application/json", **headers}, len(body)), endpoint)


@pytest.mark.parametrize(
    "around", ["[{}]", '{{"data": {{"items": [{}], "n": 1}}, "z": {{"items": [5]}}}}', " [ {} ] \n"]
)
def test_records_are_written_as_they_stand(around: str) -> None:
    endpoint = Endpoint("e", "/e", records="data.items" if "data" in around else None)
    found = page(around.format(" ,\n ".join(EXACT)).encode(), endpoint)
    assert found.lines.decode().split("\n")[:-1] == EXACT
    assert found.rows == len(EXACT)


def test_line_breaks_between_tokens_become_blanks_so_that_a_record_is_a_line() -> None:
    record = '{\r\n  "a": [1,\n 2],\n  "b": "x\\ny"\n}'
    (line,) = page(f"[{record}]".encode(), Endpoint("e", "/e")).lines.decode().splitlines()
    assert json.loads(line) == json.loads(record)
    assert line == record.replace("\r", " ").replace("\n", " ")


def test_random_documents_are_cut_as_json_reads_them() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    source = random.Random(seed)

    def value(depth: int) -> object:
        kind = source.randrange(8 if depth else 6)
        if kind == 6:
            return [value(depth - 1) for _ in range(source.randrange(4))]
        if kind == 7:
            return {source.choice('ab"]}\\é\u2028'): value(depth - 1) for _ in range(source.randrange(4))}
        return source.choice([None, True, 5, -1.5e300, "", 'x"\\]}', "\u2028é\U0001f600"])

    for _ in range(300):
        records = [value(4) for _ in range(source.randrange(6))]
        text = json.dumps(
            {"x": value(3), "data": {"y": value(2), "items": records}}, ensure_ascii=source.random() < 0.5
        )
        document = Document(text, ("data", "items"), [("data", "y")])
        found = document.records()
        assert found is not None
        assert [json.loads(each) for each in found[0]] == records
        assert found[0] == [json.dumps(each, ensure_ascii="\\u" in text or text.isascii()) for each in records]


@pytest.mark.parametrize(
    "text",
    ["", " ", "[", "[1", "[1,", "[1,]", "[1 2]", "[,1]", "[1]]", "[1}", '{"a"', '{"a" 1}', '{"a": [1], }', "{a: [1]}",
     "[01]", '["\n"]', "['a']", "[" * 5_000, '{"a": [1]', '{"a": [1]} {"a": [2]}', '{"a": [1], "a": []}'],
)  # fmt: skip
def test_what_is_no_json_is_refused_whole(text: str) -> None:
    with pytest.raises(NoJson):
        Document(text, ("a",) if "a" in text and text.startswith("{") else ())


def test_a_deeply_nested_record_is_refused_with_a_reason() -> None:
    with pytest.raises(ApiError, match="nested too deeply"):
        page(b"[" * 5_000 + b"]" * 5_000, Endpoint("e", "/e"))


def test_ids_of_written_records_are_those_of_the_page() -> None:
    endpoint = Endpoint("e", "/e", id="key.id")
    keys = ('{"id": 1}', '{"id": "1"}', '{"id": 1.0}', "5", "{}", "null", '{"id": [1, "x"]}')
    body = ("[" + ", ".join('{"key": ' + key + "}" for key in keys) + "]").encode()
    found = page(body, endpoint)
    assert list(found.ids) == ids_of(found.lines, endpoint)
    assert [each is None for each in found.ids] == [False, False, False, True, True, True, False]
    assert ids_of(b"", endpoint) == []


@pytest.mark.parametrize(
    ("told", "total"),
    [(b"12", 12), (b'"12"', 12), (b"-1", None), (b"1.5", None), (b"1e400", None), (b"null", None), (b"[]", None)],
)
def test_a_total_is_a_whole_number_or_none(told: bytes, total: int | None) -> None:
    assert (
        page(b'{"items": [], "total": %b}' % told, Endpoint("e", "/e", records="items", total="total")).total == total
    )


def test_a_total_may_stand_in_a_header() -> None:
    assert page(b"[]", Endpoint("e", "/e", total_header="X-Total-Count"), **{"x-total-count": "7"}).total == 7


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ('<https://a/?p=2>; rel="next"', "https://a/?p=2"),
        ('<https://a/1>; rel="prev", <https://a/3>; rel="next"', "https://a/3"),
        ("<https://a/3>;rel=next", "https://a/3"),
        ('<https://a/3,4;5>; title="a, \\"b\\"; <x>; rel=next"; rel="last next"', "https://a/3,4;5"),
        ('<https://a/3>; REL="NEXT"', "https://a/3"),
        ('<https://a/3>; rel="last"; rel="next"', None),
        ('<https://a/3>; title="rel=next"', None),
        ("<https://a/3>", None),
        ("", None),
        ("garbage; rel=next", None),
    ],
)
def test_the_link_header(header: str, found: str | None) -> None:
    assert next_link(header) == found
