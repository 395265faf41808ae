"""A step whose run was killed ends itself, and a process that runs its steps itself does not."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from syncer_assets.assets.orphan import end_with_parent
from syncer_assets_tests.servers import poll

PARENT = """
import multiprocessing, sys, time
from syncer_assets_tests.assets.test_orphan import child
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    process = context.Process(target=child, args=(sys.argv[2],))
    process.start()
    process.join()
"""


def child(folder: str) -> None:
    """What Dagster's executor starts: it would work on for a minute."""
    assert end_with_parent()
    assert not end_with_parent(), "one watch is enough"
    Path(folder, "pid").write_text(str(os.getpid()))
    time.sleep(120)
    Path(folder, "survived").touch()


def told(file: Path) -> int:
    """The number in the file; 0 while there is none."""
    return int(file.read_text() or 0) if file.exists() else 0


def is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return status != "Z"


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_step_ends_within_seconds_of_its_parents_death(tmp_path: Path, method: str) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen(
        [sys.executable, str(script), method, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        pid = poll(lambda: told(tmp_path / "pid"), 60)
        assert is_alive(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        poll(lambda: not is_alive(pid), 60)
    finally:
        parent.kill()
    assert not (tmp_path / "survived").exists()


def test_a_process_that_runs_its_steps_itself_is_not_watched() -> None:
    assert multiprocessing.parent_process() is None
    assert not end_with_parent()
