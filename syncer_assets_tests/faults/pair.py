"""A primary and its streaming standby on one machine: real failovers, real lost commits, real recovery conflicts."""

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Self
from urllib.parse import quote

from syncer_assets.demo.server import EmbeddedPostgres
from syncer_assets_tests import privileges
from syncer_assets_tests.servers import Database, poll

SETTINGS = {
    "shared_buffers": "16MB",
    "wal_level": "logical",
    "max_wal_senders": "10",
    "hot_standby": "on",
    "wal_receiver_status_interval": "1s",
    "wal_retrieve_retry_interval": "200ms",
    "autovacuum_naptime": "1s",
    "fsync": "off",
    "max_standby_streaming_delay": "0",
    "max_wal_size": "128MB",
    "shared_preload_libraries": "",
}
PATIENCE_SECONDS = 60


class Member(EmbeddedPostgres):
    """One server of a pair. With `upstream` it is born as that server's standby, by pg_basebackup."""

    def __init__(self, folder: Path, upstream: "Member | None" = None, settings: dict[str, str] | None = None) -> None:
        super().__init__(folder, durable=True, settings=SETTINGS | (settings or {}))
        self._upstream = upstream

    def crash(self) -> None:
        """`pg_ctl stop -m immediate`: no checkpoint, every session is cut off."""
        if (pid := self.pid) is not None:
            os.kill(pid, signal.SIGQUIT)
            poll(lambda: not self.running, PATIENCE_SECONDS)
        self.stop()

    def promote(self) -> None:
        """`pg_ctl promote`; returns when it takes writes."""
        self._run("pg_ctl", "promote", "-w", "-t", str(PATIENCE_SECONDS), "-D", str(self.data))

    def of(self, database: str) -> Database:
        """A database as it is on this server."""
        return Database(self, database, privileges.role_of(database))

    def _initialise(self) -> None:
        if self._upstream is None:
            super()._initialise()
        elif not self.data.exists():
            origin = f"host={self._upstream.socket_folder} user=postgres"
            self._run("pg_basebackup", "-D", str(self.data), "-R", "-c", "fast", "-X", "stream", "-N", "-d", origin)

    def _configure(self) -> None:
        super()._configure()
        with (self.data / "pg_hba.conf").open("a") as rules:
            rules.write("local replication all trust\n")


class PostgresPair:
    """Two servers that change roles: `fail_over` makes the standby the primary, `heal` makes a new standby.

    Replication is asynchronous: what was committed after `cut_replication` is lost by a failover.
    """

    def __init__(self) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="syncer-pair-"))
        self._born = 0
        self.primary = Member(self._next_folder())
        self.standby = self.primary

    def __enter__(self) -> Self:
        self.primary.start()
        self.heal()
        return self

    def __exit__(self, *_: object) -> None:
        for member in {self.primary, self.standby}:
            member.stop()
        shutil.rmtree(self._root)

    def dsn(self, database: str, attributes: str = "target_session_attrs=read-write") -> str:
        """Both servers, by their sockets. The order is that of their birth, so that the first may be the dead one."""
        members = sorted((self.primary, self.standby), key=lambda member: member.folder)
        hosts = ",".join(quote(str(member.folder)) for member in members)
        return f"postgresql://{privileges.role_of(database)}@/{database}?host={hosts}&port=5432,5432&{attributes}"

    def fail_over(self, *, lose: bool = False) -> None:
        """The primary dies, its standby takes over. `lose`: without what it has not received yet."""
        if not lose:
            self.catch_up()
        self.primary.crash()
        self.switch()

    def switch(self) -> None:
        """The standby takes over; nothing is done to the primary."""
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary

    def heal(self) -> None:
        """A standby that streams, made anew where the one that there was is dead, cut off or no standby any more."""
        if self.standby is not self.primary and self._streams():
            return
        if self.standby is not self.primary:
            self.standby.crash()
            shutil.rmtree(self.standby.folder)
        self.standby = Member(self._next_folder(), self.primary)
        self.standby.start()
        poll(self._streams, PATIENCE_SECONDS)

    def catch_up(self) -> None:
        """Wait until the standby has applied all that was committed."""
        position = self.primary.of("postgres").scalar("SELECT pg_current_wal_flush_lsn()::text")
        applied = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
        poll(lambda: self.standby.of("postgres").scalar(applied, [position]), PATIENCE_SECONDS)

    def cut_replication(self) -> None:
        """The standby hears nothing more; the primary commits on."""
        standby = self.standby.of("postgres")
        with standby.connect() as connection:
            connection.execute("ALTER SYSTEM SET primary_conninfo = ''")
            connection.execute("SELECT pg_reload_conf()")
        poll(lambda: not standby.scalar("SELECT count(*) FROM pg_stat_wal_receiver"), PATIENCE_SECONDS)

    def _streams(self) -> bool:
        if not self.standby.running or not self.standby.of("postgres").scalar("SELECT pg_is_in_recovery()"):
            return False
        return bool(
            self.primary.of("postgres").scalar("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")
        )

    def _next_folder(self) -> Path:
        self._born += 1
        return self._root / f"{self._born:02d}"
