"""The embedded server is there for whoever asks, however the last one left it."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from syncer_assets.demo.server import LONGEST_SOCKET, EmbeddedPostgres

START_AND_HOLD = """
import sys
from pathlib import Path
from syncer_assets.demo.server import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), durable=False).start()
print(server.pid, flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="syncer-server-") as path:
        yield Path(path) / "pg"


def test_a_database_is_created_once_and_anew_when_asked(folder: Path) -> None:
    with EmbeddedPostgres(folder, durable=False) as server:
        dsn = server.create_database("shop")
        _execute(dsn, "CREATE TABLE kept (id int)")
        assert server.create_database("shop") == dsn
        _execute(dsn, "SELECT FROM kept")
        with pytest.raises(psycopg.errors.UndefinedTable):
            _execute(server.create_database("shop", fresh=True), "SELECT FROM kept")


def test_data_outlives_a_stop(folder: Path) -> None:
    with EmbeddedPostgres(folder, durable=False) as server:
        _execute(server.create_database("shop"), "CREATE TABLE kept (id int)")
    assert not server.running
    with EmbeddedPostgres(folder, durable=False) as server:
        _execute(server.dsn("shop"), "SELECT FROM kept")


def test_a_later_user_finds_the_server_running_and_the_last_one_out_stops_it(folder: Path) -> None:
    first = EmbeddedPostgres(folder, durable=False).start()
    second = EmbeddedPostgres(folder, durable=False).start()
    assert second.pid == first.pid
    first.stop()
    _execute(second.dsn(), "SELECT 1")
    second.stop()
    assert not second.running


def test_processes_that_start_at_once_share_one_server(folder: Path) -> None:
    command = [sys.executable, "-c", START_AND_HOLD, str(folder)]
    starters = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    pids = {starter.stdout.readline() for starter in starters if starter.stdout}
    for starter in starters:
        starter.communicate(timeout=200)
    assert [starter.returncode for starter in starters] == [0, 0, 0, 0]
    assert len(pids) == 1
    assert not EmbeddedPostgres(folder).running


def test_a_killed_user_no_longer_counts(folder: Path) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", START_AND_HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with starter:
        assert starter.stdout and starter.stdout.readline()
        starter.kill()
    with EmbeddedPostgres(folder, durable=False) as server:
        _execute(server.dsn(), "SELECT 1")
    assert not server.running


def test_a_server_that_was_killed_starts_again(folder: Path) -> None:
    server = EmbeddedPostgres(folder, durable=False).start()
    killed = server.pid
    assert killed
    os.kill(killed, signal.SIGKILL)
    with EmbeddedPostgres(folder, durable=False) as again:
        assert again.pid != killed
        _execute(again.dsn(), "SELECT 1")
        server.stop()


def test_backends_of_a_killed_server_are_waited_for(folder: Path) -> None:
    server = EmbeddedPostgres(folder, durable=False).start()
    with psycopg.connect(server.dsn()) as session:
        backend, postmaster = session.info.backend_pid, server.pid
        assert postmaster
        os.kill(backend, signal.SIGSTOP)
        os.kill(postmaster, signal.SIGKILL)
        end = threading.Timer(1, os.kill, [backend, signal.SIGKILL])
        end.start()
        with EmbeddedPostgres(folder, durable=False) as again:
            end.join(timeout=0)
            assert not end.is_alive()
            _execute(again.dsn(), "SELECT 1")
            server.stop()


def test_a_pid_file_that_names_another_process_is_stale(folder: Path) -> None:
    with EmbeddedPostgres(folder, durable=False) as server:
        written = (server.data / "postmaster.pid").read_text()
    stranger = written.replace(written.splitlines()[0], str(os.getpid()), 1)
    (server.data / "postmaster.pid").write_text(stranger)
    assert not server.running
    with server:
        _execute(server.dsn(), "SELECT 1")


def test_an_interrupted_initdb_is_begun_again(folder: Path) -> None:
    (folder / "data.new").mkdir(parents=True)
    (folder / "data.new" / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(folder, durable=False) as server:
        _execute(server.dsn(), "SELECT 1")


@pytest.mark.parametrize("name", ["it's a folder, with 100 % spaces", "long" * 30], ids=["spaces", "long"])
def test_any_folder_name_gives_a_dsn(folder: Path, name: str) -> None:
    with EmbeddedPostgres(folder / name, durable=False) as server:
        dsn = server.create_database("shop")
        assert len(f"{server.socket_folder}/.s.PGSQL.5432") <= LONGEST_SOCKET
        _execute(dsn, "CREATE TABLE seen AS SELECT 7 AS id")
        with psycopg.connect(dsn) as connection:
            assert connection.execute("SELECT id FROM seen").fetchall() == [(7,)]


def test_a_role_with_a_password_is_asked_for_it(folder: Path) -> None:
    with EmbeddedPostgres(folder, durable=False) as server:
        _execute(server.dsn(), "CREATE ROLE password; CREATE ROLE clerk LOGIN PASSWORD 'right' IN ROLE password")
        _execute(server.dsn(user="clerk", password="right"), "SELECT 1")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.dsn(user="clerk", password="wrong"))


def test_no_network_address_is_listened_on(folder: Path) -> None:
    with EmbeddedPostgres(folder, durable=False) as server, psycopg.connect(server.dsn()) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    with pytest.raises(RuntimeError, match='unrecognized configuration parameter "no_such_setting"'):
        EmbeddedPostgres(folder, settings={"no_such_setting": "1"}).start()


def _execute(dsn: str, script: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(script.encode())
