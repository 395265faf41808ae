"""COPY of Parquet as Redshift does it: by a manifest, by position, refused where a value does not fit its column."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import obstore
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from syncer_assets_tests.servers import Bucket

ACCEPTED: dict[str, tuple[type | str, ...]] = {
    "boolean": ("bool",),
    "smallint": ("int16",),
    "integer": ("int32",),
    "bigint": ("int64",),
    "real": ("float",),
    "double precision": ("double",),
    "date": ("date32[day]",),
    "timestamp without time zone": ("timestamp[us]", "timestamp[us, tz=UTC]"),
    "character varying": ("string", "large_string"),
    "varbyte": ("binary", "large_binary"),
}
"""Which Arrow types of a Parquet file a column takes. Spectrum's rules are not published in full: this is the list of
types that its manual names, and nothing else."""


@dataclass(eq=False)
class CopyRefused(Exception):
    """What a client is told; `column` and `file` go to SYS_LOAD_ERROR_DETAIL."""

    message: str
    sqlstate: str = "XX000"
    file: str = ""
    column: str = ""
    type: str = ""


@dataclass(frozen=True)
class Column:
    """A column of the table that is filled."""

    name: str
    type: str


def manifest(bucket: Bucket, url: str) -> list[dict[str, Any]]:
    """The entries of a manifest, with what COPY of columnar data wants of each."""
    try:
        entries = json.loads(_get(bucket, url))["entries"]
    except FileNotFoundError:
        raise CopyRefused("The specified S3 manifest does not exist") from None
    for entry in entries:
        if "content_length" not in entry.get("meta", {}):
            raise CopyRefused("COPY of Parquet by a manifest needs meta.content_length of each file")
        if not entry.get("mandatory"):
            raise CopyRefused("the double wants every file to be mandatory: without it a missing one is passed over")
    return entries


def read(bucket: Bucket, entries: Sequence[dict[str, Any]], columns: Sequence[Column]) -> pa.Table:
    """The rows of these files, with the names of the table's columns."""
    tables = [_file(bucket, entry, columns) for entry in entries]
    return pa.concat_tables(tables)


def csv(table: pa.Table) -> bytes:
    """The rows as PostgreSQL's COPY .. (FORMAT csv) takes them: NULL is nothing, an empty text is quoted."""
    arrays = [_printable(column.combine_chunks()) for column in table.columns]
    buffer = io.BytesIO()
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="all_valid")
    pyarrow.csv.write_csv(pa.table(arrays, names=[f"c{n}" for n in range(len(arrays))]), buffer, options)
    return buffer.getvalue()


def _file(bucket: Bucket, entry: dict[str, Any], columns: Sequence[Column]) -> pa.Table:
    url = entry["url"]
    try:
        body = _get(bucket, url)
    except FileNotFoundError:
        raise CopyRefused(f"S3ServiceException: the specified key does not exist, {url}", file=url) from None
    if len(body) != entry["meta"]["content_length"]:
        raise CopyRefused("Spectrum Scan Error: the file has another length than its manifest says", file=url)
    table = pq.ParquetFile(io.BytesIO(body)).read()
    if table.num_columns != len(columns):
        raise CopyRefused(
            f"Spectrum Scan Error 15007: the file has {table.num_columns} columns, the table {len(columns)}", file=url
        )
    for column, field, array in zip(columns, table.schema, table.columns, strict=True):
        _check(column, field, array, url)
    return table.rename_columns([column.name for column in columns])


def _check(column: Column, field: pa.Field, array: pa.ChunkedArray, url: str) -> None:
    base, _, size = column.type.partition("(")
    fits = str(field.type) in ACCEPTED.get(base, ())
    if base == "numeric":
        fits = pa.types.is_decimal(field.type) and f"{field.type.precision},{field.type.scale})" == size
    if not fits:
        raise CopyRefused(
            f"Spectrum Scan Error 15007: column {field.name} has an incompatible Parquet schema",
            file=url,
            column=column.name,
            type=column.type,
        )
    if base == "character varying":
        longest = pc.max(pc.binary_length(pc.cast(array, pa.binary()))).as_py() or 0  # type: ignore[attr-defined]  # made at run time
        if longest > int(size.rstrip(")")):
            raise CopyRefused(
                f"Spectrum Scan Error 15001: the length of the data column {column.name} is longer than the length"
                f" defined in the table. Table: {size.rstrip(')')}, Data: {longest}",
                file=url,
                column=column.name,
                type=column.type,
            )


def _printable(array: pa.Array) -> pa.Array:
    if pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type):
        import polars as pl

        return ("\\x" + pl.Series(array).bin.encode("hex")).to_arrow()
    if pa.types.is_timestamp(array.type):
        return array.cast(pa.timestamp("us"))
    return array


def _get(bucket: Bucket, url: str) -> bytes:
    parts = urlsplit(url)
    if parts.scheme != "s3" or parts.netloc != bucket.name:
        raise CopyRefused(f"S3ServiceException: Access Denied, {url}")
    return bytes(obstore.get(bucket.store, url.removeprefix(f"s3://{bucket.name}/")).bytes())
