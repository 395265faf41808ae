"""Whatever the values are, every row is read exactly once. 200 seeded distributions; a failure names its seed."""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from syncer_assets.model.table import ChunkSettings, FileSettings
from syncer_assets_tests.sync.tables import Rig, place_of, rows_of, spec_of

TABLE = 'CREATE TABLE orders (id bigint PRIMARY KEY, code text COLLATE "C", updated_at timestamptz NOT NULL)'
EACH = 40
HIGHEST = 2**63 - 1

IDS: dict[str, Callable[[Random, int], set[int]]] = {
    "dense": lambda random, n: set(range(1, n + 1)),
    "sparse": lambda random, n: {random.randint(1, 10**12) for _ in range(n)},
    "clustered": lambda random, n: {
        base + random.randint(0, 30) for base in (10, 10**6, 10**15) for _ in range(n // 3)
    },
    "one island": lambda random, n: {10**17 + i for i in range(n)},
    "about zero, and at both ends": lambda random, n: {
        *(random.randint(-n, n) for _ in range(n)),
        *(-(2**63), -(2**63) + 1, 0, HIGHEST - 1, HIGHEST),
    },
}


@pytest.mark.parametrize("kind", IDS)
def test_every_row_is_read_once(rig: Rig, kind: str) -> None:
    rig.database.execute(TABLE)
    with rig.database.connect() as connection:
        for number in range(EACH):
            seed = f"{kind}-{number}"
            random = Random(seed)
            ids = sorted(IDS[kind](random, random.randint(1, 60)))
            stamps = random.choice([1, 3, 1000])
            connection.execute("TRUNCATE orders")
            with connection.cursor().copy("COPY orders FROM STDIN") as copy:
                for id_ in ids:
                    copy.write_row(
                        (id_, f"{random.choice('ab')}{id_}", f"2024-01-01 00:00:{random.randint(0, stamps) % 60}Z")
                    )
            cursor = random.choice([["id"], ["id"], ["updated_at"], ["updated_at", "id"], ["code"]])
            spec = replace(
                spec_of(cursor=cursor, load=random.choice(["upsert", "append"])),
                source=f"shop-{number}",
                chunk=ChunkSettings(rows=random.choice([1, 2, 5, 13, 100])),
                files=FileSettings(max_rows=random.choice([None, 1, 7])),
            )
            report = rig.sync(spec)
            assert read(rig, spec) == ids, (seed, spec)
            assert report.rows == len(ids), seed


def read(rig: Rig, spec: Any) -> list[int]:
    """Every row of every file, also one that is there twice."""
    rows = [
        row for manifest in rig.manifests(spec) for file in manifest.files for row in rows_of(rig.lake, file, ["id"])
    ]
    assert {file.path.startswith(place_of(spec).folder) for m in rig.manifests(spec) for file in m.files} == {True}
    return sorted(id_ for (id_,) in rows)
