"""Readers in a process of their own: sessions that look rows of a table up again and again, until stdin closes.

python -m syncer_assets_tests.faults.readers DSN ROWS READERS SEED: says `reading` once all do; at the end one JSON
object with `reads`, `longest_seconds` of a look-up, `counts` (whole scans of one more session) and `wrong`, the
answers that no version of the table has.
"""

import json
import random
import sys
import threading
import time

import psycopg


def main(dsn: str, rows: int, readers: int, seed: int) -> None:
    stop, started = threading.Event(), threading.Barrier(readers + 2)
    waits: list[float] = []
    counts: list[int] = []
    wrong: list[str] = []

    def read(number: int) -> None:
        drawn = random.Random(seed + number)
        try:
            with psycopg.connect(dsn, autocommit=True) as connection:
                started.wait()
                while not stop.is_set():
                    began = time.monotonic()
                    row = connection.execute(
                        "SELECT status FROM shop.orders WHERE id = %s", (drawn.randrange(rows),)
                    ).fetchone()
                    waits.append(time.monotonic() - began)
                    if row not in (("old",), ("new",)):
                        wrong.append(repr(row))
                    stop.wait(0.05)
        except psycopg.Error as error:
            wrong.append(type(error).__name__)

    def count() -> None:
        """All rows are there, and all of one version: a refresh is not seen by half."""
        try:
            with psycopg.connect(dsn, autocommit=True) as connection:
                started.wait()
                while not stop.is_set():
                    found = connection.execute("SELECT status, count(*) FROM shop.orders GROUP BY status").fetchall()
                    counts.append(len(found))
                    if found not in ([("old", rows)], [("new", rows)]):
                        wrong.append(repr(found))
                    stop.wait(0.2)
        except psycopg.Error as error:
            wrong.append(type(error).__name__)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(readers)]
    threads.append(threading.Thread(target=count))
    for thread in threads:
        thread.start()
    started.wait()
    print("reading", flush=True)
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    told = {"reads": len(waits), "longest_seconds": max(waits), "counts": len(counts), "wrong": wrong}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
