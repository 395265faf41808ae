"""The double: it listens on a loopback port, takes what Redshift takes, and lets a real PostgreSQL do the work."""

import select
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

import psycopg

from syncer_assets_tests.doubles.redshift import copying, dialect, wire
from syncer_assets_tests.doubles.redshift.wire import Closed, Message, Stream
from syncer_assets_tests.servers import Bucket, Database

USER, PASSWORD = "loader", "loader's secret"
Cut = Literal["before", "after"]
"""`before` the statement reaches the server; `after` the server did it, and the client learns nothing."""

BACKEND_SETTINGS = {
    "search_path": '"$user",public,redshift_double,pg_catalog',
    "standard_conforming_strings": "off",
    "escape_string_warning": "off",
    "default_transaction_isolation": "repeatable\\ read",
    "timezone": "UTC",
    "client_encoding": "UTF8",
    "client_min_messages": "error",
}
"""Backslashes are escapes and a transaction sees one snapshot, as in Redshift, whose functions come first."""


@dataclass(eq=False)
class Refused(Exception):
    """The double, or the server behind it, ended a statement with this error."""

    answer: Message


@dataclass
class RedshiftDouble:
    """A Redshift of one database, which reads one bucket. `statements` has all that clients sent, in order.

    `cut_at` may say of a statement that its connection is to be cut."""

    database: Database
    bucket: Bucket
    statements: list[str] = field(default_factory=list)
    cut_at: Callable[[str], Cut | None] = lambda statement: None
    encodings: list[str | None] = field(default_factory=list)
    """The client_encoding that each session asked for."""
    copied: list[list[dict[str, Any]]] = field(default_factory=list)
    """The entries of the manifest of each COPY."""
    passive: set[str] = field(default_factory=set)
    """Statements (`VACUUM`, `ANALYZE`) that succeed and do nothing, as they do for a role that may not."""
    port: int = 0
    _failing: tuple[str, str, str] | None = None
    _server: socket.socket | None = None

    def __enter__(self) -> Self:
        self.database.execute((Path(__file__).with_name("schema.sql")).read_text())
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, name="redshift-double", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.kill_sessions()

    @property
    def dsn(self) -> str:
        return self.dsn_with(PASSWORD)

    def dsn_with(self, password: str) -> str:
        """The DSN with another password."""
        quoted = password.replace("'", "%27").replace(" ", "%20")
        return f"postgresql://{USER}:{quoted}@127.0.0.1:{self.port}/{self.database.name}?sslmode=disable"

    @property
    def copies(self) -> int:
        """The COPYs that were done."""
        return len(self.copied)

    def fail(self, prefix: str, sqlstate: str, message: str) -> None:
        """The next statement that begins so gets this error; once."""
        self._failing = (prefix, sqlstate, message)

    def kill_sessions(self) -> None:
        """End every session of the database, and wait until they are gone."""
        self.database.execute(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )

    def take_failure(self, statement: str) -> tuple[str, str] | None:
        """The error that this statement is to get."""
        if self._failing is None or not statement.strip().startswith(self._failing[0]):
            return None
        (_, sqlstate, message), self._failing = self._failing, None
        return sqlstate, message

    def backend(self) -> socket.socket:
        """A connection to the PostgreSQL behind."""
        address = parse_qs(urlsplit(self.database.admin_dsn).query)
        raw = socket.socket(socket.AF_UNIX)
        raw.connect(f"{address['host'][0]}/.s.PGSQL.{address['port'][0]}")
        return raw

    def _accept(self) -> None:
        assert self._server is not None
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), name="redshift-session", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        session = _Session(self, Stream(client))
        try:
            session.run()
        except Closed:
            pass
        finally:
            session.close()


@dataclass
class _Session:
    """One client, and its session with the PostgreSQL behind."""

    double: RedshiftDouble
    client: Stream
    server: Stream | None = None
    status: bytes = b"I"
    pid: int = 0

    def run(self) -> None:
        if not self._started():
            return
        assert self.server is not None
        while True:
            ready, _, _ = select.select([self.client.raw, self.server.raw], [], [])
            if self.server.raw in ready:
                self.client.send(self.server.message())  # the server has something to say by itself: that it ends
                continue
            message = self.client.message()
            if message.kind == b"X":
                return
            if message.kind != b"Q":
                self.client.send(wire.error("0A000", "the double takes plain statements only", "FATAL"))
                return
            if not self._statement(message.body.rstrip(b"\0").decode()):
                return

    def close(self) -> None:
        self.client.close()
        if self.server is not None:
            self.server.close()

    def _started(self) -> bool:
        code, body = self.client.startup()
        while code in (wire.SSL_REQUEST, wire.GSS_REQUEST):
            self.client.send_bytes(b"N")
            code, body = self.client.startup()
        if code == wire.CANCEL_REQUEST:
            return False
        asked = wire.parameters(body)
        self.client.send(Message(b"R", b"\0\0\0\3"))  # the password, in clear
        password = self.client.message().body.rstrip(b"\0").decode()
        if (asked.get("user"), password) != (USER, PASSWORD):
            self.client.send(
                wire.error("28000", f'password authentication failed for user "{asked.get("user")}"', "FATAL")
            )
            return False
        self.double.encodings.append(asked.get("client_encoding"))
        self.server = Stream(self.double.backend())
        options = " ".join(f"-c {name}={value}" for name, value in BACKEND_SETTINGS.items())
        self.server.send_bytes(
            wire.startup_message({"user": "postgres", "database": self.double.database.name, "options": options})
        )
        self._greet(asked)
        return True

    def _greet(self, asked: dict[str, str]) -> None:
        """What the client learns of the server is what Redshift says of itself."""
        assert self.server is not None
        said = {"server_version": "8.0.2", "client_encoding": "UTF8" if "client_encoding" in asked else "UNICODE"}
        while True:
            message = self.server.message()
            if message.kind == b"S":
                name, value = message.body.decode()[:-1].split("\0")
                if name == "standard_conforming_strings":
                    continue
                message = Message(b"S", f"{name}\0{said.get(name, value)}\0".encode())
            if message.kind == b"K":
                self.pid = int.from_bytes(message.body[:4], "big")
            self.client.send(message)
            if message.kind in (b"Z", b"E"):
                return

    def _statement(self, statement: str) -> bool:
        """Whether the session goes on."""
        self.double.statements.append(statement.strip())
        cut = self.double.cut_at(statement.strip())
        if cut == "before":
            assert self.server is not None
            self.server.close()
            self.client.reset()
            return False
        try:
            answer = self._answers(statement)
        except Refused as refused:
            answer = [refused.answer]
        if cut == "after":
            self.client.reset()
            return False
        self.client.send(*answer, Message(b"Z", self.status))
        return True

    def _answers(self, statement: str) -> list[Message]:
        in_transaction = self.status != b"I"
        if reason := dialect.refusal(statement, in_transaction=in_transaction):
            self._raise("0A000", f"Redshift would not take this: {reason}")
        if failure := self.double.take_failure(statement):
            self._raise(*failure)
        first = dialect.words(statement)[0]
        if first in self.double.passive:
            return [Message(b"C", f"{first}\0".encode())]
        if first == "COPY":
            return self._copy(statement)
        if first == "TRUNCATE":
            self._ask(statement)
            self._ask("COMMIT")
            return [Message(b"C", b"TRUNCATE TABLE\0")]
        if layout := dialect.layout_of(statement):
            return self._lay_out(*layout)
        answer = self._ask(dialect.translated(statement))
        if first in ("VACUUM", "ANALYZE"):
            self._ask("SELECT pg_stat_force_next_flush()")
        return answer

    def _copy(self, statement: str) -> list[Message]:
        match = dialect.COPY.fullmatch(statement.strip())
        assert match is not None
        found = self._ask(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = "
            f"'{match['table']}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        )
        rows = [wire.rows(message.body) for message in found if message.kind == b"D"]
        columns = [copying.Column(str(name), str(kind).rpartition(".")[2]) for name, kind in rows]
        try:
            entries = copying.manifest(self.double.bucket, match["source"])
            table = copying.read(self.double.bucket, entries, columns)
        except copying.CopyRefused as refused:
            self._log(refused)
            self._raise(refused.sqlstate, refused.message)
        self._ask(f"COPY {match['table']} FROM STDIN (FORMAT csv)", copying.csv(table))
        self.double.copied.append(entries)
        return [Message(b"C", b"COPY\0")]

    def _lay_out(self, table: str, what: str, value: str) -> list[Message]:
        columns = [part.strip().strip('"') for part in value.split(",")]
        values = (
            f"sort_key = '{columns[0]}', sort_columns = {len(columns)}"
            if what == "sort_key"
            else (f"distribution = '{value}'")
        )
        quoted = table.replace("'", "''")
        self._ask(f"INSERT INTO redshift_double.layouts (oid) VALUES ('{quoted}'::regclass) ON CONFLICT DO NOTHING")
        self._ask(f"UPDATE redshift_double.layouts SET {values} WHERE oid = '{quoted}'::regclass")
        return [Message(b"C", b"ALTER TABLE\0")]

    def _log(self, refused: copying.CopyRefused) -> None:
        """Load errors outlive their transaction."""
        with psycopg.connect(self.double.database.admin_dsn, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO redshift_double.sys_load_error_detail"
                " (session_id, file_name, column_name, column_type, error_message) VALUES (%s, %s, %s, %s, %s)",
                (self.pid, refused.file, refused.column, refused.type, refused.message),
            )

    def _raise(self, sqlstate: str, message: str) -> None:
        """The error from the server itself, so that it ends a transaction as errors do."""
        text = message.replace("\\", "\\\\").replace("'", "''").replace("%", "%%")
        self._ask(f"DO $redshift$ BEGIN RAISE EXCEPTION '{text}' USING ERRCODE = '{sqlstate}'; END $redshift$")
        raise AssertionError("the server raised nothing")

    def _ask(self, statement: str, data: bytes | None = None) -> list[Message]:
        """The server's answer, without its last word. Raises Refused with an error as Redshift would word it."""
        assert self.server is not None
        self.server.send(wire.query(statement))
        answer: list[Message] = []
        failed: Message | None = None
        while True:
            message = self.server.message()
            if message.kind == b"Z":
                self.status = message.body
                if failed:
                    raise Refused(_as_redshift(failed))
                return answer
            if message.kind == b"E":
                failed = message
                if message.fields.get("S") == "FATAL":
                    self.client.send(message)
                    raise Closed
            elif message.kind == b"G":
                self.server.send(Message(b"d", data or b""), Message(b"c", b""))
            elif message.kind != b"N":
                answer.append(message)


def _as_redshift(answer: Message) -> Message:
    """A conflict of two transactions is told in text, and a text that is too long is no violation of a constraint."""
    fields = answer.fields
    if fields.get("C") in ("40001", "40P01"):
        return wire.error("XX000", "1023 DETAIL: Serializable isolation violation on table")
    if fields.get("C") == "23514" and fields.get("n", "").startswith("bytes_"):
        return wire.error("22001", "Value too long for character type")
    return answer
