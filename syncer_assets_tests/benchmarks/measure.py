"""One run in a process of its own: wall time, CPU of client and servers, peak memory, longest source query."""

import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from .servers import Servers

SAMPLE_SECONDS = 0.02
LIMIT_SECONDS = 1800


class RunFailed(RuntimeError):
    """A run ended with an error; the text ends with what it said."""


@dataclass(frozen=True)
class Sample:
    """What one run took. `facts` is the JSON object that it printed as its last line."""

    wall_seconds: float
    client_cpu_seconds: float
    server_cpu_seconds: float
    peak_mb: float
    longest_query_seconds: float
    facts: dict[str, Any] = field(default_factory=dict)


def run(command: Sequence[str], servers: Servers, env: Mapping[str, str]) -> Sample:
    """Run `command` to its end. Raises RunFailed; a run of more than LIMIT_SECONDS is killed."""
    servers.forget_queries()
    served = servers.cpu_seconds()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        started = time.monotonic()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, env={**os.environ, **env}
        )
        peak = _Peak(process.pid)
        limit = threading.Timer(LIMIT_SECONDS, process.kill)
        limit.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
        limit.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        peak_mb = peak.stop()
        for file in (out, errors):
            file.seek(0)
        said, complaint = out.read().decode(errors="replace"), errors.read().decode(errors="replace")
    if process.returncode:
        raise RunFailed(f"exit {process.returncode} after {wall:.0f} s: {_last(complaint) or _last(said)}")
    return Sample(
        wall_seconds=round(wall, 3),
        client_cpu_seconds=round(usage.ru_utime + usage.ru_stime, 3),
        server_cpu_seconds=round(servers.cpu_seconds() - served, 3),
        peak_mb=round(peak_mb, 1),
        longest_query_seconds=round(servers.longest_query_seconds(), 3),
        facts=_facts(said),
    )


class _Peak:
    """The highest sum of peak resident sizes of a process and its children, read from /proc while it runs.

    Not `ru_maxrss`: that of a child begins with its parent's.
    """

    def __init__(self, pid: int):
        self._pid, self._peaks = pid, {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        self._ended.set()
        self._thread.join()
        return sum(self._peaks.values()) / 1024

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            with suppress(psutil.Error, FileNotFoundError, ProcessLookupError):
                for pid in (self._pid, *(child.pid for child in psutil.Process(self._pid).children(recursive=True))):
                    status = Path(f"/proc/{pid}/status").read_text()
                    found = [line for line in status.splitlines() if line.startswith("VmHWM")]
                    if found:
                        self._peaks[pid] = int(found[0].split()[1])


def _facts(said: str) -> dict[str, Any]:
    line = _last(said)
    if not line.startswith("{"):
        return {}
    with suppress(ValueError):
        return json.loads(line)
    return {}


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
