"""Debian's redis-server on a loopback port of its own: a broker for tests."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError

from syncer_assets_tests.servers import free_ports, poll

PASSWORD = "kept-in-the-environment"


class RedisServer:
    """It keeps nothing on disk, asks for a password, and goes with its folder."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="syncer-redis-")
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_ports(1)[0]

    @staticmethod
    def program() -> Path | None:
        program = shutil.which("redis-server")
        return Path(program) if program else None

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def start(self) -> "RedisServer":
        config = Path(self._folder.name) / "redis.conf"
        config.write_text(
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {PASSWORD}\ndir {self._folder.name}\n"
            'save ""\nappendonly no\ndaemonize no\n'
        )
        self._process = subprocess.Popen(
            [str(self.program()), str(config)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        poll(self._answers, deadline_seconds=60)
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def _answers(self) -> bool:
        client = Redis.from_url(self.url)
        try:
            return bool(client.ping())
        except ConnectionError:
            return False
        finally:
            client.close()
