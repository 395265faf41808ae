"""Documents come out alike wherever the parts of a file happen to end."""

import json
import random
import zlib

import pyarrow as pa
import pytest

from syncer_assets.model.errors import ConfigError
from syncer_assets.model.file_pattern import FilePattern
from syncer_assets.model.files import FileRefused
from syncer_assets.sources.json_lines.split import split_documents, split_lines
from syncer_assets.sources.json_lines.unpack import unpacked

LONGEST = 1_000_000


def parts(content: bytes, chance: random.Random) -> list[bytes]:
    """The content, cut anywhere."""
    cuts = sorted(chance.randrange(len(content) + 1) for _ in range(chance.randrange(8)))
    return [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]


def value(chance: random.Random, depth: int = 0) -> object:
    kind = chance.randrange(6 if depth < 3 else 4)
    if kind == 4:
        return [value(chance, depth + 1) for _ in range(chance.randrange(4))]
    if kind == 5:
        return {chance.choice('ab"]\\{'): value(chance, depth + 1) for _ in range(chance.randrange(4))}
    return chance.choice([None, True, -1.5, "", 'q"]},\\', "\\", "é,[", 'x\n"'])


@pytest.mark.parametrize("seed", range(60))
def test_arrays_and_rows_of_documents_are_split_as_a_parser_would(seed: int) -> None:
    chance = random.Random(seed)
    values = [value(chance) for _ in range(chance.randrange(6))]
    indent = chance.choice([None, 1])
    content = json.dumps(values, indent=indent).encode()
    pieces = list(split_documents("f", iter(parts(content, chance)), LONGEST))
    documents = [document for piece in pieces for document in piece.documents.to_pylist()]
    assert [json.loads(document) for document in documents] == values
    offsets = [offset for piece in pieces for offset in piece.offsets.to_pylist()]
    assert all(content[offset:].startswith(d) for offset, d in zip(offsets, documents, strict=True))
    objects = [each for each in values if isinstance(each, dict)]
    rows = "\n".join(json.dumps(each) for each in objects).encode()
    found = split_documents("f", iter(parts(rows, chance)), LONGEST)
    assert [json.loads(d) for piece in found for d in piece.documents.to_pylist()] == objects


@pytest.mark.parametrize("seed", range(60))
def test_lines_keep_their_numbers_and_places(seed: int) -> None:
    chance = random.Random(seed)
    lines = [chance.choice(["", "\r", '{"a": 1}', "[1]\r", "x" * 50, "é"]) for _ in range(chance.randrange(12))]
    content = ("\ufeff" * chance.randrange(2) + "\n".join(lines)).encode()
    pieces = list(split_lines("f", iter(parts(content, chance)), 40))
    found = {
        number: (offset, document)
        for piece in pieces
        for number, offset, document in zip(
            piece.lines.to_pylist(), piece.offsets.to_pylist(), piece.documents.to_pylist(), strict=True
        )
    }
    long = {reject.line: reject.byte_offset for piece in pieces for reject in piece.rejects}
    assert set(found) == {n for n, line in enumerate(lines, 1) if line not in ("", "\r") and len(line) < 50}
    assert set(long) == {n for n, line in enumerate(lines, 1) if len(line) == 50}
    for number, (offset, document) in found.items():
        assert document.decode() == lines[number - 1]
        assert content[offset:].startswith(document)
    for offset in long.values():
        assert content[offset:].startswith(b"x" * 50)


@pytest.mark.parametrize("seed", range(20))
def test_gzip_is_unpacked_whole_however_its_parts_come(seed: int) -> None:
    chance = random.Random(seed)
    content = chance.randbytes(5_000) + b"0" * chance.randrange(9_000_000)
    members = [zlib.compress(content[:4_000], wbits=31), zlib.compress(content[4_000:], wbits=31)]
    packed = b"".join(members) + b"\0" * chance.randrange(3)
    found = list(unpacked("f", iter(parts(packed, chance)), 1e9))
    assert b"".join(found) == content
    assert max(map(len, found)) <= 4 * 1024 * 1024


def damaged(kind: str) -> bytes:
    """Two members, or a frame of zstd, of text that does not pack well."""
    content = random.Random(1).randbytes(60_000).hex().encode()
    first, second = (zlib.compress(part, wbits=31) for part in (content[:50_000], content[50_000:]))
    middle = len(second) // 2
    match kind:
        case "flipped byte":
            return first[:9_000] + bytes([first[9_000] ^ 0x10]) + first[9_001:] + second
        case "second member flipped":
            return first + second[:middle] + bytes([second[middle] ^ 0x10]) + second[middle + 1 :]
        case "wrong checksum":
            return first + second[:-8] + bytes([second[-8] ^ 1]) + second[-7:]
        case "wrong length":
            return first + second[:-1] + b"\x07"
        case "second member cut":
            return first + second[:middle]
        case "something behind":
            return first + b"no member"
        case _:
            return pa.compress(content, "zstd", asbytes=True)[:40_000]


@pytest.mark.parametrize(
    "kind",
    [
        *("flipped byte", "second member flipped", "wrong checksum", "wrong length", "second member cut"),
        *("something behind", "zstd cut"),
    ],
)
def test_what_is_damaged_anywhere_is_refused_by_its_name(kind: str) -> None:
    packed = damaged(kind)
    for cuts in ([packed], parts(packed, random.Random(2))):
        with pytest.raises(FileRefused, match=r"^a\.gz is (cut off|corrupt)"):
            list(unpacked("a.gz", iter(cuts), 1e9))


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_a_bomb_is_ended_soon_after_it_is_known_for_one(codec: str) -> None:
    packed, taken = pa.compress(b" " * 200_000_000, codec, asbytes=True), 0
    with pytest.raises(FileRefused, match="unpacks to more than 250 times its size"):
        for part in unpacked("a", iter([packed]), 250):
            taken += len(part)
    assert taken < 72_000_000


@pytest.mark.parametrize(
    ("pattern", "path", "matches", "date"),
    [
        ("m/{date:%Y/%m/%d}/*.gz", "m/2024/02/29/a.gz", True, "2024-02-29"),
        ("m/{date:%Y/%m/%d}/*.gz", "m/2023/02/29/a.gz", True, None),
        ("m/{date:%Y/%m/%d}/*.gz", "m/2024/02/29/b/a.gz", False, None),
        ("m/**/x-{date:%Y%m%d%H}.gz", "m/a/b/x-2024010203.gz", True, "2024-01-02"),
        ("m/**/*.gz", "m/a.gz", True, None),
        ("m/?.gz", "m/ab.gz", False, None),
        ("m.x/*", "mcx/a", False, None),
    ],
)
def test_patterns(pattern: str, path: str, matches: bool, date: str | None) -> None:
    found = FilePattern(pattern)
    found.check()
    assert found.matches(path) is matches
    moment = found.date(path)
    assert (str(moment.date()) if moment else None) == date
    assert path.startswith(found.folder) or not matches


def test_a_pattern_that_leaves_the_folder_is_none() -> None:
    with pytest.raises(ConfigError):
        FilePattern("/etc/*").check()
