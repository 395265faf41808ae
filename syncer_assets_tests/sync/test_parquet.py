"""Files of the lake: what their footers say."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from obstore.store import LocalStore

from syncer_assets.sync.parquet import FileSink


def test_readers_can_skip_row_groups_by_numbers_times_and_the_cursor(tmp_path: Path) -> None:
    """Texts carry no bounds: to compare them all takes a tenth of the work, and they rarely come in order."""
    columns = {
        "id": pa.array([1, 2], pa.int64()),
        "price": pa.array(["1.50", "2.50"]).cast(pa.decimal128(12, 2)),
        "at": pa.array([1, 2], pa.timestamp("us", "UTC")),
        "day": pa.array([1, 2], pa.date32()),
        "ok": pa.array([True, False]),
        "note": pa.array(["a", "b"]),
        "code": pa.array(["a", "b"]),
    }
    batch = pa.RecordBatch.from_pydict(columns)
    sink = FileSink(LocalStore(tmp_path), "data", batch.schema, target_bytes=1, cursor="code")
    sink.write(batch)
    (file,) = sink.take()
    group = pq.ParquetFile(tmp_path / file.path).metadata.row_group(0)
    bounded = {name for number, name in enumerate(columns) if group.column(number).is_stats_set}
    assert bounded == columns.keys() - {"note"}
