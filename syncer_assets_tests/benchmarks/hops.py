"""The rows of the table of targets that are hops: extraction, loading, both."""

from .contest import OURS, Bench, Contest, Runner, at_most, faster, within
from .latency import ROUND_TRIP_MS, delayed
from .runners import adbc, client, connectorx, dlt, inserts, ours, prepared_lake, rivet, sling

INSERTED, INSERTED_REMOTE, INSERTED_MANY = 50_000, 3_000, 100_000
SMALL_SYNC_ROWS = 583_000


def mysql_to_parquet(bench: Bench) -> Contest:
    """MySQL to a cold lake."""
    peers = [
        dlt(bench, "lineitem", "connectorx", engine="mysql", destination="filesystem"),
        dlt(bench, "lineitem", "pyarrow", engine="mysql", destination="filesystem", runs=1),
        connectorx(bench, "lineitem", engine="mysql"),
    ]
    return Contest(
        "mysql_to_parquet",
        "MySQL -> Parquet",
        (
            ours(bench, "extract", "lineitem", engine="mysql"),
            *_if_peers(bench, peers),
            client(bench, "lineitem", engine="mysql"),
        ),
        (
            faster(2, "dlt connectorx"),
            faster(6, "dlt pyarrow"),
            faster(3, "dlt connectorx"),
            within(1.3, "mariadb --quick"),
        ),
        note="the last two are the next goal",
    )


def postgres_to_parquet(bench: Bench) -> Contest:
    """PostgreSQL to a cold lake."""
    peers = [
        dlt(bench, "lineitem", "connectorx", engine="postgres", destination="filesystem"),
        rivet(bench, "lineitem"),
        connectorx(bench, "lineitem", engine="postgres"),
    ]
    return Contest(
        "postgres_to_parquet",
        "PostgreSQL -> Parquet",
        (
            ours(bench, "extract", "lineitem"),
            *_if_peers(bench, peers),
            client(bench, "lineitem", engine="postgres"),
        ),
        (faster(2.5, "dlt connectorx"), faster(4, "rivet"), within(1.5, "psql COPY")),
    )


def parquet_to_postgres(bench: Bench) -> Contest:
    """The lake into an empty table with its key; the others without ledger and checks."""
    lake = prepared_lake(bench, "lineitem")
    return Contest(
        "parquet_to_postgres",
        "Parquet -> PostgreSQL, loopback",
        (
            ours(bench, "load", "lineitem", lake=lake),
            *_if_peers(bench, [adbc(bench, "lineitem", lake)]),
            inserts(bench, "lineitem", lake, "executemany", INSERTED_MANY),
            inserts(bench, "lineitem", lake, "autocommit", INSERTED),
        ),
        (faster(45, "row INSERT"), faster(1.5, "adbc ingest")),
        note=f"row INSERT moves {INSERTED:,} rows, executemany {INSERTED_MANY:,}; rows a second are compared",
    )


def parquet_to_remote_postgres(bench: Bench) -> Contest:
    """The same behind a proxy that delays each byte by a millisecond."""
    lake = prepared_lake(bench, "lineitem")
    port = bench.keep_open(delayed(bench.servers.port, ROUND_TRIP_MS))
    return Contest(
        "parquet_to_remote_postgres",
        f"Parquet -> PostgreSQL, round trip of {ROUND_TRIP_MS:g} ms",
        (
            ours(bench, "load", "lineitem", lake=lake, port=port),
            inserts(bench, "lineitem", lake, "autocommit", INSERTED_REMOTE, port=port),
        ),
        (faster(96, "row INSERT"),),
        note=f"row INSERT moves {INSERTED_REMOTE:,} rows",
    )


def mysql_to_postgres(bench: Bench) -> Contest:
    """End to end, with manifest, ledger and checks."""
    peers = [
        dlt(bench, "lineitem", "connectorx", engine="mysql", destination="postgres"),
        sling(bench, "lineitem", engine="mysql"),
    ]
    return Contest(
        "mysql_to_postgres",
        "MySQL -> PostgreSQL with ledger and checks",
        (ours(bench, "sync", "lineitem", engine="mysql"), *_if_peers(bench, peers)),
        (faster(1.5, "dlt connectorx"), faster(3, "sling")),
    )


def small_sync(bench: Bench) -> Contest:
    """583,000 rows from PostgreSQL to the warehouse, end to end."""
    rows = bench.rows["small"]
    whole = (OURS,) if rows == SMALL_SYNC_ROWS else ("more rows: --scale 0.1",)
    return Contest(
        "small_sync",
        f"{rows:,} rows, PostgreSQL -> PostgreSQL",
        (ours(bench, "sync", "small"),),
        (at_most("583,000 rows in at most 5 s", 5.0, lambda results: results[OURS].median("wall_seconds"), whole),),
    )


def _if_peers(bench: Bench, peers: list[Runner]) -> list[Runner]:
    return peers if bench.peers else []
