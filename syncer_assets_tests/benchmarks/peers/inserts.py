"""Row by row, as is common: `inserts.py FOLDER DSN TABLE ROWS autocommit|executemany` into an empty table."""

import sys

import psycopg
import pyarrow.dataset as ds


def main() -> None:
    folder, dsn, table, rows, way = sys.argv[1:]
    taken = ds.dataset(folder, format="parquet").head(int(rows))
    values = list(zip(*(column.to_pylist() for column in taken.columns), strict=True))
    statement = f"INSERT INTO {table} VALUES ({', '.join(['%s'] * taken.num_columns)})".encode()
    with psycopg.connect(dsn, autocommit=way == "autocommit") as connection, connection.cursor() as cursor:
        if way == "autocommit":
            for row in values:
                cursor.execute(statement, row)
        else:
            cursor.executemany(statement, values)


if __name__ == "__main__":
    main()
