"""The loaders of the seed: `json_loader.py FOLDER DSN LINES stringio|row|batch` into an empty table with its key.

`stringio` parses each line, writes it into a StringIO, COPYs it into a temporary table and upserts, 10,000 lines at a
time; `row` and `batch` upsert by INSERT, one or 1,000 documents a statement, each in a transaction of its own.
"""

import gzip
import io
import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg

TABLE = "CREATE TABLE members (id bigint PRIMARY KEY, raw_data jsonb, source_file text, _updated_at timestamptz)"
UPSERT = "ON CONFLICT (id) DO UPDATE SET raw_data = excluded.raw_data, _updated_at = now()"
COPY_LINES, BATCH = 10_000, 1_000


def main() -> None:
    folder, dsn, lines, way = sys.argv[1:]
    found = islice(documents(Path(folder)), int(lines))
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(TABLE)
        if way == "stringio":
            stringio(connection, found)
        else:
            inserts(connection, found, 1 if way == "row" else BATCH)


def documents(folder: Path) -> Iterator[tuple[str, Any]]:
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                yield path.name, json.loads(line)


def stringio(connection: psycopg.Connection, found: Iterator[tuple[str, Any]]) -> None:
    while chunk := list(islice(found, COPY_LINES)):
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE t (id bigint, raw_data jsonb, source_file text) ON COMMIT DROP")
            buffer = io.StringIO()
            for name, document in chunk:
                text = json.dumps(document).replace("\\", "\\\\")
                buffer.write(f"{document['id']}\t{text}\t{name}\n")
            with cursor.copy("COPY t FROM STDIN") as copy:
                copy.write(buffer.getvalue())
            query = f"INSERT INTO members SELECT id, raw_data, source_file, now() FROM t {UPSERT}"
            cursor.execute(query.encode())


def inserts(connection: psycopg.Connection, found: Iterator[tuple[str, Any]], size: int) -> None:
    while chunk := list(islice(found, size)):
        values = [value for name, d in chunk for value in (d["id"], json.dumps(d), name)]
        rows = ", ".join(["(%s, %s, %s, now())"] * len(chunk))
        connection.execute(f"INSERT INTO members VALUES {rows} {UPSERT}".encode(), values)


if __name__ == "__main__":
    main()
