"""Right-sized Parquet files, written through obstore: a writer that fails leaves nothing behind (DESIGN 6)."""

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import Any, TypeVar

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
from obstore.exceptions import BaseError

from ..model.manifest import DataFile
from ..model.marks import encode_scalar
from ..sources.arrow import apply
from ..sources.objects import store_error

ROW_GROUP_ROWS = 131_072
ROW_GROUP_BYTES = 96 * 1024 * 1024
SAMPLE_ROWS = 20_000
MB = 1024 * 1024
T = TypeVar("T")


class FileSink:
    """Writes batches into `part-NNNNN.parquet` objects below `folder`, and closes each at its target size.

    `cursor` names the first cursor column, whose smallest and largest value each file's entry carries: batches come in
    its order, or each in order where the cursor is an integer or a time. Sinks that share a folder share its `numbers`.
    """

    def __init__(
        self,
        store: Any,
        folder: str,
        schema: pa.Schema,
        *,
        target_bytes: int,
        min_rows: int | None = None,
        max_rows: int | None = None,
        cursor: str | None = None,
        row_group_bytes: int = ROW_GROUP_BYTES,
        numbers: Iterator[int] | None = None,
    ):
        self._store, self._folder, self._schema, self._cursor = store, folder, schema, cursor
        self._target_bytes, self._min_rows, self._max_rows = target_bytes, min_rows or 0, max_rows
        self._row_group_bytes, self._numbers = row_group_bytes, count() if numbers is None else numbers
        self._open: _OpenFile | None = None
        self.files: list[DataFile] = []

    def write(self, batch: pa.RecordBatch, *, provisional: bool = False) -> None:
        """Append rows. A change of `provisional` begins a new file."""
        if batch.num_rows == 0:
            return
        if self._open is not None and self._open.provisional != provisional:
            self.close_file()
        if self._open is None:
            path = f"{self._folder}/part-{next(self._numbers):05d}.parquet"
            self._open = _OpenFile(self._store, path, self._schema, self._cursor, provisional, self._row_group_bytes)
        self._open.write(batch)
        large = self._open.bytes >= self._target_bytes and self._open.rows >= self._min_rows
        if large or (self._max_rows and self._open.rows >= self._max_rows):
            self.close_file()

    @property
    def completed(self) -> int:
        """How many files are complete and not taken yet."""
        return len(self.files)

    def close_file(self) -> None:
        """Complete the open file and note its entry."""
        if self._open is not None:
            current, self._open = self._open, None
            self.files.append(current.close())

    def take(self) -> tuple[DataFile, ...]:
        """The completed files since the last call."""
        files, self.files = tuple(self.files), []
        return files

    def abandon(self) -> None:
        """Drop the open file: nothing of it becomes an object."""
        self._open = None


class _OpenFile:
    """One Parquet file on its way: row groups are written when they are full, bytes are hashed as they leave."""

    def __init__(
        self,
        store: Any,
        path: str,
        schema: pa.Schema,
        cursor: str | None,
        provisional: bool,
        row_group_bytes: int,
    ):
        self.path, self.provisional, self._cursor = path, provisional, cursor
        self._row_group_bytes = row_group_bytes
        kind = schema.field(cursor).type if cursor is not None else pa.null()
        self._pieces = pa.types.is_integer(kind) or pa.types.is_temporal(kind)
        self.rows = 0
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = self._pending_bytes = 0
        self._ratio = 0.25
        self._min: str | None = None
        self._max: str | None = None
        self._out = _HashingWriter(store, path)
        self._schema = schema
        self._writer: pq.ParquetWriter | None = None

    @property
    def bytes(self) -> int:
        """Compressed bytes, the pending row group at the ratio seen so far."""
        return self._out.size + int(self._pending_bytes * self._ratio)

    def write(self, batch: pa.RecordBatch) -> None:
        self.rows += batch.num_rows
        self._note_range(batch)
        self._pending.append(batch)
        self._pending_rows += batch.num_rows
        self._pending_bytes += batch.nbytes
        if self._pending_rows >= ROW_GROUP_ROWS or self._pending_bytes >= self._row_group_bytes:
            self._flush()

    def close(self) -> DataFile:
        self._flush()
        if self._writer is not None:
            self._writer.close()
        self._out.finish()
        return DataFile(
            path=self.path,
            rows=self.rows,
            bytes=self._out.size,
            sha256=self._out.sha256,
            min=self._min,
            max=self._max,
            provisional=self.provisional,
        )

    def _flush(self) -> None:
        if not self._pending:
            return
        before = self._out.size
        table = pa.Table.from_batches(self._pending, self._schema)
        self._writer = self._writer or self._new_writer(table)
        self._writer.write_table(table, row_group_size=table.num_rows)
        self._ratio = max(0.01, (self._out.size - before) / max(1, self._pending_bytes))
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0

    def _new_writer(self, first: pa.Table) -> pq.ParquetWriter:
        return pq.ParquetWriter(
            self._out,
            self._schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=repetitive_columns(first),  # type: ignore[arg-type]  # a list of names will do
            write_statistics=self._bounded_columns(),  # type: ignore[arg-type]  # so will it here
        )

    def _bounded_columns(self) -> list[str]:
        """Columns whose smallest and largest value each row group carries: a scan of texts takes a tenth of all work
        and lets readers skip next to nothing, unless rows come in their order."""
        of_width = (pa.types.is_primitive, pa.types.is_decimal)
        return [
            field.name
            for field in self._schema
            if field.name == self._cursor or any(is_one(field.type) for is_one in of_width)
        ]

    def _note_range(self, batch: pa.RecordBatch) -> None:
        if self._cursor is None:
            return
        column = batch.column(self._cursor)
        first, last = _encoded(column[0]), _encoded(column[-1])
        if self._pieces and self._min is not None and self._max is not None and first is not None and last is not None:
            self._min, self._max = min(self._min, first), max(self._max, last)
        else:
            self._min, self._max = self._min or first, last or self._max


def _encoded(value: pa.Scalar) -> str | None:
    """None for NULL, and for a time that Python cannot hold (infinity, a year before Christ)."""
    try:
        plain = value.as_py()
    except (ValueError, OverflowError):
        return None
    return None if plain is None else encode_scalar(plain)


class _HashingWriter(io.RawIOBase):
    """A write-only file over an obstore writer that counts and hashes. Only `finish` makes the object exist."""

    def __init__(self, store: Any, path: str):
        super().__init__()
        self._path = path
        self._digest = hashlib.sha256()
        self.size = 0
        self._writer = self._guard(lambda: obstore.open_writer(store, path, buffer_size=8 * MB, max_concurrency=4))

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:  # the buffer protocol has no type in 3.11
        view = memoryview(data).cast("B")
        self._guard(lambda: self._writer.write(view))
        self._digest.update(view)
        self.size += len(view)
        return len(view)

    def tell(self) -> int:
        return self.size

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def finish(self) -> None:
        """Complete the upload."""
        self._guard(self._writer.close)

    def close(self) -> None:
        """pyarrow closes its sink also after an error: that must not complete the object."""
        with suppress(ValueError):
            super().close()

    def _guard(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except (BaseError, OSError) as error:
            fix = "check free space, permissions and keys; the next run goes on from the last manifest"
            raise store_error(f"{self._path} cannot be written to the lake", error, fix) from None


def repetitive_columns(table: pa.Table) -> list[str]:
    """Columns worth a dictionary: of a sample, less than a tenth of the strings or a hundredth of the numbers and times
    are distinct (BENCHMARKS)."""
    sample = table.slice(0, SAMPLE_ROWS)
    return [
        field.name
        for field in table.schema
        if (repeats := _repeats(field.type))
        and apply("count_distinct", sample.column(field.name)).as_py() * repeats < sample.num_rows
    ]


def _repeats(kind: pa.DataType) -> int:
    """How often a value has to come, in the mean, for a dictionary to be less work; 0 where it never is."""
    if pa.types.is_string(kind):
        return 10
    return 100 if pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_temporal(kind) else 0
