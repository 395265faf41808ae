"""The checksum contract, in one scan: this SQL on a PostgreSQL source and warehouse, its twin in `sources/mysql`.

* key text: the canonical texts of the key columns, joined by U+001F;
* bucket: the first 8 hex digits of md5(key text) as a number, modulo the number of buckets; where the key is a single
  integer (`model.keys.whole_number`), its own absolute remainder. Their number is a prime, since ids come in steps;
* row text: for each column `=` and its canonical text, or nothing where it is NULL, joined by U+001F;
* row hash: the first 15 hex digits of md5(row text) as a number (60 bits); a bucket has its rows and their sum.

Texts are hashed as UTF-8. The canonical text of a value does not depend on the session: see `canonical`; what a type's
own output function decides (intervals, arrays, ranges) is pinned by `SETTINGS`, which `checksum` and `key_rows` set.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from ..model.columns import Column

if TYPE_CHECKING:
    import pyarrow as pa

SETTINGS: Mapping[str, str] = {
    "datestyle": "ISO, YMD",
    "timezone": "UTC",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "xmloption": "content",
    "lc_monetary": "C",
    "parallel_tuple_cost": "0",
}
"""The last one lets parallel workers compute the hashes, where the server has some to give: the planner takes what a
row costs for cheap, and what its 16 bytes on their way cost for dear."""

SEPARATOR = "\x1f"

CHECKSUM_SQL = """
SELECT bucket, count(*), sum(hash)::numeric FROM (
    SELECT {bucket} AS bucket, {hash} AS hash FROM {table} WHERE {where} OFFSET 0
) rows GROUP BY bucket
"""
"""OFFSET 0 keeps the expressions out of the grouping, for which the planner would expect a group a row and sort."""

KEY_ROWS_SQL = """
COPY (SELECT {key}, {hash}{beside} FROM {table} WHERE {where}) TO STDOUT (FORMAT csv)
"""

AS_TEXT: Mapping[str, str] = {
    "numeric": "numeric",
    "decimal": "numeric",
    "timestamp without time zone": "timestamp without time zone",
    "timestamp with time zone": "timestamp with time zone",
    "inet4": "inet address",
    "inet6": "inet address",
}
"""Source types that travel as text, but into a type whose own text is another: by the catalogue's spelling."""

STAMP = 'YYYY-MM-DD"T"HH24:MI:SS.US'
"""to_char's form of a finite time; a year before Christ gets its own mark."""

FROM_ARROW = {"binary": "bytea", "large_binary": "bytea", "float": "real", "double": "double precision"}

DOUBLE = (
    "CASE WHEN abs({0}) >= 1e15 AND abs({0}) < 151115727451828646838272"  # 2^77
    " THEN ({0} / 268435456)::text || 'p28' ELSE {0}::text END"
)
"""The shortest digits that read back as the same number. From 2^53 to 2^77 such digits may lie exactly half-way between
two numbers, where servers differ (5e+22 or 4.9999999999999996e+22), and they differ in what they write with an exponent
from 1e15: such numbers are divided by 2^28 first, which is exact."""

CANONICAL: Mapping[str, str] = {
    "timestamp with time zone": (
        "CASE WHEN isfinite({0}) THEN to_char({0} AT TIME ZONE 'UTC', '" + STAMP + "')"
        " || CASE WHEN {0} < '0001-01-01 00:00:00+00' THEN ' BC' ELSE '' END ELSE {0}::text END"
    ),
    "timestamp without time zone": (
        "CASE WHEN isfinite({0}) THEN to_char({0}, '" + STAMP + "')"
        " || CASE WHEN {0} < '0001-01-01 00:00:00' THEN ' BC' ELSE '' END ELSE {0}::text END"
    ),
    "date": (
        "CASE WHEN isfinite({0}) AND {0} < '10000-01-01' THEN to_char({0}, 'YYYY-MM-DD')"  # no later one has a to_char
        " || CASE WHEN {0} < '0001-01-01' THEN ' BC' ELSE '' END ELSE {0}::text END"
    ),
    "numeric": "trim_scale({0})::text",
    "numeric without NaN": "trim_scale(NULLIF({0}, 'NaN'))::text",
    "double precision": DOUBLE,
    "real": DOUBLE.replace("{0}", "{0}::float8"),
    "bytea": "encode({0}, 'hex')",
    "inet address": "encode(substring(inet_send({0}::inet) FROM 5), 'hex')",  # after family, bits and length
}
"""Types whose own text depends on the session, or on how a number was written. All others: `::text`."""


def canonical_type(column: Column) -> str:
    """The type by which all sides of a comparison render a manifest's column.

    A value that the warehouse keeps as text (an enum, a type of an extension) is rendered as text at the source.
    """
    if column.hidden:
        return "text"
    if column.type == "string":
        return AS_TEXT.get(base_type(column.source_type), "text") if column.portable else "text"
    if column.type.startswith("decimal"):
        return "numeric without NaN" if column.transform == "lossy" else "numeric"
    if column.type.startswith("timestamp"):
        return f"timestamp {'with' if 'tz=' in column.type else 'without'} time zone"
    if column.type.startswith("date"):
        return "date"
    return FROM_ARROW.get(column.type, "text")


def checksum_query(
    table: sql.Composable,
    columns: Sequence[tuple[str, str]],
    key: Sequence[str],
    buckets: int,
    where: sql.Composable | None = None,
    only: Sequence[int] | None = None,
    number: str | None = None,
) -> sql.Composed:
    """`bucket, rows, sum of row hashes` of a table. `columns` are (name, canonical type), the key's among them.

    `number` is the key's column where it is one integer."""
    return sql.SQL(CHECKSUM_SQL).format(**_parts(table, columns, key, buckets, where, only, number))


def key_rows_query(
    table: sql.Composable,
    columns: Sequence[tuple[str, str]],
    key: Sequence[str],
    buckets: int = 1,
    where: sql.Composable | None = None,
    only: Sequence[int] | None = None,
    number: str | None = None,
    beside: Sequence[sql.Composable] = (),
) -> sql.Composed:
    """The key's canonical texts, the row hash, and what stands `beside` it, of the rows of some buckets."""
    parts = _parts(table, columns, key, buckets, where, only, number)
    more = sql.SQL("").join(sql.SQL(", {}").format(each) for each in beside)
    return sql.SQL(KEY_ROWS_SQL).format(**parts, beside=more)


def checksum(connection: psycopg.Connection, query: sql.Composed) -> dict[int, tuple[int, int]]:
    """Run a `checksum_query`: per bucket that has rows, (rows, sum of row hashes)."""
    with canonical_session(connection):
        return {int(bucket): (int(rows), int(total)) for bucket, rows, total in connection.execute(query)}


def key_rows(connection: psycopg.Connection, query: sql.Composed, schema: "pa.Schema") -> "pa.Table":
    """Run a `key_rows_query`. NULL stays NULL, and an empty text empty."""
    import pyarrow as pa
    from pyarrow import csv

    received = pa.BufferOutputStream()
    with canonical_session(connection), connection.cursor() as cursor, cursor.copy(query) as copy:
        for data in copy:
            received.write(data)
    answer = received.getvalue()
    if not answer.size:
        return schema.empty_table()
    return csv.read_csv(
        pa.BufferReader(answer),
        read_options=csv.ReadOptions(column_names=schema.names),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=schema, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )


@contextmanager
def canonical_session(connection: psycopg.Connection) -> Iterator[None]:
    """A transaction (or savepoint) in which text output is that of `SETTINGS`, whatever the session has set."""
    with connection.transaction():
        pairs = sql.SQL(", ").join(
            sql.SQL("set_config({}, {}, true)").format(sql.Literal(name), sql.Literal(value))
            for name, value in SETTINGS.items()
        )
        connection.execute(sql.SQL("SELECT {}").format(pairs))
        yield


def canonical(name: str | sql.Composable, type_name: str) -> sql.Composed:
    """The text of a column's value; NULL where it is NULL."""
    template = CANONICAL.get(base_type(type_name), "{0}::text")
    column = sql.Identifier(name) if isinstance(name, str) else name
    return sql.SQL(template).format(column)  # type: ignore[arg-type]  # the constants above


def _parts(
    table: sql.Composable,
    columns: Sequence[tuple[str, str]],
    key: Sequence[str],
    buckets: int,
    where: sql.Composable | None,
    only: Sequence[int] | None,
    number: str | None,
) -> dict[str, sql.Composable]:
    types = dict(columns)
    keys = [canonical(name, types.get(name, "text")) for name in key]

    key_text = sql.SQL("concat_ws(chr(31), {})").format(sql.SQL(", ").join(keys))
    row_text = sql.SQL(" || chr(31) || ").join(
        sql.SQL("coalesce('=' || {}, '')").format(canonical(name, type_name)) for name, type_name in columns
    )
    bucket = sql.SQL("({} % {})").format(_number(key_text, 8, 32), sql.Literal(buckets))
    if number is not None:
        bucket = sql.SQL("abs({} % {})::bigint").format(sql.Identifier(number), sql.Literal(buckets))
    conditions = [sql.SQL("({})").format(where)] if where is not None else []
    if only is not None:
        conditions.append(sql.SQL("{} = ANY ({}::bigint[])").format(bucket, sql.Literal(list(only))))
    return {
        "table": table,
        "bucket": bucket,
        "hash": _number(row_text, 15, 60),
        "key": sql.SQL(", ").join(keys),
        "where": sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("true"),
    }


def _number(text: sql.Composable, digits: int, bits: int) -> sql.Composed:
    return sql.SQL("('x' || substr(md5(convert_to({}, 'UTF8')), 1, {}))::bit({})::bigint").format(
        text, sql.Literal(digits), sql.Literal(bits)
    )


def base_type(type_name: str) -> str:
    """The type without its modifier: `timestamp(3) with time zone` is `timestamp with time zone`."""
    if type_name.endswith("[]"):
        return type_name
    head, _, rest = type_name.partition("(")
    base = f"{head}{rest.partition(')')[2]}".removesuffix(" zerofill").removesuffix(" unsigned").strip()
    return {"timestamptz": "timestamp with time zone", "timestamp": "timestamp without time zone"}.get(base, base)
