"""Dagster's UI and daemon on loopback, until Ctrl-C."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from .screen import Screen

HOST = "127.0.0.1"
PATIENCE_SECONDS = 90
END_SECONDS = 30


def serve(folder: Path, port: int, screen: Screen) -> bool:
    """Serve the definitions of this environment; True if it was a person who ended it. The log is in `folder`."""
    port = port if _is_free(port) else _free_port()
    log = folder / "ui.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "dagster", "dev", "-m", "syncer_assets.definitions"]
        process = subprocess.Popen(
            [*command, "--host", HOST, "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # Ctrl-C comes to us, and we end it in order
        )
    try:
        if not _answers(process, port):
            screen.problem(f"the UI did not start. Fix: its log says why: {log}")
            return False
        screen.line(f"Dagster's UI: http://{HOST}:{port}   (Ctrl-C ends it, its log is {log})", style="bold")
        while process.poll() is None:
            time.sleep(0.2)  # a blocking wait would not hear Ctrl-C: the object store's runtime restarts system calls
        screen.problem(f"the UI ended by itself. Fix: its log says why: {log}")
        return False
    except KeyboardInterrupt:
        screen.line("ending the UI, the daemon and PostgreSQL")
        return True
    finally:
        _end(process)


def _answers(process: "subprocess.Popen[bytes]", port: int) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return True
    return False


def _end(process: "subprocess.Popen[bytes]") -> None:
    """SIGINT lets dagster end its children; what is left after a while is killed with its whole group."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def _is_free(port: int) -> bool:
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        return int(server.getsockname()[1])
