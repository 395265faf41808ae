"""Columns that are not written as they are: keyed HMAC-SHA256 (hex), shortened or masked, before anything is written.

HMAC(key, value) = SHA256(key ^ opad || SHA256(key ^ ipad || value)), RFC 2104, column-wise in DuckDB: a plain SHA-256
of e-mail addresses can be reversed by trying them, a keyed one cannot.
"""

import hashlib
import hmac
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from ..model.errors import ConfigError
from ..model.table import MaskRule, TableSpec
from ..sources.arrow import apply

if TYPE_CHECKING:
    import duckdb

BLOCK_BYTES = 64
Column = Callable[[pa.Array], pa.Array]


def masker(spec: TableSpec, columns: Sequence[str]) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """A function that replaces the columns of each batch for which `columns` has a rule. NULL stays NULL.

    Raises ConfigError where the environment variable of the HMAC's key is missing or short.
    """
    rules: dict[str, Column] = {
        **{name: partial(truncated, length=length) for name, length in spec.columns.truncate},
        **{name: partial(masked, rule=rule) for name, rule in spec.columns.mask},
    }
    if any(name in columns for name in spec.columns.hash):
        rules |= dict.fromkeys(spec.columns.hash, _hmac(_key(spec)))
    rules = {name: rule for name, rule in rules.items() if name in columns}

    def mask(batch: pa.RecordBatch) -> pa.RecordBatch:
        for name, rule in rules.items():
            batch = _replaced(batch, name, rule(batch.column(name)))
        return batch

    return mask


def transform(spec: TableSpec, name: str) -> str | None:
    """The rule of a column as manifests name it; of `hash` with the fingerprint of the key, so that another one shows.

    Without the key, which only a run needs, it is `hash` alone.
    """
    if name in spec.columns.hash:
        key = os.environ.get(spec.columns.hash_key_env, "")
        return f"hash:{fingerprint(key.encode())}" if key else "hash"
    if name in (lengths := dict(spec.columns.truncate)):
        return f"truncate:{lengths[name]}"
    if rule := dict(spec.columns.mask).get(name):
        return f"mask:{rule.text}{f'+{rule.keep_last}' if rule.keep_last else ''}"
    return None


def in_words(spec: TableSpec, name: str) -> str:
    """What a column's rule writes, for people."""
    if name in spec.columns.hash:
        return f"keyed hash (key in {spec.columns.hash_key_env})"
    if name in (lengths := dict(spec.columns.truncate)):
        return f"its first {lengths[name]} characters"
    rule = dict(spec.columns.mask)[name]
    return f"masked: {rule.text!r}{f' and its last {rule.keep_last} characters' if rule.keep_last else ''}"


def fingerprint(key: bytes) -> str:
    """What tells two keys apart and says nothing else of them: 32 bits of an HMAC of a constant."""
    return hmac.new(key, b"syncer_assets: which key is this", hashlib.sha256).hexdigest()[:8]


def truncated(values: pa.Array, length: int) -> pa.Array:
    """The first `length` characters of each text."""
    return pc.call_function("utf8_slice_codeunits", [values], pc.SliceOptions(0, length))


def masked(values: pa.Array, rule: MaskRule) -> pa.Array:
    """`rule.text` in place of each text, and its end where the rule keeps it and it is not the whole text."""
    text, nothing = pa.scalar(rule.text, values.type), pa.scalar("", values.type)
    end: pa.Array | pa.Scalar = nothing
    if rule.keep_last:
        longer = apply("greater", apply("utf8_length", values), pa.scalar(rule.keep_last, pa.int32()))
        end = pc.call_function("utf8_slice_codeunits", [values], pc.SliceOptions(-rule.keep_last))
        end = apply("if_else", longer, end, nothing)
    return apply("if_else", apply("is_valid", values), apply("binary_join_element_wise", text, end, nothing), values)


def _hmac(key: bytes) -> Column:
    import duckdb  # here, since few tables have such a column

    inner, outer = pads(key)
    connection = duckdb.connect(config={"threads": 1, "autoload_known_extensions": False})
    return lambda values: hmac_column(connection, values, inner, outer)


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
    return batch.set_column(index, pa.field(name, pa.string()), values.cast(pa.string()))


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
