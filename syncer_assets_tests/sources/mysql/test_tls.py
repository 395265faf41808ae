"""Rows come over TLS where the DSN asks for it, and from no server but the one that the certificate names."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from syncer_assets.drivers import mysql, tls
from syncer_assets.model.errors import DbError
from syncer_assets.sources.base import Read
from syncer_assets.sources.mysql import MySQLSource
from syncer_assets.sources.registry import open_source
from syncer_assets_tests.mariadb import MariaDatabase, MariaDB
from syncer_assets_tests.servers import missing


def certificate(folder: Path, name: str, host: str) -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    key, made = folder / f"{name}.key", folder / f"{name}.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"),
            *("-addext", f"subjectAltName={host}", "-keyout", str(key), "-out", str(made)),
        ],
        check=True,
        capture_output=True,
    )
    return made, key


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MariaDatabase, Path, Path]]:
    """A database whose server demands TLS, its certificate, and another one."""
    if MariaDB.program() is None or shutil.which("openssl") is None:
        missing("MariaDB or openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    made, key = certificate(folder, "server", "IP:127.0.0.1")
    other, _ = certificate(folder, "other", "IP:127.0.0.1")
    server = MariaDB([f"--ssl-cert={made}", f"--ssl-key={key}", f"--ssl-ca={made}"])
    server.start()
    database = MariaDatabase.create(server, "source")
    database.execute("CREATE TABLE t (id int PRIMARY KEY, pad varchar(900))")
    database.execute("INSERT INTO t SELECT seq, REPEAT('x', 900) FROM seq_1_to_60000")
    database.execute("SET GLOBAL require_secure_transport = 1")
    yield database, made, other
    server.stop()


@pytest.mark.parametrize("mode", ["preferred", "required", "verify_ca", "verify_identity"])
def test_rows_come_encrypted(secured: tuple[MariaDatabase, Path, Path], mode: str) -> None:
    database, made, _ = secured
    with closing(MySQLSource("shop", f"{database.dsn}?ssl_mode={mode}&ssl_ca={made}")) as source:
        with closing(source._open()) as session:
            [(_, cipher)] = mysql.rows(session, "SHOW SESSION STATUS LIKE 'Ssl_cipher'")
        read = Read("t", source.describe("t").columns, ())
        assert cipher and sum(batch.num_rows for batch in source.read(read)) == 60_000
        assert [result.passed for result in source.doctor() if result.name == "encryption"] == [True]


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ("ssl_mode=verify_identity&ssl_ca={other}", "2003"),
        ("ssl_mode=verify_ca&ssl_ca={other}", "2003"),
        ("ssl_mode=verify_ca", "2003"),
        ("ssl_mode=disabled", "1045"),
    ],
)
def test_another_server_is_refused_at_once(
    secured: tuple[MariaDatabase, Path, Path], parameters: str, code: str
) -> None:
    database, _, other = secured
    dsn = f"{database.dsn}?{parameters.format(other=other)}"
    with closing(MySQLSource("shop", dsn)) as source, pytest.raises(DbError) as failed:
        source.identity()
    assert (failed.value.code, failed.value.retryable) == (code, False) and failed.value.fix


def test_another_host_than_the_certificates_is_refused(secured: tuple[MariaDatabase, Path, Path]) -> None:
    database, made, _ = secured
    dsn = database.dsn.replace("127.0.0.1", "localhost")
    source = MySQLSource("shop", f"{dsn}?ssl_mode=verify_identity&ssl_ca={made}")
    with closing(source), pytest.raises(DbError) as failed:
        source.identity()
    assert not failed.value.retryable and "certificate" in str(failed.value.fix)


def test_another_machine_is_verified_by_default(
    secured: tuple[MariaDatabase, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """This one plays it. Nothing is said to a server that no authority vouches for."""
    monkeypatch.setattr(tls, "is_local", lambda host: False)
    database, made, _ = secured
    with closing(open_source("shop", "mysql", database.dsn)) as source, pytest.raises(DbError) as failed:
        source.identity()
    assert (failed.value.code, failed.value.retryable) == ("2003", False) and "ssl_ca" in str(failed.value.fix)
    with closing(open_source("shop", "mysql", f"{database.dsn}?ssl_ca={made}")) as source:
        assert source.identity().database
