"""Rows come over TLS where the DSN asks for it: libpq may hold bytes that its socket does not show.

The embedded server has no TLS: a proxy before it has, which makes records of all that the server has sent.
"""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from threading import Thread

import pytest

from syncer_assets.sources.base import Read
from syncer_assets.sources.postgres import PostgresSource
from syncer_assets_tests.servers import Database, missing

RECEIVE_BYTES = 256 * 1024


class TlsProxy:
    """Ends TLS and hands everything on to a server's socket; `sent` counts bytes to the client."""

    def __init__(self, folder: Path, server: Path):
        key, made = folder / "key.pem", folder / "made.pem"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]
        subprocess.run([*command, "-keyout", str(key), "-out", str(made)], check=True, capture_output=True)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(made, key)
        self._server, self.sent = server, 0
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
        assert plain.recv(8)[4:] == b"\x04\xd2\x16\x2f"  # SSLRequest
        plain.sendall(b"S")
        with self._context.wrap_socket(plain, server_side=True) as client, socket.socket(socket.AF_UNIX) as server:
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
    dsn = f"postgresql://postgres@127.0.0.1:{proxy.port}/{source_db.name}?sslmode=require"
    with closing(PostgresSource("shop", dsn)) as source:
        read = Read("t", source.describe("t").columns, ())
        assert sum(batch.num_rows for batch in source.read(read)) == rows
    assert proxy.sent > 20_000_000
