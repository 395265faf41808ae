"""The connector's Arrow tables as the lake's batches: each column in the type that the catalogue gave it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from ...model.errors import DbError

if TYPE_CHECKING:
    from snowflake.connector.cursor import SnowflakeCursor


def batches_of(cursor: "SnowflakeCursor", schema: pa.Schema, *, who: str, table: str) -> Iterator[pa.RecordBatch]:
    """The rows of an executed query as they arrive, under the names of `schema`; a column beyond it stays as it is.

    Raises DbError where fewer rows arrive than the service said that the query has.
    """
    found = 0
    for part in cursor.fetch_arrow_batches(force_microsecond_precision=True):
        for batch in part.to_batches():
            if batch.num_rows:
                found += batch.num_rows
                yield _cast(batch, schema)
    if cursor.rowcount is not None and found != cursor.rowcount:
        raise DbError(
            f"{who}: {found} rows arrived of a query that has {cursor.rowcount}",
            phase="read",
            code="short_result",
            retryable=True,
            table=table,
        )


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    arrays = [_column(array, field.type) for array, field in zip(batch.columns, schema, strict=False)]
    beyond = range(len(schema), batch.num_columns)
    fields = [*schema, *(batch.schema.field(n) for n in beyond)]
    return pa.RecordBatch.from_arrays([*arrays, *(batch.column(n) for n in beyond)], schema=pa.schema(fields))


def _column(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Whole numbers come in the narrowest type that holds a batch; times in nanoseconds, which a guard has judged."""
    if array.type == wanted:
        return array
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), wanted)
    if pa.types.is_decimal(wanted) and pa.types.is_integer(array.type):
        array = array.cast(pa.decimal128(38, 0))
    if pa.types.is_timestamp(wanted) or pa.types.is_time(wanted):
        return array.cast(wanted, safe=False)
    return array.cast(wanted)
