"""Staging: the documents of some files in one temporary table, each parsed once, by the server itself.

Pieces are copied straight into a jsonb column. Only a piece that the server refuses is looked at line by line: as text,
by `pg_input_is_valid`; and where even that ends in an error (nested too deep), by halves.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pgpq
import psycopg
import pyarrow as pa
from pgpq.encoders import StringEncoderBuilder
from pgpq.schema import Jsonb
from psycopg import sql

from ....model.documents import Piece, Refusal, Reject
from ....model.errors import AssertionFailed
from ....model.files import FileSpec
from ...files import FilePlan
from .tables import id_type

COPY_BYTES = 4 * 1024 * 1024
KEPT_BYTES = 64 * 1024
"""Of a rejected line."""
EMIT_SECONDS = 5.0
LONGEST_ID = 1000
"""Bytes; an index of PostgreSQL takes 2,704."""

STAGE_SQL = """
CREATE TEMP TABLE _syncer_documents (
    document    jsonb,
    source_file text COLLATE "C" NOT NULL,
    line        bigint NOT NULL,
    byte_offset bigint NOT NULL,
    id          {id_type} GENERATED ALWAYS AS ({id}) STORED
);
CREATE TEMP TABLE _syncer_lines (document text, source_file text, line bigint, byte_offset bigint);
CREATE TEMP TABLE _syncer_rejects (
    file text COLLATE "C", line_number bigint, byte_offset bigint, reason text, raw bytea
);
"""
COPY_SQL = "COPY pg_temp.{} (document, source_file, line, byte_offset) FROM STDIN (FORMAT binary)"

INVALID_SQL = """
DELETE FROM pg_temp._syncer_lines l WHERE NOT pg_input_is_valid(document, 'jsonb')
RETURNING source_file, line, byte_offset, document,
    (SELECT concat_ws('. ', message, detail) FROM pg_input_error_info(l.document, 'jsonb'))
"""
VALID_SQL = """
INSERT INTO pg_temp._syncer_documents (document, source_file, line, byte_offset)
SELECT document::jsonb, source_file, line, byte_offset FROM pg_temp._syncer_lines
"""
COUNT_SQL = "SELECT source_file, count(*), count(*) FILTER (WHERE id IS NULL) FROM pg_temp._syncer_documents GROUP BY 1"
WITHOUT_ID_SQL = """
WITH gone AS (
    DELETE FROM pg_temp._syncer_documents WHERE id IS NULL RETURNING source_file, line, byte_offset, document
)
INSERT INTO pg_temp._syncer_rejects
SELECT source_file, line, byte_offset, $1, substr(convert_to(document::text, 'UTF8'), 1, $2) FROM gone
"""
WITHDRAW_SQL = "DELETE FROM pg_temp._syncer_documents WHERE source_file = ANY ($1)"
FIRST_SQL = """
SELECT line_number, byte_offset FROM pg_temp._syncer_rejects WHERE file = $1 ORDER BY line_number LIMIT 3
"""


@dataclass
class Staged:
    """What is staged: lines read of each file, those rejected, and the files that do not count, with the reason.

    `waiting` are rejects that are not in their temporary table yet."""

    lines: dict[str, int]
    rejected: Counter[str] = field(default_factory=Counter)
    refused: dict[str, str] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    copies: int = 0
    waiting: list[Reject] = field(default_factory=list)

    def reject(self, reject: Reject) -> None:
        self.rejected[reject.path] += 1
        self.waiting.append(reject)


def stage(connection: psycopg.Connection, plan: FilePlan) -> Staged:
    """Copy the files, withdraw those that are refused, and assert that no line is missing. Raises AssertionFailed."""
    connection.execute(_stage_sql(plan.spec))
    staged = Staged({file.path: 0 for file in plan.files})
    waiting: list[Piece] = []
    size, said = 0, time.monotonic()
    with plan.open() as stream:
        for item in stream:
            if isinstance(item, Refusal):
                staged.refused[item.path] = item.reason
                continue
            staged.lines[item.path] += item.lines_read
            for reject in item.rejects:
                staged.reject(reject)
            waiting.append(item)
            size += item.documents.nbytes + sum(len(reject.raw) for reject in item.rejects)
            if size >= COPY_BYTES:
                _copy(connection, waiting, staged)
                waiting, size = [], 0
                if time.monotonic() - said > EMIT_SECONDS:
                    said = time.monotonic()
                    lines = sum(staged.lines.values())
                    plan.emit("Staging documents", table=plan.spec.target.name, lines=lines, file=item.path)
    _copy(connection, waiting, staged)
    connection.execute("SET default_statistics_target = 10")  # of this load's own session: a row count is enough
    connection.execute("ANALYZE pg_temp._syncer_documents (id)")
    _count(connection, plan, staged)
    _judge(connection, plan, staged)
    return staged


def _stage_sql(spec: FileSpec) -> sql.Composed:
    return sql.SQL(STAGE_SQL).format(id_type=id_type(spec), id=_id(spec))


def _id(spec: FileSpec) -> sql.Composable:
    """The key of a staged document, NULL where it has none that fits. Never an error: that would end a COPY."""
    if not spec.id.path:
        return sql.SQL("md5(source_file || '#' || line::text)")
    text = at_path(sql.Identifier("document"), spec.id.path)
    fits = {
        "text": "CASE WHEN octet_length({0}) <= {1} THEN {0} END",
        "bigint": (
            "CASE WHEN {0} ~ '^-?[0-9]{{1,19}}$' THEN CASE WHEN ({0})::numeric BETWEEN -9223372036854775808"
            " AND 9223372036854775807 THEN ({0})::bigint END END"
        ),
        "uuid": "CASE WHEN {0} ~ '^[0-9a-fA-F]{{8}}(-[0-9a-fA-F]{{4}}){{3}}-[0-9a-fA-F]{{12}}$' THEN ({0})::uuid END",
    }
    return sql.SQL(fits[spec.id.type]).format(text, sql.Literal(LONGEST_ID))  # type: ignore[arg-type]  # constants


def at_path(document: sql.Composable, path: Sequence[str]) -> sql.Composed:
    """The text at a JSON path of a jsonb column."""
    if len(path) == 1:
        return sql.SQL("({} ->> {})").format(document, sql.Literal(path[0]))
    return sql.SQL("({} #>> {}::text[])").format(document, sql.Literal(list(path)))


def _copy(connection: psycopg.Connection, pieces: Sequence[Piece], staged: Staged) -> None:
    _copy_documents(connection, pieces, staged)
    if staged.waiting:
        with connection.cursor() as cursor, cursor.copy("COPY pg_temp._syncer_rejects FROM STDIN") as copy:
            for each in staged.waiting:
                copy.write_row((each.path, each.line, each.byte_offset, each.reason, each.raw))
        staged.waiting.clear()


def _copy_documents(connection: psycopg.Connection, pieces: Sequence[Piece], staged: Staged) -> None:
    pieces = [piece for piece in pieces if len(piece.documents)]
    if not pieces:
        return
    batch = pa.RecordBatch.from_arrays(
        [
            pa.concat_arrays([piece.documents for piece in pieces]),
            pa.concat_arrays([pa.repeat(pa.scalar(piece.path, pa.string()), len(piece.documents)) for piece in pieces]),
            pa.concat_arrays([piece.lines for piece in pieces]),
            pa.concat_arrays([piece.offsets for piece in pieces]),
        ],
        names=["document", "source_file", "line", "byte_offset"],
    )
    staged.copies += 1
    try:
        _copy_batch(connection, _as_text(batch), "_syncer_documents", jsonb=True)
    except pa.ArrowInvalid:
        _sort_out(connection, _without_bad_bytes(batch, staged), staged)
    except psycopg.Error as error:
        if not _is_refusal(error):
            raise
        _sort_out(connection, batch, staged)


def _sort_out(connection: psycopg.Connection, batch: pa.RecordBatch, staged: Staged) -> None:
    """Take the documents of a batch that was refused, and reject the rest of it."""
    batch = _without_zeros(batch, staged)
    try:
        connection.execute("TRUNCATE pg_temp._syncer_lines")
        _copy_batch(connection, _as_text(batch), "_syncer_lines", jsonb=False)
        with connection.transaction():
            invalid = connection.execute(INVALID_SQL).fetchall()
            connection.execute(VALID_SQL)
    except psycopg.Error as error:
        if not _is_refusal(error):
            raise
        if batch.num_rows == 1:
            staged.reject(_reject(batch, 0, f"{type(error).__name__} ({error.sqlstate})"))
            return
        middle = batch.num_rows // 2
        _sort_out(connection, batch.slice(0, middle), staged)
        _sort_out(connection, batch.slice(middle), staged)
    else:
        for path, line, offset, document, reason in invalid:
            staged.reject(Reject(path, line, offset, reason, document.encode()[:KEPT_BYTES]))


def _is_refusal(error: psycopg.Error) -> bool:
    """The value's fault (class 22), or a limit that it breaks (class 54)."""
    return bool(error.sqlstate) and error.sqlstate[:2] in ("22", "54")


def _as_text(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Raises pa.ArrowInvalid where a document is no UTF-8."""
    return batch.set_column(0, "document", batch.column(0).cast(pa.string()))


def _copy_batch(connection: psycopg.Connection, batch: pa.RecordBatch, table: str, *, jsonb: bool) -> None:
    schema = batch.schema
    encoders = {field.name: pgpq.ArrowToPostgresBinaryEncoder.infer_encoder(field) for field in schema}
    if jsonb:
        encoders["document"] = StringEncoderBuilder.new_with_output(schema.field(0), Jsonb())
    encoder = pgpq.ArrowToPostgresBinaryEncoder.new_with_encoders(schema, encoders)
    statement = sql.SQL(COPY_SQL).format(sql.Identifier(table))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(encoder.write_header())
        copy.write(encoder.write_batch(batch))
        copy.write(encoder.finish())


def _without_bad_bytes(batch: pa.RecordBatch, staged: Staged) -> pa.RecordBatch:
    """The lines that are UTF-8; the others are rejected."""
    good = []
    for number, document in enumerate(batch.column(0).to_pylist()):
        try:
            document.decode()
            good.append(number)
        except UnicodeDecodeError:
            staged.reject(_reject(batch, number, "invalid UTF-8"))
    return batch.take(pa.array(good, pa.int64()))


def _without_zeros(batch: pa.RecordBatch, staged: Staged) -> pa.RecordBatch:
    """The lines without a zero byte, which no text of PostgreSQL can hold."""
    bad = [number for number, document in enumerate(batch.column(0).to_pylist()) if b"\0" in document]
    if not bad:
        return batch
    for number in bad:
        staged.reject(_reject(batch, number, "a zero byte"))
    good = sorted(set(range(batch.num_rows)) - set(bad))
    return batch.take(pa.array(good, pa.int64()))


def _reject(batch: pa.RecordBatch, number: int, reason: str) -> Reject:
    document, path, line, offset = (column[number].as_py() for column in batch.columns)
    raw = document if isinstance(document, bytes) else document.encode()
    return Reject(path, line, offset, reason, raw[:KEPT_BYTES])


def _count(connection: psycopg.Connection, plan: FilePlan, staged: Staged) -> None:
    without_id = 0
    for path, rows, nulls in connection.execute(COUNT_SQL).fetchall():
        staged.rows[path] = rows - nulls
        staged.rejected[path] += nulls
        without_id += nulls
    if without_id:
        reason = f"no {plan.spec.id.type} at the id's path {'.'.join(plan.spec.id.path)}"
        connection.execute(WITHOUT_ID_SQL, (reason, KEPT_BYTES))
    for path, lines in staged.lines.items():
        found = staged.rows.get(path, 0) + staged.rejected[path]
        if path not in staged.refused and found != lines:
            raise AssertionFailed(
                f"{lines} lines were read of {path}, and {found} arrived", table=plan.spec.target.name
            )


def _judge(connection: psycopg.Connection, plan: FilePlan, staged: Staged) -> None:
    """Withdraw the files that could not be read to their end, and those with too many bad lines.

    Of these the reason names places: a line's text may be anything, and does not belong into a log."""
    limit = plan.spec.limits.reject_limit
    for path, lines in staged.lines.items():
        rejected = staged.rejected[path]
        if path not in staged.refused and rejected > limit * lines:
            places = [f"line {line} (byte {byte})" for line, byte in connection.execute(FIRST_SQL, (path,))]
            more = " .." if rejected > len(places) else ""
            staged.refused[path] = (
                f"{rejected} of {lines} lines are no documents, more than {100 * limit:g} %: {', '.join(places)}{more}"
            )
    if staged.refused:
        connection.execute(WITHDRAW_SQL, (list(staged.refused),))
    for path in staged.refused:
        staged.rows.pop(path, None)
