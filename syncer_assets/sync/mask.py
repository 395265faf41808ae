"""Columns that leave the source only as a keyed HMAC-SHA256 (hex), computed before anything is written.

HMAC(key, value) = SHA256(key ^ opad || SHA256(key ^ ipad || value)), RFC 2104, column-wise in DuckDB: a plain SHA-256
of e-mail addresses can be reversed by trying them, a keyed one cannot.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from ..model.errors import ConfigError
from ..model.table import TableSpec

if TYPE_CHECKING:
    import duckdb

BLOCK_BYTES = 64


def hasher(spec: TableSpec, columns: Sequence[str]) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """A function that replaces the columns named in `columns.hash` of each batch. NULL stays NULL.

    Raises ConfigError where the key's environment variable is missing or short.
    """
    hashed = [name for name in spec.columns.hash if name in columns]
    if not hashed:
        return lambda batch: batch
    import duckdb  # here, since few tables have such a column

    inner, outer = pads(_key(spec))
    connection = duckdb.connect(config={"threads": 1, "autoload_known_extensions": False})

    def mask(batch: pa.RecordBatch) -> pa.RecordBatch:
        for name in hashed:
            batch = _replaced(batch, name, hmac_column(connection, batch.column(name), inner, outer))
        return batch

    return mask


def pads(key: bytes) -> tuple[bytes, bytes]:
    """The inner and the outer key block of RFC 2104."""
    block = (hashlib.sha256(key).digest() if len(key) > BLOCK_BYTES else key).ljust(BLOCK_BYTES, b"\0")
    return bytes(byte ^ 0x36 for byte in block), bytes(byte ^ 0x5C for byte in block)


def hmac_column(connection: "duckdb.DuckDBPyConnection", values: pa.Array, inner: bytes, outer: bytes) -> pa.Array:
    """The HMAC of each value's text (bytes as they are), as lower-case hex."""
    if not (pa.types.is_binary(values.type) or pa.types.is_string(values.type)):
        values = values.cast(pa.string())
    plain = pa.table({"v": values.cast(pa.binary())})
    connection.register("plain", plain)
    try:
        result = connection.execute(
            "SELECT lower(sha256($outer::BLOB || unhex(sha256($inner::BLOB || v)))) AS h FROM plain",
            {"inner": inner, "outer": outer},
        ).to_arrow_table()
    finally:
        connection.unregister("plain")
    return result.column(0).combine_chunks().cast(pa.string())


def _replaced(batch: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    index = batch.schema.get_field_index(name)
    return batch.set_column(index, pa.field(name, pa.string()), values)


def _key(spec: TableSpec) -> bytes:
    variable = spec.columns.hash_key_env
    key = os.environ.get(variable, "")
    if len(key) < 16:
        raise ConfigError(
            f"`columns.hash` needs a key of at least 16 characters in the environment variable {variable}",
            table=spec.table,
            fix=f"set {variable}; keep it secret, and keep it the same so that hashes can be joined",
        )
    return key.encode()
