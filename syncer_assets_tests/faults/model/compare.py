"""What both simulated sides answer when a table is compared: sums by bucket, and keys with the hashes of their rows."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import pyarrow as pa

from syncer_assets.model.columns import Column
from syncer_assets.model.keys import Buckets, Keys, KeySpan

Values = Mapping[str, Any]


def sums(
    rows: Iterable[Values], columns: Sequence[Column], key: Sequence[str], buckets: int, only: Sequence[int] | None
) -> dict[int, tuple[int, int]]:
    """Per key bucket: (rows, sum of row hashes)."""
    found: dict[int, tuple[int, int]] = {}
    for row in rows:
        bucket = row[key[0]] % buckets
        if only is None or bucket in only:
            count, total = found.get(bucket, (0, 0))
            found[bucket] = count + 1, total + _hash(row, columns)
    return found


def answer(
    rows: Iterable[Values],
    columns: Sequence[Column],
    key: Sequence[str],
    wanted: Buckets | Keys,
    beside: Sequence[Column],
    captured_at: Sequence[datetime] | None = None,
) -> pa.Table:
    """As `key_rows` of sources and warehouses; `captured_at` are those of all rows, in their order."""
    times = captured_at or [datetime.now(UTC)] * len(list(rows))
    found = [(row, time) for row, time in zip(rows, times, strict=True) if is_wanted(row, key[0], wanted)]
    fields: dict[str, pa.Array] = {
        **{f"k{n}": pa.array([text(row[name]) for row, _ in found], pa.string()) for n, name in enumerate(key)},
        "hash": pa.array([_hash(row, columns) for row, _ in found], pa.int64()),
        **{f"b{n}": pa.array([text(row[c.name]) for row, _ in found], pa.string()) for n, c in enumerate(beside)},
    }
    if captured_at is not None:
        fields["captured_at"] = pa.array([time for _, time in found], pa.timestamp("us", "UTC"))
    return pa.table(fields)


def is_wanted(row: Values, key: str, wanted: Buckets | Keys | KeySpan | None) -> bool:
    match wanted:
        case Buckets():
            return row[key] % wanted.number in wanted.only
        case Keys():
            return text(row[key]) in wanted.texts[0]
        case KeySpan():
            return wanted.low <= row[wanted.column] <= wanted.high
    return True


def text(value: object) -> str:
    """The canonical text."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") if isinstance(value, datetime) else str(value)


def _hash(row: Values, columns: Sequence[Column]) -> int:
    body = "\0".join(text(row[column.name]) for column in columns)
    return int.from_bytes(blake2b(body.encode(), digest_size=7).digest())
