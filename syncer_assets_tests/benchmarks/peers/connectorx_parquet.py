"""ConnectorX to one Parquet file, one query, nothing checked: `connectorx_parquet.py URL TABLE FILE`. A limit."""

import sys

import pyarrow.parquet as pq


def main() -> None:
    import connectorx  # pyright: ignore[reportMissingImports]

    url, table, path = sys.argv[1:]
    reader = connectorx.read_sql(url, f"SELECT * FROM {table}", return_type="arrow_stream")
    with pq.ParquetWriter(path, reader.schema, compression="zstd", compression_level=1) as writer:
        for batch in reader:
            writer.write_batch(batch)


if __name__ == "__main__":
    main()
