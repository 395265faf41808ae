"""The parser of rows, alone: bytes as a server would send them, whole, in pieces, cut off and at random."""

import struct
from collections.abc import Sequence
from decimal import Decimal
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from syncer_assets.drivers import columns
from syncer_assets.drivers.columns import (
    BYTES,
    DATE,
    DECIMAL,
    DOUBLE,
    FLOAT,
    INTEGER,
    TEXT,
    TIMESTAMP,
    Finding,
)
from syncer_assets.drivers.native import MysqlRows as Rows
from syncer_assets.model.errors import DbError

LONGEST_PART = 0xFFFFFF
EOF = b"\xfe\x00\x00\x02\x00"
OK_AS_END = b"\xfe\x00\x00\x02\x00\x00\x00"  # where CLIENT_DEPRECATE_EOF was agreed
SOME_OF_EACH = (
    ((INTEGER, -4, -4), pa.int32(), struct.pack("<i", -7), -7),
    ((TEXT, 0, 0), pa.string(), b"\x05a\xc3\xa4bc", "aäbc"),
    ((INTEGER, 8, 8), pa.uint64(), b"\xff" * 8, 2**64 - 1),
    ((DECIMAL, 38, 2), pa.decimal128(38, 2), b"\x07-123.45", Decimal("-123.45")),
    ((DATE, 0, 0), pa.date32(), b"\x04\xe8\x07\x02\x1d", "2024-02-29"),
    ((TIMESTAMP, 0, 0), pa.timestamp("us"), b"\x0b\x0f\x27\x0c\x1f\x17\x3b\x3b\x3f\x42\x0f\x00", None),
    ((TIMESTAMP, 0, 0), pa.timestamp("us"), b"\x07\xb2\x07\x01\x01\x00\x00\x01", None),
    ((FLOAT, 0, 0), pa.float32(), struct.pack("<f", 0.5), 0.5),
    ((DOUBLE, 0, 0), pa.float64(), struct.pack("<d", -0.1), -0.1),
    ((BYTES, 0, 0), pa.binary(), b"\x02\x00\xff", b"\x00\xff"),
    ((INTEGER, 1, 1), pa.uint8(), b"\xff", 255),
)
KINDS = tuple(kind for kind, *_ in SOME_OF_EACH)
SCHEMA = pa.schema([pa.field(f"c{n}", type) for n, (_, type, *_) in enumerate(SOME_OF_EACH)])


def packets(*bodies: bytes, sequence: int = 0) -> bytes:
    """The bodies as a server frames them: those of 16 MB and more in parts."""
    framed = bytearray()
    for body in bodies:
        for start in range(0, len(body) + 1, LONGEST_PART):
            part = body[start : start + LONGEST_PART]
            framed += len(part).to_bytes(3, "little") + bytes([sequence & 0xFF]) + part
            sequence += 1
    return bytes(framed)


def row(values: Sequence[bytes | None]) -> bytes:
    bits = sum((value is None) << n + 2 for n, value in enumerate(values))
    return b"\x00" + bits.to_bytes((len(values) + 9) // 8, "little") + b"".join(value or b"" for value in values)


def rows_of(*kinds: tuple[int, int, int], most_rows: int = 100_000, most_bytes: int = 1 << 20) -> Any:
    return Rows(kinds, 0, most_rows, most_bytes)


def batch_of(rows: Any, schema: pa.Schema) -> tuple[pa.RecordBatch, columns.Findings]:
    batch, findings = columns.batch(rows, schema, "source shop", "t")
    batch.validate(full=True)
    return batch, findings


def one(kind: tuple[int, int, int], type: pa.DataType, *values: bytes | None) -> tuple[list, Finding]:
    """The values of a single column, and what was found."""
    rows = rows_of(kind)
    data = packets(*(row([value]) for value in values), EOF)
    assert rows.feed(data, 0, len(data)) == len(data) and rows.ended and rows.count == len(values)
    batch, findings = batch_of(rows, pa.schema([pa.field("c", type)]))
    return batch.column(0).to_pylist(), findings.get(0, Finding(0))


def text(value: str | bytes) -> bytes:
    data = value if isinstance(value, bytes) else value.encode()
    size = len(data)
    if size < 0xFB:
        return bytes([size]) + data
    return (b"\xfc" + struct.pack("<H", size) if size < 1 << 16 else b"\xfd" + struct.pack("<I", size)[:3]) + data


def test_values_of_every_kind_and_nulls_between_them() -> None:
    rows, whole = rows_of(*KINDS), row([wire for _, _, wire, _ in SOME_OF_EACH])
    data = packets(whole, row([None] * len(KINDS)), whole, EOF)
    assert rows.feed(data, 0, len(data)) == len(data)
    batch, findings = batch_of(rows, SCHEMA)
    assert findings == {} and batch.num_rows == 3 and rows.error is None and rows.ended
    shown = [[str(value) for value in column.cast(pa.string()).to_pylist()] if pa.types.is_temporal(column.type)
             else column.to_pylist() for column in batch.columns]  # fmt: skip
    moments = {4: "2024-02-29", 5: "9999-12-31 23:59:59.999999", 6: "1970-01-01 00:00:01.000000"}
    for number, (*_, value) in enumerate(SOME_OF_EACH):
        expected = moments.get(number, value)
        assert shown[number] == [expected, "None" if number in moments else None, expected]


@pytest.mark.parametrize("end", [EOF, OK_AS_END], ids=["eof", "ok"])
def test_pieces_of_any_size_give_the_same(end: bytes) -> None:
    random = Random(1)
    bodies = [row([None if random.random() < 0.2 else wire for _, _, wire, _ in SOME_OF_EACH]) for _ in range(300)]
    data, found = packets(*bodies, end), []
    for step in (len(data), 1, 7, 63, 64, 1000):
        rows, at = rows_of(*KINDS, most_rows=64), 0
        batches, stop = [], 0
        while not rows.ended:
            stop = min(len(data), stop + step)
            at = rows.feed(data, at, stop)
            if rows.full or rows.ended:
                assert rows.count <= 64
                batches.append(batch_of(rows, SCHEMA)[0])
        found.append(pa.Table.from_batches(batches).combine_chunks())
    assert found[0].num_rows == 300 and all(table.equals(found[0]) for table in found)


@pytest.mark.parametrize("size", [LONGEST_PART - 6, LONGEST_PART - 5, LONGEST_PART, 2 * LONGEST_PART - 6, 40_000_000])
def test_packets_of_16_mb_and_more_are_joined(size: int) -> None:
    """The body has 1 + 1 + 4 bytes more: of exactly 16 MB it is followed by an empty part."""
    value = Random(size).randbytes(1000) * (size // 1000 + 1)
    body = row([b"\xfe" + struct.pack("<Q", size) + value[:size]])
    data = packets(row([b"\x01x"]), body, row([b"\x01y"]), EOF)
    rows = rows_of((BYTES, 0, 0), most_bytes=512 << 20)
    at = rows.feed(data, 0, len(data) // 2)
    assert rows.count == 1 and rows.feed(data, at, len(data)) == len(data) and rows.ended
    assert batch_of(rows, pa.schema([("c", pa.binary())]))[0].column(0).to_pylist() == [b"x", value[:size], b"y"]


def test_a_batch_ends_where_it_has_its_rows_or_bytes() -> None:
    data = packets(*[row([b"\x0a" + b"x" * 10])] * 10, EOF)
    rows = rows_of((TEXT, 0, 0), most_rows=4)
    at = rows.feed(data, 0, len(data))
    assert rows.full and not rows.ended and rows.count == 4 and rows.feed(data, at, len(data)) == at
    rows = rows_of((TEXT, 0, 0), most_bytes=30)
    rows.feed(data, 0, len(data))
    assert rows.full and rows.count == 3


@pytest.mark.parametrize(
    ("message", "expected"),
    [(b"\xff\x25\x05#70100Query was killed", (1317, "Query was killed")), (b"\xff\x25\x05plain", (1317, "plain"))],
)
@pytest.mark.parametrize("sequence", [0, 1])
def test_an_error_is_told_after_rows_whatever_its_number_in_the_sequence_is(
    sequence: int, message: bytes, expected: tuple[int, str]
) -> None:
    """A server that shuts down counts from 0."""
    data = packets(row([b"\x01x"])) + packets(message, sequence=sequence)
    rows = rows_of((TEXT, 0, 0))
    rows.feed(data, 0, len(data))
    assert rows.ended and rows.error == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("0.00", "0"),
        ("-0.00", "0"),
        ("0.01", "0.01"),
        ("-99999999.99", "-99999999.99"),
        ("007", "7"),
        ("7", "7"),
        ("+7.5", "7.5"),
        (".5", "0.5"),
        ("1.2300", "1.23"),
        ("1.234", None),
        ("100000000.00", None),
        ("9" * 60, None),
    ],
)
def test_a_decimal_is_exact_or_out_of_range(written: str, expected: str | None) -> None:
    rows = rows_of((DECIMAL, 10, 2))
    data = packets(row([text(written)]), EOF)
    rows.feed(data, 0, len(data))
    schema = pa.schema([("price", pa.decimal128(10, 2))])
    if expected is None:
        with pytest.raises(DbError, match=r"t: source shop: .*in price") as failed:
            batch_of(rows, schema)
        assert written not in str(failed.value)
    else:
        assert batch_of(rows, schema)[0].column(0).to_pylist() == [Decimal(expected)]


@pytest.mark.parametrize(("precision", "scale"), [(38, 0), (38, 38), (38, 10), (1, 0), (1, 1)])
def test_a_decimal_has_all_its_digits(precision: int, scale: int) -> None:
    digits = ("1234567890" * 4)[:precision]
    written = digits[: precision - scale] + ("." + digits[precision - scale :] if scale else "")
    values, _ = one((DECIMAL, precision, scale), pa.decimal128(precision, scale), text(written), text("-" + written))
    assert values == [Decimal(written), Decimal("-" + written)]


@pytest.mark.parametrize(
    ("wire", "lake", "value", "fits"),
    [
        (-8, -4, -(2**31), True),
        (-8, -4, -(2**31) - 1, False),
        (-8, -4, 2**31 - 1, True),
        (-8, -4, 2**31, False),
        (-1, 8, -1, False),
        (8, -8, 2**63, False),
        (8, -8, 2**63 - 1, True),
        (-8, -8, -(2**63), True),
        (8, 8, 2**64 - 1, True),
        (2, 1, 256, False),
        (1, -8, 255, True),
        (-1, -8, -128, True),
    ],
)
def test_an_integer_of_another_width_fits_or_is_out_of_range(wire: int, lake: int, value: int, fits: bool) -> None:
    type = pa.type_for_alias(f"{'int' if lake < 0 else 'uint'}{8 * abs(lake)}")
    data = value.to_bytes(abs(wire), "little", signed=wire < 0)
    if fits:
        assert one((INTEGER, wire, lake), type, data) == ([value], Finding(0))
    else:
        with pytest.raises(DbError):
            one((INTEGER, wire, lake), type, data)


def test_every_day_of_the_calendar_and_no_other() -> None:
    """By Arrow's own calendar, and by number, since Python's has no year 0. That of MySQL has no 29 February."""
    asked = [
        (y, m, d) for y in (0, 1, 4, 100, 1600, 1900, 1970, 2000, 2024, 9999) for m in range(14) for d in range(33)
    ]
    rows = rows_of((DATE, 0, 0))
    data = packets(*(row([b"\x04" + struct.pack("<HBB", *day)]) for day in asked), EOF)
    rows.feed(data, 0, len(data))
    batch, findings = batch_of(rows, pa.schema([("c", pa.date32())]))
    for (year, month, day), found in zip(asked, batch.column(0).cast(pa.int32()).to_pylist(), strict=True):
        try:
            expected = pa.scalar(f"{year:04}-{month:02}-{day:02}").cast(pa.date32()).cast(pa.int32()).as_py()
        except pa.ArrowInvalid:
            expected = None
        assert found == (None if (year, month, day) == (0, 2, 29) else expected), (year, month, day)
    assert findings == {0: Finding.IMPOSSIBLE_DATE}


@pytest.mark.parametrize("wire", [b"\x00", b"\x04\x00\x00\x00\x00", b"\x07\xe8\x07\x00\x0f\x01\x02\x03"])
def test_a_date_that_does_not_exist_is_null_and_told(wire: bytes) -> None:
    good = b"\x04\xe8\x07\x01\x01"
    values, found = one((TIMESTAMP, 0, 0), pa.timestamp("us"), good, wire, None)
    assert (values[1:], found) == ([None, None], Finding.IMPOSSIBLE_DATE) and values[0] is not None


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["a", "ä", "漢字", "😀", "\x7f\u0080\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff"], Finding(0)),
        (["x" * 100, "", "ä" * 1000], Finding(0)),
        (["a\0b"], Finding.NUL_CHARACTER),
        (["ä\0"], Finding.NUL_CHARACTER),
        ([b"\x80"], Finding.NOT_UTF8),
        ([b"aaaaaaaaaaaaaaaa\xff"], Finding.NOT_UTF8),
        ([b"\xc0\x80"], Finding.NOT_UTF8),
        ([b"\xed\xa0\x80"], Finding.NOT_UTF8),
        ([b"\xf4\x90\x80\x80"], Finding.NOT_UTF8),
        ([b"\xe0\x9f\xbf"], Finding.NOT_UTF8),
        ([b"a\xc3", b"\xa4b"], Finding.NOT_UTF8),  # good only when joined
        ([b"a\xc3"], Finding.NOT_UTF8),
    ],
)
def test_texts_are_utf8_each_by_itself(values: list[str | bytes], found: Finding) -> None:
    rows = rows_of((TEXT, 0, 0))
    data = packets(*(row([text(value)]) for value in values), EOF)
    rows.feed(data, 0, len(data))
    if found == Finding.NOT_UTF8:
        with pytest.raises(DbError, match=r"not UTF-8.*in c"):
            columns.batch(rows, pa.schema([("c", pa.string())]), "source shop", "t")
    else:
        batch, findings = batch_of(rows, pa.schema([("c", pa.string())]))
        assert (batch.column(0).to_pylist(), findings.get(0, Finding(0))) == (values, found)


def test_bytes_may_be_anything() -> None:
    assert one((BYTES, 0, 0), pa.binary(), b"\x03\x00\xff\xc3") == ([b"\x00\xff\xc3"], Finding(0))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ((INTEGER, -4, -4), row([b"\x01\x02\x03"])),
        ((INTEGER, -4, -4), row([b"\x01\x02\x03\x04\x05"])),
        ((INTEGER, -4, -4), b"\x00"),
        ((INTEGER, -4, -4), b""),
        ((INTEGER, -4, -4), b"\x01\x00\x01\x02\x03\x04"),
        ((TEXT, 0, 0), row([b"\x05abcd"])),
        ((TEXT, 0, 0), row([b"\xfb"])),
        ((TEXT, 0, 0), row([b"\xff"])),
        ((TEXT, 0, 0), row([b"\xfc\x01"])),
        ((TEXT, 0, 0), row([b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff" + b"x" * 20])),
        ((DATE, 0, 0), row([b"\x05\xe8\x07\x01\x01\x00"])),
        ((DATE, 0, 0), row([b"\x07\xe8\x07\x01\x01\x01\x00\x00"])),
        ((DATE, 0, 0), row([b"\x04\xe8\x07"])),
        ((TIMESTAMP, 0, 0), row([b"\x07\xe8\x07\x01\x01\x18\x00\x00"])),
        ((TIMESTAMP, 0, 0), row([b"\x0b\xe8\x07\x01\x01\x00\x00\x00\x40\x42\x0f\x00"])),
        ((DECIMAL, 10, 2), row([text("1.2.3")])),
        ((DECIMAL, 10, 2), row([text("12e4")])),
        ((DECIMAL, 10, 2), row([text("-")])),
        ((DECIMAL, 10, 2), row([text("")])),
        ((DOUBLE, 0, 0), row([b"1234567"])),
        ((FLOAT, 0, 0), b"\xff\x01"),
    ],
)
def test_what_is_no_row_is_one_error(kind: tuple[int, int, int], body: bytes) -> None:
    rows, data = rows_of(kind), packets(body)
    with pytest.raises(ValueError, match="malformed packet"):
        rows.feed(data, 0, len(data))
    for call in (lambda: rows.feed(data, 0, len(data)), rows.take):
        with pytest.raises(ValueError, match="rows"):
            call()


def test_a_packet_that_is_missing_is_noticed() -> None:
    rows, body = rows_of((TEXT, 0, 0)), row([b"\x01x"])
    data = packets(body) + packets(body, sequence=2)
    with pytest.raises(ValueError, match="malformed"):
        rows.feed(data, 0, len(data))


def test_what_is_cut_off_anywhere_is_never_an_end() -> None:
    data = packets(*[row([wire for _, _, wire, _ in SOME_OF_EACH])] * 3, EOF)
    for stop in range(len(data)):
        rows = rows_of(*KINDS)
        rows.feed(data[:stop], 0, stop)
        assert not rows.ended, stop


@pytest.mark.parametrize("seed", range(8))
def test_damaged_and_random_bytes_give_rows_or_an_error_and_nothing_else(seed: int) -> None:
    """Each in a block of its own size, so that a read beyond it leaves the block."""
    random = Random(seed)
    print("seed", seed)
    good = packets(*[row([wire for _, _, wire, _ in SOME_OF_EACH])] * 4, EOF)
    for _ in range(4000):
        if random.random() < 0.5:
            data = bytearray(good)
            for _ in range(random.randint(1, 4)):
                data[random.randrange(len(data))] = random.randrange(256)
            del data[random.randrange(len(data) + 1) :]
        else:
            body = bytes([random.choice([0, 0, 0, 0xFE, 0xFF])]) + random.randbytes(random.randint(0, 90))
            data = bytearray(packets(body))
        kinds = random.sample(KINDS, len(KINDS)) if random.random() < 0.5 else KINDS
        rows = rows_of(*kinds)
        try:
            assert 0 <= rows.feed(bytes(data), 0, len(data)) <= len(data)
        except ValueError:
            continue
        if rows.count:
            schema = pa.schema([(f"c{n}", SCHEMA.types[KINDS.index(kind)]) for n, kind in enumerate(kinds)])
            try:
                batch_of(rows, schema)
            except DbError as found:
                assert "source shop" in str(found)


@pytest.mark.parametrize(
    "columns",
    [((9, 0, 0),), ((-1, 0, 0),), ((INTEGER, 3, 4),), ((INTEGER, 4, 0),), ((DECIMAL, 39, 0),), ((DECIMAL, 5, 6),)],
)
def test_columns_that_cannot_be_are_refused(columns: tuple[tuple[int, int, int], ...]) -> None:
    with pytest.raises(ValueError):
        Rows(columns, 0, 1, 1)
