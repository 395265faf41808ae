"""Rows come over TLS where the DSN asks for it, and from no server but the one that the certificate names.

libpq may hold bytes that its socket does not show.

The embedded server has no TLS: a proxy before it has, which makes records of all that the server has sent.
"""

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import pytest

from syncer_assets.drivers import tls
from syncer_assets.model.errors import DbError
from syncer_assets.sources.base import Read
from syncer_assets.sources.postgres import PostgresSource
from syncer_assets.sources.registry import open_source
from syncer_assets.sync import extract
from syncer_assets.sync.lake import open_lake
from syncer_assets_tests.servers import Database, missing
from syncer_assets_tests.sync.tables import spec_of

RECEIVE_BYTES = 256 * 1024


def make_certificate(key: Path, made: Path) -> None:
    """A self-signed certificate of 127.0.0.1, and its key."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]
    name = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *name, "-keyout", str(key), "-out", str(made)], check=True, capture_output=True)


class TlsProxy:
    """Ends TLS and hands everything on to a server's socket; `sent` counts bytes to the client."""

    def __init__(self, folder: Path, server: Path):
        key, made = folder / "key.pem", folder / "made.pem"
        make_certificate(key, made)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(made, key)
        self._server, self.sent, self.made, self.accepted = server, 0, made, 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                Thread(target=self._serve, args=(self._listening.accept()[0],), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        self.accepted += 1
        try:
            if plain.recv(8)[4:] != b"\x04\xd2\x16\x2f":  # SSLRequest: a client that wants no TLS is sent away
                plain.close()
                return
            plain.sendall(b"S")
            client = self._context.wrap_socket(plain, server_side=True)
        except OSError:  # the client is gone, or did not believe the certificate
            plain.close()
            return
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(str(self._server))
            upwards = Thread(target=self._upwards, args=(client, server), daemon=True)
            upwards.start()
            with suppress(OSError):
                while data := server.recv(RECEIVE_BYTES):
                    client.sendall(data)
                    self.sent += len(data)
            upwards.join()

    def _upwards(self, client: ssl.SSLSocket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(RECEIVE_BYTES):
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(source_db: Database, tmp_path: Path) -> Iterator[TlsProxy]:
    if shutil.which("openssl") is None:
        missing("openssl is not installed")
    opened = TlsProxy(tmp_path, source_db.server.socket_folder / ".s.PGSQL.5432")
    yield opened
    opened.close()


@pytest.mark.parametrize("size", [900, 8192, 20_000, 100_000])
def test_rows_of_any_length_come_encrypted(source_db: Database, proxy: TlsProxy, size: int) -> None:
    """Records of TLS end where they end, not where rows do."""
    rows = 20_000_000 // size
    source_db.execute(
        f"CREATE TABLE t AS SELECT g AS id, repeat('x', {size} + g % 7) AS pad FROM generate_series(1, {rows}) g"
    )
    dsn = f"postgresql://{source_db.role}@127.0.0.1:{proxy.port}/{source_db.name}?sslmode=require"
    with closing(PostgresSource("shop", dsn)) as source:
        read = Read("t", source.describe("t").columns, ())
        assert sum(batch.num_rows for batch in source.read(read)) == rows
    assert proxy.sent > 20_000_000


SECRET = "c4n@ry %/"


def test_the_server_that_its_certificate_names_is_read(source_db: Database, proxy: TlsProxy) -> None:
    at = f"{source_db.role}@127.0.0.1:{proxy.port}"
    dsn = f"postgresql://{at}/{source_db.name}?sslmode=verify-full&sslrootcert={proxy.made}"
    with closing(open_source("shop", "postgres", dsn)) as source:
        assert source.identity().database.startswith("postgres:")
    assert proxy.sent


@pytest.mark.parametrize(
    ("host", "parameters"),
    [
        ("127.0.0.1", ""),
        ("127.0.0.1", "?sslmode=verify-full"),
        ("127.0.0.1", "?sslmode=verify-full&sslrootcert={other}"),
        ("localhost", "?sslmode=verify-full&sslrootcert={made}"),
    ],
    ids=["unknown authority, by default", "unknown authority", "another authority", "another host"],
)
def test_a_certificate_that_is_not_the_servers_is_refused_at_the_first_attempt(
    host: str, parameters: str, source_db: Database, proxy: TlsProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a password is given away; as for any other machine, though this one plays it."""
    monkeypatch.setattr(tls, "is_local", lambda host: False)
    other = tmp_path / "other.pem"
    make_certificate(tmp_path / "other.key", other)
    at = f"postgres:{quote(SECRET, safe='')}@{host}:{proxy.port}/{source_db.name}"
    dsn = f"postgresql://{at}{parameters.format(other=other, made=proxy.made)}"
    began = time.monotonic()
    with closing(open_source("shop", "postgres", dsn)) as source, pytest.raises(DbError) as failed:
        extract(source, open_lake(f"file://{tmp_path}/lake"), spec_of())
    error = failed.value
    assert not error.retryable and "sslrootcert=FILE" in str(error.fix) and "certificate" in str(error)
    assert SECRET not in str(error) and quote(SECRET, safe="") not in str(error)
    assert time.monotonic() - began < 60, "5 s on a quiet machine"
    assert (proxy.accepted, proxy.sent) == (1, 0)
