"""The servers of a benchmark: PostgreSQL and MariaDB on loopback ports, what CPU they used, their longest query.

Settings as of an operational server with 4 GB, but for `fsync`, which is off unless it is asked for: disks differ more
than engines do.
"""

import os
import shutil
import tempfile
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg

from syncer_assets.demo.server import EmbeddedPostgres
from syncer_assets_tests.mariadb import MariaDB
from syncer_assets_tests.servers import free_ports

USER, PASSWORD = "bench", "bench"
"""Of MariaDB; the password is also PostgreSQL's. Without characters that a URL escapes: not every peer unescapes."""
SOURCE, WAREHOUSE = "source", "warehouse"
POSTGRES = {
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "autovacuum": "off",
}
MARIADB = (
    "--innodb-buffer-pool-size=1G",
    "--innodb-log-file-size=1G",
    "--slow-query-log=1",
    "--long-query-time=0.02",
    "--log-output=TABLE",
)
LONGEST_POSTGRES = """
SELECT max(max_exec_time) / 1000 FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = %s)
"""
LONGEST_MARIADB = "SELECT max(time_to_sec(query_time)) FROM mysql.slow_log WHERE db = %s"


class Servers:
    """Both servers in folders that go with them, each with a database `source`; PostgreSQL has `warehouse`, too."""

    def __init__(self, *, fsync: bool = False) -> None:
        self._fsync = fsync
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with self._stack:
            folder = Path(tempfile.mkdtemp(prefix="syncer-bench-"))
            self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
            self._port = free_ports(1)[0]
            settings = POSTGRES | {"port": str(self._port)}
            self.postgres = self._stack.enter_context(EmbeddedPostgres(folder, durable=self._fsync, settings=settings))
            with psycopg.connect(self.postgres.dsn(), autocommit=True) as connection:
                connection.execute(f"ALTER ROLE postgres PASSWORD '{PASSWORD}'")
                connection.execute("CREATE EXTENSION pg_stat_statements")
            for name in (SOURCE, WAREHOUSE):
                self.postgres.create_database(name)
            self.mariadb: MariaDB | None = None
            if MariaDB.program():
                self.mariadb = MariaDB(MARIADB)
                self._stack.callback(self.mariadb.stop)
                self.mariadb.start()
                with closing(self.mariadb.connect()) as connection, connection.cursor() as cursor:
                    cursor.execute(f"CREATE DATABASE {SOURCE}")
                    cursor.execute(f"CREATE USER '{USER}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'")
                    cursor.execute(f"GRANT ALL PRIVILEGES ON *.* TO '{USER}'@'127.0.0.1'")
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def postgres_dsn(self, database: str, port: int | None = None) -> str:
        """Over TCP; `port` of a proxy."""
        return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port or self._port}/{database}"

    def mariadb_dsn(self, driver: str = "mysql") -> str:
        """Of the database `source`."""
        assert self.mariadb is not None
        return self.mariadb.dsn(SOURCE, USER, PASSWORD).replace("mysql:", f"{driver}:", 1)

    @property
    def port(self) -> int:
        """PostgreSQL's."""
        return self._port

    def execute(self, database: str, *statements: str) -> list[Any]:
        """Runs statements on PostgreSQL; the rows of the last one."""
        with psycopg.connect(self.postgres_dsn(database), autocommit=True) as connection:
            rows: list[Any] = []
            for statement in statements:
                cursor = connection.execute(statement.encode())
                rows = cursor.fetchall() if cursor.description else []
            return rows

    def execute_mariadb(self, *statements: str) -> list[Any]:
        """Runs statements on MariaDB's `source`; the rows of the last one."""
        assert self.mariadb is not None
        with closing(self.mariadb.connect(SOURCE)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def cpu_seconds(self) -> float:
        """User and system time of both servers since they started, ended backends included."""
        pids = [self.postgres.pid, self.mariadb.pid if self.mariadb else None]
        return sum(_tree_seconds(pid) for pid in pids if pid)

    def forget_queries(self) -> None:
        """Begin anew to note the longest query."""
        self.execute("postgres", "SELECT pg_stat_statements_reset()", "CHECKPOINT")
        if self.mariadb:
            self.execute_mariadb("TRUNCATE mysql.slow_log")

    def longest_query_seconds(self) -> float:
        """The longest statement in either database `source` since `forget_queries`; 0 where all took under 20 ms."""
        with psycopg.connect(self.postgres.dsn(), autocommit=True) as connection:
            row = connection.execute(LONGEST_POSTGRES, (SOURCE,)).fetchone()
        found = [row[0] if row else None]
        if self.mariadb:
            with closing(self.mariadb.connect()) as connection, connection.cursor() as cursor:
                cursor.execute(LONGEST_MARIADB, (SOURCE,))
                found.append(cursor.fetchone()[0])
        return float(max((seconds for seconds in found if seconds is not None), default=0.0))


def _tree_seconds(pid: int) -> float:
    server = psutil.Process(pid)
    total = 0.0
    for process in (server, *server.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times: Any = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def peers_python() -> Path:
    """The interpreter of the peers' venv, beside the build."""
    return Path(os.environ.get("SYNCER_BENCH_PEERS", "build/bench/peers")) / "bin" / "python"
