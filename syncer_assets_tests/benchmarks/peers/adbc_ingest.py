"""ADBC's bulk ingest of Parquet into a new table: `adbc_ingest.py FOLDER DSN TABLE`. No key, ledger or check."""

import sys

import adbc_driver_postgresql.dbapi as adbc  # pyright: ignore[reportMissingImports]
import pyarrow.dataset as ds


def main() -> None:
    folder, dsn, table = sys.argv[1:]
    with adbc.connect(dsn) as connection:
        with connection.cursor() as cursor:
            cursor.adbc_ingest(table, ds.dataset(folder, format="parquet").scanner().to_reader(), mode="create")
        connection.commit()


if __name__ == "__main__":
    main()
