"""Gzipped JSON lines for the bench: members as an API of a gym chain gives them, about 500 bytes each."""

import base64
import gzip
import json
import random
import zlib
from pathlib import Path

SEED = 7
RANDOM_BYTES, NOTE_BYTES, BLOCK = 3_000_000, 900, 1_000


def write_members(folder: Path, files: int, documents: int, *, first: int = 0) -> int:
    """Write `documents` members into `files` files of the folder; how many bytes they have unpacked."""
    chance, total = random.Random(SEED), 0
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        ids = range(first + number * documents // files, first + (number + 1) * documents // files)
        content = "".join(json.dumps(member(i, chance), ensure_ascii=False) + "\n" for i in ids).encode()
        (folder / f"part-{first:09d}-{number:05d}.jsonl.gz").write_bytes(gzip.compress(content, 6))
        total += len(content)
    return total


def write_large(file: Path, packed_bytes: int) -> int:
    """Write documents of about a kB into one gzip of so many bytes; how many there are.

    Their notes are random text, of which packing leaves three quarters, and by its quickest way."""
    chance, documents, written = random.Random(SEED), 0, 0
    text = base64.b64encode(chance.randbytes(RANDOM_BYTES)).decode()
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS | 16, strategy=zlib.Z_HUFFMAN_ONLY)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as packed:
        while written < packed_bytes:
            places = [chance.randrange(len(text) - NOTE_BYTES) for _ in range(BLOCK)]
            content = "".join(
                f'{{"id": {documents + i}, "status": "active", "note": "{text[at : at + NOTE_BYTES]}"}}\n'
                for i, at in enumerate(places)
            )
            written += packed.write(packer.compress(content.encode()))
            documents += BLOCK
        packed.write(packer.flush())
    return documents


def member(number: int, chance: random.Random) -> dict[str, object]:
    """One of them."""
    return {
        "id": number * 7 + 1,
        "idBranch": chance.randrange(40),
        "firstName": f"name {chance.randrange(10**6)}",
        "lastName": f"last {chance.randrange(10**6)}",
        "email": f"user{number}@example.com",
        "registerDate": f"2024-{1 + number % 12:02d}-{1 + number % 28:02d}T12:34:56",
        "status": chance.choice(["active", "inactive", "blocked"]),
        "balance": round(chance.random() * 1000, 2),
        "address": {
            "street": f"street {chance.randrange(10**5)}",
            "zip": f"{chance.randrange(10**5):05d}",
            "city": chance.choice(["Berlin", "São Paulo", "Wien"]),
        },
        "contacts": [{"type": "phone", "value": f"+49{chance.randrange(10**9):09d}"}],
        "memberships": [{"id": number * 3, "name": "gold plan", "start": "2024-01-01", "end": None, "value": 99.9}],
        "note": "x" * 60,
    }
