"""The production deployment of deploy/, whole on one machine: PostgreSQL storage, logs in a bucket, a code server."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from syncer_assets_tests.servers import free_ports, poll
from syncer_assets_tests.ui.dagster_ui import CHECKOUT, START_SECONDS, DagsterUI

DEPLOY = CHECKOUT / "deploy"


class Production(DagsterUI):
    """The three processes of deploy/systemd with deploy/dagster.yaml and deploy/workspace.yaml, on other ports.

    `env` is that of syncer.env; `secrets` that of connections.env, which the code server alone has.
    """

    def __init__(self, home: Path, env: Mapping[str, str], secrets: Mapping[str, str]) -> None:
        home.mkdir(parents=True)
        self.port = free_ports(1)[0]
        workspace = home / "workspace.yaml"
        workspace.write_text((DEPLOY / "workspace.yaml").read_text().replace("port: 4000", f"port: {self.port}"))
        super().__init__(home, env, DEPLOY / "dagster.yaml", workspace)
        self._secrets = secrets

    def start(self) -> "Production":
        """All three, ready to answer."""
        command = command_of("code").replace("--port 4000", f"--port {self.port}").split()
        everyones = self.env
        self.env = {**everyones, **self._secrets}
        (self.home / "dagster.yaml").write_text(self.instance.read_text())
        self._start(*command)
        self.env = everyones
        poll(self.code_server_is_healthy, START_SECONDS, every_seconds=0.5)
        super().start()
        self.start_daemon()
        return self

    def code_server_is_healthy(self) -> bool:
        return self._health("dagster", "api", "grpc-health-check", "--host", "127.0.0.1", "--port", str(self.port))

    def daemon_is_alive(self) -> bool:
        return self._health("dagster-daemon", "liveness-check")

    def webserver_answers(self) -> bool:
        return self._client.get(f"{self.url}/server_info").status_code == 200

    def _health(self, program: str, *arguments: str) -> bool:
        path = str(Path(sys.executable).with_name(program))
        return subprocess.run([path, *arguments], env=self.env, capture_output=True, timeout=120).returncode == 0


def command_of(process: str) -> str:
    """The command of a unit in deploy/systemd, its program by name alone."""
    unit = (DEPLOY / "systemd" / f"syncer-{process}.service").read_text()
    found = re.search(r"^ExecStart=/opt/syncer/\.venv/bin/(.+)$", unit, re.MULTILINE)
    assert found is not None, f"no ExecStart in the unit of {process}"
    return found[1]


def variables_of(name: str) -> set[str]:
    """The names that an example of an environment file sets."""
    return set(re.findall(r"^([A-Z_]+)=", (DEPLOY / name).read_text(), re.MULTILINE))
