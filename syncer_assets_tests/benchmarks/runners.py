"""The contestants: how each is started on a table of the bench, and on what it starts."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .contest import OURS, Bench, Runner
from .measure import RunFailed, run
from .ours import TARGET_SCHEMA
from .servers import PASSWORD, SOURCE, USER, WAREHOUSE

SCRIPTS = Path(__file__).parent / "peers"
TELEMETRY_OFF = {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR", "SLING_DISABLE_TELEMETRY": "true"}
RIVET = """
source: {{type: postgres, url_env: BENCH_URL}}
exports:
  - {{name: {table}, query: "SELECT * FROM {table}", mode: full, format: parquet,
     destination: {{type: local, path: {folder}}}}}
"""

Start = tuple[Sequence[str], Mapping[str, str]]


def ours(
    bench: Bench,
    job: str,
    table: str,
    *,
    engine: str = "postgres",
    lake: Path | None = None,
    port: int | None = None,
) -> Runner:
    """A job of `ours.py`; on a cold lake unless one is given, into an empty warehouse. `port` of a proxy."""

    def prepare() -> Start:
        empty_warehouse(bench)
        return ours_command(bench, job, table, lake or bench.fresh("lake"), engine=engine, port=port)

    return Runner(OURS, bench.rows[table], prepare)


def ours_command(
    bench: Bench, job: str, table: str, lake: Path, *, engine: str = "postgres", port: int | None = None
) -> Start:
    """The command of our side, and its environment."""
    named = f"{'public' if engine == 'postgres' else SOURCE}.{table}"
    source = bench.servers.postgres_dsn(SOURCE, port) if engine == "postgres" else bench.servers.mariadb_dsn()
    command = [sys.executable, "-m", "syncer_assets_tests.benchmarks.ours", job, "--engine", engine]
    return [*command, "--table", named, "--lake", f"file://{lake}"], {
        "BENCH_SOURCE_DSN": source,
        "BENCH_WAREHOUSE_DSN": bench.servers.postgres_dsn(WAREHOUSE, port),
    }


def prepared_lake(bench: Bench, table: str) -> Path:
    """A lake that holds the table, extracted by us. Its Parquet is what every loader is given."""
    lake = bench.fresh("given")
    command, env = ours_command(bench, "extract", table, lake)
    run(command, bench.servers, env)
    return lake


def dlt(bench: Bench, table: str, backend: str, *, engine: str, destination: str, runs: int | None = None) -> Runner:
    """dlt's sql_database, into Parquet in a folder or into PostgreSQL."""

    def prepare() -> Start:
        empty_warehouse(bench)
        return dlt_command(bench, table, backend, engine, destination, "append", bench.fresh("dlt"))

    return Runner(f"dlt {backend}", bench.rows[table], prepare, runs=runs)


def dlt_command(
    bench: Bench, table: str, backend: str, engine: str, destination: str, disposition: str, home: Path
) -> Start:
    """dlt's command; `home` keeps its state."""
    url = bench.servers.postgres_dsn(SOURCE) if engine == "postgres" else bench.servers.mariadb_dsn("mysql+pymysql")
    target = f"file://{home / 'lake'}" if destination == "filesystem" else bench.servers.postgres_dsn(WAREHOUSE)
    script = [str(bench.peers), str(SCRIPTS / "dlt_copy.py"), url, table, backend, destination, target, disposition]
    return script, {"DLT_DATA_DIR": str(home / "state"), "DLT_PROJECT_DIR": str(home), **TELEMETRY_OFF}


def sling(bench: Bench, table: str, *, engine: str) -> Runner:
    """sling's full refresh into PostgreSQL."""

    def prepare() -> Start:
        empty_warehouse(bench)
        assert bench.peers is not None
        package = next(bench.peers.parent.parent.glob("lib/*/site-packages/sling_linux_amd64"), None)
        if package is None:
            raise RunFailed("the wheel sling-linux-amd64 is not installed")
        source = bench.servers.postgres_dsn(SOURCE) + "?sslmode=disable"
        stream = f"{'public' if engine == 'postgres' else SOURCE}.{table}"
        command = [str(package / "bin" / "sling-linux-amd64"), "run", "--src-conn", "BENCH_SRC", "--src-stream", stream]
        return [*command, "--tgt-conn", "BENCH_TGT", "--tgt-object", f"public.{table}", "--mode", "full-refresh"], {
            "BENCH_SRC": source if engine == "postgres" else bench.servers.mariadb_dsn(),
            "BENCH_TGT": bench.servers.postgres_dsn(WAREHOUSE) + "?sslmode=disable",
            "SLING_HOME_DIR": str(bench.fresh("sling")),
            **TELEMETRY_OFF,
        }

    return Runner("sling", bench.rows[table], prepare)


def rivet(bench: Bench, table: str) -> Runner:
    """rivet's full export of a PostgreSQL table to Parquet."""

    def prepare() -> Start:
        assert bench.peers is not None
        folder = bench.fresh("rivet")
        (folder / "rivet.yaml").write_text(RIVET.format(table=table, folder=folder / "out"))
        command = [str(bench.peers.with_name("rivet")), "run", "--config", str(folder / "rivet.yaml")]
        return command, {"BENCH_URL": bench.servers.postgres_dsn(SOURCE)}

    return Runner("rivet", bench.rows[table], prepare)


def connectorx(bench: Bench, table: str, *, engine: str) -> Runner:
    """ConnectorX and a Parquet writer, alone: a limit of what a wheel can do."""

    def prepare() -> Start:
        url = bench.servers.postgres_dsn(SOURCE) if engine == "postgres" else bench.servers.mariadb_dsn()
        out = str(bench.fresh("connectorx") / "out.parquet")
        return [str(bench.peers), str(SCRIPTS / "connectorx_parquet.py"), url, table, out], {}

    return Runner("connectorx", bench.rows[table], prepare, limit=True)


def client(bench: Bench, table: str, *, engine: str) -> Runner:
    """The server's own client to /dev/null: nobody can read faster."""

    def prepare() -> Start:
        if engine == "postgres":
            copy = ["psql", bench.servers.postgres_dsn(SOURCE), "-qc", rf"\copy {table} TO '/dev/null'"]
            return copy, {}
        assert bench.servers.mariadb is not None
        login = ["--host=127.0.0.1", f"--port={bench.servers.mariadb.port}", f"--user={USER}", "--skip-ssl"]
        query = ["mariadb", "--no-defaults", *login, "--quick", "--batch", SOURCE, "-e", f"SELECT * FROM {table}"]
        return ["sh", "-c", 'exec "$@" > /dev/null', "sh", *query], {"MYSQL_PWD": PASSWORD}

    name = "psql COPY" if engine == "postgres" else "mariadb --quick"
    return Runner(name, bench.rows[table], prepare, limit=True)


def adbc(bench: Bench, table: str, lake: Path) -> Runner:
    """ADBC's bulk ingest of the same Parquet."""

    def prepare() -> Start:
        empty_warehouse(bench)
        script = [str(bench.peers), str(SCRIPTS / "adbc_ingest.py")]
        return [*script, str(parquet_of(lake)), bench.servers.postgres_dsn(WAREHOUSE), table], {}

    return Runner("adbc ingest", bench.rows[table], prepare)


def inserts(bench: Bench, table: str, lake: Path, way: str, rows: int, port: int | None = None) -> Runner:
    """INSERTs of the first `rows` rows into a table with the same key."""
    rows = min(rows, bench.rows[table])

    def prepare() -> Start:
        empty_warehouse(bench)
        created = bench.servers.execute(
            SOURCE,
            "SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum)"
            f" FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0",
        )[0][0]
        bench.servers.execute(WAREHOUSE, f"CREATE TABLE {table} ({created}, PRIMARY KEY (id))")
        dsn = bench.servers.postgres_dsn(WAREHOUSE, port)
        script = [sys.executable, str(SCRIPTS / "inserts.py"), str(parquet_of(lake)), dsn, table, str(rows), way]
        return script, {}

    return Runner("row INSERT" if way == "autocommit" else way, rows, prepare)


def parquet_of(lake: Path) -> Path:
    """The folder of a lake's data files."""
    return next(lake.glob("bench/*/*/data/*"))


def empty_warehouse(bench: Bench) -> None:
    """As before any run."""
    bench.servers.execute(
        WAREHOUSE,
        f"DROP SCHEMA IF EXISTS {TARGET_SCHEMA}, _syncer, public, dlt, dlt_staging CASCADE",
        "CREATE SCHEMA public",
    )


def tidy(bench: Bench, keep: Sequence[Path] = ()) -> None:
    """Remove what runs have written."""
    for path in bench.folder.iterdir():
        if path not in keep:
            shutil.rmtree(path, ignore_errors=True)
