"""A real MariaDB for tests: Debian's server in a data folder and on a loopback port of its own."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pymysql

from syncer_assets_tests import privileges
from syncer_assets_tests.servers import free_ports, poll

PASSWORD = "test secret/@:%"
"""Of the role `root`: with every character that a URL has to escape."""


class MariaDB:
    """The server. `settings` are given on its command line; `stop` ends it and removes its folder."""

    def __init__(self, settings: Sequence[str] = ()) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="syncer-maria-"))
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_ports(1)[0]
        self.socket = str(self._folder / "m.sock")

    @staticmethod
    def program() -> str | None:
        """Where Debian's package `mariadb-server` puts it."""
        path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))
        return shutil.which("mariadbd", path=path)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> "MariaDB":
        """Make the data folder if there is none, start the server, wait until it answers."""
        program = self.program()
        if program is None:
            raise FileNotFoundError("mariadbd")
        data = self._folder / "data"
        user = ["--user=root"] if os.geteuid() == 0 else []
        scratch = self._folder / "tmp"  # its own: a server that starts removes every `#sql*` file of its folder
        scratch.mkdir(exist_ok=True)
        fresh = not data.exists()
        if fresh:
            install = [f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db", *user]
            subprocess.run(
                ["mariadb-install-db", "--no-defaults", *install],
                check=True,
                env={**os.environ, "TMPDIR": str(scratch)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(program, "--no-defaults", *user, f"--datadir={data}", f"--socket={self.socket}"),
                    f"--tmpdir={scratch}",
                    *("--bind-address=127.0.0.1", f"--port={self.port}", f"--pid-file={self._folder / 'pid'}"),
                    *("--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=512M", "--skip-name-resolve"),
                    *("--innodb-log-file-size=256M", "--character-set-server=utf8mb4", "--max-allowed-packet=256M"),
                    *("--local-infile=1", "--secure-file-priv="),
                    "--innodb-stats-auto-recalc=0",  # by a transaction of the server's own, at a moment of its own
                    *self._settings,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        poll(lambda: self._ready("" if fresh else PASSWORD), deadline_seconds=120, every_seconds=0.1)
        if fresh:
            with closing(self._connect("")) as connection, connection.cursor() as cursor:
                cursor.execute("SET PASSWORD FOR 'root'@'localhost' = PASSWORD(%s)", (PASSWORD,))
                cursor.execute("CREATE OR REPLACE USER 'root'@'127.0.0.1' IDENTIFIED BY %s", (PASSWORD,))
                cursor.execute("GRANT ALL PRIVILEGES ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION")
        return self

    def kill(self) -> None:
        """SIGKILL, as by a crash; `start` brings it back on the same port and data."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def dsn(self, database: str = "", user: str = "root", password: str = PASSWORD) -> str:
        """The URL of a database; user and password percent-encoded."""
        name, secret, path = (quote(part, safe="") for part in (user, password, database))
        return f"mysql://{name}:{secret}@127.0.0.1:{self.port}/{path}"

    def connect(self, database: str | None = None, user: str = "root", password: str = PASSWORD) -> Any:
        """A PyMySQL connection, autocommit."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user=user,
            password=password,
            database=database,
            autocommit=True,
            charset="utf8mb4",
            local_infile=True,
            ssl_disabled=True,  # PyMySQL reads every certificate authority of the machine at each connection
        )

    def _ready(self, password: str) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            log = (self._folder / "log").read_text(errors="replace")
            raise RuntimeError(f"mariadbd ended with {self._process.returncode}:\n{log[-2000:]}")
        with socket.socket(socket.AF_UNIX) as end:  # PyMySQL leaves its socket open where nobody listens
            if end.connect_ex(self.socket):
                return False
        try:
            self._connect(password).close()
        except pymysql.err.OperationalError:
            return False
        return True

    def _connect(self, password: str) -> Any:
        return pymysql.connect(unix_socket=self.socket, user="root", password=password, autocommit=True)


@dataclass(frozen=True)
class MariaDatabase:
    """An empty database of a test's own. The product has `dsn`; what the test itself does is the administrator's."""

    server: MariaDB
    name: str
    role: str
    """The product's: the reader of docs/privileges.md."""

    @classmethod
    def create(cls, server: MariaDB, purpose: str) -> "MariaDatabase":
        name = f"{purpose}_{uuid4().hex[:10]}"
        with closing(server.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE `{name}`")
            return cls(server, name, privileges.make_maria_reader(connection, name))

    def drop(self) -> None:
        with closing(self.server.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE `{self.name}`")

    @property
    def dsn(self) -> str:
        return self.dsn_as(self.role, privileges.PASSWORD)

    @property
    def admin_dsn(self) -> str:
        return self.server.dsn(self.name)

    def dsn_as(self, user: str, password: str) -> str:
        return self.server.dsn(self.name, user, password)

    def connect(self, *, autocommit: bool = True) -> Any:
        connection = self.server.connect(self.name)
        connection.autocommit(autocommit)
        return connection

    def execute(self, query: str, values: Sequence[object] | None = None) -> list[Any]:
        """Runs one statement in a session of its own; returns its rows."""
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(query, values)
            return list(cursor.fetchall())

    def script(self, statements: str) -> None:
        """Runs statements that are parted by semicolons (none within a value)."""
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            for statement in filter(str.strip, statements.split(";")):
                cursor.execute(statement)

    def scalar(self, query: str, values: Sequence[object] | None = None) -> Any:
        return self.execute(query, values)[0][0]
