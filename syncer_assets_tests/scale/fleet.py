"""deploy/celery on one machine: daemon, workers, Redis, Dagster's records in PostgreSQL. The sensor asks for runs."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg
import yaml

from syncer_assets.demo.server import EmbeddedPostgres
from syncer_assets_tests.benchmarks.latency import delayed
from syncer_assets_tests.components.deployments import write_defs
from syncer_assets_tests.deploy.production import DEPLOY
from syncer_assets_tests.scale.redis import RedisServer
from syncer_assets_tests.servers import free_ports, poll

CHECKOUT = DEPLOY.parent
START_SECONDS = 180
DAGSTER_USER, DAGSTER_PASSWORD = "dagster", "kept-in-the-environment"
PARTITION_IDS, SKU_BYTES = 1_000, 80
INSTANCE = """
import dagster, sys
instance = dagster.DagsterInstance.get()
instance.event_log_storage.set_concurrency_slots("sync__shop__wide", int(sys.argv[1]))
"""
"""Makes the tables of Dagster's storage, and does what `dagster instance concurrency set` does."""


class Fleet:
    """Workers as deploy/systemd starts them, on deploy/celery/dagster.yaml with quicker polls and logs on this disk.

    The table `wide` has `partitions` partitions of `ids` rows each, `at_once` of which may be read at a time, and there
    are `tables` small ones. The sensor asks for all of them as soon as the daemon is there. The source is `far` where a
    round trip in milliseconds, and the MB that a connection gets in a second, are given.
    """

    def __init__(
        self,
        folder: Path,
        partitions: int,
        tables: int,
        at_once: int,
        ids: int = PARTITION_IDS,
        far: tuple[float, float] | None = None,
    ) -> None:
        self.folder, self.home = folder, folder / "home"
        self.home.mkdir(parents=True)
        self.runs = partitions + tables
        self._tables, self._partitions, self._at_once, self._ids, self._far = tables, partitions, at_once, ids, far
        self._processes: list[subprocess.Popen[bytes]] = []
        self._stack = contextlib.ExitStack()
        self.workers: dict[int, subprocess.Popen[bytes]] = {}
        self._killed: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Fleet":
        with self._stack as stack:
            self.redis = RedisServer()
            stack.callback(self.redis.stop)
            self.redis.start()
            folder = Path(tempfile.mkdtemp(prefix="syncer-fleet-"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            settings = {"listen_addresses": "127.0.0.1", "port": str(free_ports(1)[0]), "max_connections": "200"}
            self.postgres = stack.enter_context(EmbeddedPostgres(folder, durable=False, settings=settings))
            stack.callback(self._stop_processes)
            self._make_databases()
            self.shop = self._shop(stack)
            self._write_home()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start_workers(self, count: int) -> None:
        """So many, each able to take a run."""
        for number in range(1, count + 1):
            self.start_worker(number)
        poll(lambda: len(self._answering()) >= count, START_SECONDS, every_seconds=0.3)

    def start_worker(self, number: int) -> None:
        """One, by its number; it need not answer yet."""
        self.workers[number] = self._start(f"worker{number}", *worker_command(number))

    def start_daemon(self) -> None:
        """From now on the sensor asks for what there is to read."""
        self._start("daemon", "dagster-daemon", "run", "--workspace", str(self.home / "workspace.yaml"))

    def kill_worker(self, number: int) -> None:
        """SIGKILL to the worker alone, as the kernel or a lost machine does it: its run has to end with it."""
        worker = self.workers.pop(number)
        worker.kill()
        worker.wait()
        self._killed.append(worker)

    def answers(self, number: int) -> bool:
        """Whether a worker of that number says something."""
        return any(name.startswith(f"worker{number}@") for name in self._answering())

    def terminate(self, run_id: str) -> None:
        """What the UI sends to end a run. Raises AssertionError where Dagster does not."""
        asks = f'mutation {{ terminateRun(runId: "{run_id}") {{ __typename }} }}'
        (self.home / "nothing.yaml").write_text("load_from: []")
        program = [
            str(Path(sys.executable).with_name("dagster-graphql")),
            "--workspace",
            str(self.home / "nothing.yaml"),
        ]
        done = subprocess.run([*program, "--text", asks], env=self.env, capture_output=True, timeout=START_SECONDS)
        assert b"TerminateRunSuccess" in done.stdout, done.stdout + done.stderr

    def wait_for(self, what: Callable[[], object], deadline_seconds: float) -> None:
        """Poll; the processes have to live meanwhile. Raises AssertionError with the ends of their logs."""

        def living() -> object:
            dead = [process.args for process in self._processes if process not in self._killed and process.poll()]
            assert not dead, f"ended: {dead}\n{self.logs()}"
            return what()

        try:
            poll(living, deadline_seconds, every_seconds=0.2)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self.statuses()}\n{self.logs()}") from None

    def statuses(self) -> dict[str, int]:
        """Dagster's runs by status."""
        rows = self.query("dagster", "SELECT status, count(*) FROM runs GROUP BY 1")
        return {status: int(count) for status, count in rows}

    def loaded(self) -> dict[tuple[str, str], int]:
        """The ledger: manifests loaded, by target and partition."""
        if self.query("analytics", "SELECT to_regclass('_syncer.loads')") == [(None,)]:
            return {}
        return {
            (target, key): count
            for target, key, count in self.query(
                "analytics", "SELECT target_name, partition_key, count(*) FROM _syncer.loads GROUP BY 1, 2"
            )
        }

    def processes_of_runs(self) -> dict[str, set[int]]:
        """The process ids that runs were begun in, by run."""
        found: dict[str, set[int]] = {}
        rows = self.query(
            "dagster", "SELECT run_id, event FROM event_logs WHERE event LIKE '%Started process for run%'"
        )
        for run_id, event in rows:
            pid = re.search(r"Started process for run \(pid: (\d+)\)", event)
            if pid:
                found.setdefault(run_id, set()).add(int(pid[1]))
        return found

    def steps(self, keys: str) -> list[tuple[float, float]]:
        """When the steps whose keys match a regular expression began and ended, in order."""
        rows = self.query(
            "dagster",
            "SELECT extract(epoch FROM min(timestamp)), extract(epoch FROM max(timestamp)) FROM event_logs WHERE"
            " dagster_event_type IN ('STEP_START', 'STEP_SUCCESS', 'STEP_FAILURE')"
            f" AND step_key ~ '{keys}'"
            " GROUP BY run_id, step_key HAVING count(*) = 2 ORDER BY 1",
        )
        return [(float(began), float(ended)) for began, ended in rows]

    def number_of(self, task: str) -> int:
        """The worker that has a task now, None of them: 0."""
        for worker, tasks in self._answering().items():
            if any(task == each["id"] for each in tasks):
                return int(worker.split("@")[0].removeprefix("worker"))
        return 0

    def query(self, database: str, text: str) -> list[Any]:
        with psycopg.connect(self.postgres.dsn(database), autocommit=True) as connection:
            return connection.execute(text.encode()).fetchall()

    def logs(self) -> str:
        """The ends of all logs."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in self.home.glob("*.log")
        )

    def _make_databases(self) -> None:
        with psycopg.connect(self.postgres.dsn(), autocommit=True) as connection:
            connection.execute(f"ALTER ROLE postgres PASSWORD '{DAGSTER_PASSWORD}'")  # by TCP it needs one
            connection.execute(f"CREATE ROLE {DAGSTER_USER} LOGIN PASSWORD '{DAGSTER_PASSWORD}'")
            connection.execute(f"CREATE DATABASE dagster OWNER {DAGSTER_USER}")
        for name in ("shop", "analytics"):
            self.postgres.create_database(name)
        with psycopg.connect(self.postgres.dsn("shop"), autocommit=True) as shop:
            for name, rows in [
                ("wide", self._partitions * self._ids - 1),
                *((name, 500) for name in self._small()),
            ]:
                shop.execute(f"CREATE TABLE {name} (id bigserial PRIMARY KEY, sku text)".encode())
                shop.execute(
                    f"INSERT INTO {name} (sku) SELECT rpad('SKU-' || i, {SKU_BYTES}, '.') FROM"
                    f" generate_series(1, {rows}) i".encode()
                )

    def _shop(self, stack: contextlib.ExitStack) -> str:
        """How the engine reaches the source."""
        if self._far is None:
            return self.postgres.dsn("shop")
        port = stack.enter_context(delayed(self._port(), *self._far))
        return f"postgresql://postgres:{DAGSTER_PASSWORD}@127.0.0.1:{port}/shop"

    def _port(self) -> int:
        port = re.search(r"port=(\d+)", self.postgres.dsn())
        assert port is not None
        return int(port[1])

    def _small(self) -> list[str]:
        return [f"small_{number}" for number in range(self._tables)]

    def _write_home(self) -> None:
        instance = yaml.safe_load((DEPLOY / "celery" / "dagster.yaml").read_text())
        del instance["compute_logs"]
        instance["run_monitoring"]["poll_interval_seconds"] = 2
        instance["run_coordinator"]["config"]["dequeue_interval_seconds"] = 1
        (self.home / "dagster.yaml").write_text(yaml.safe_dump(instance))
        (self.home / "workspace.yaml").write_text(
            "load_from:\n  - python_module: {module_name: syncer_assets.definitions, location_name: syncer_assets}\n"
        )
        tables = [f"- {{table: public.wide, cursor: id, settle_seconds: 0, partitions: {{by: id, size: {self._ids}}}}}"]
        tables += [f"- {{table: public.{name}, cursor: id, settle_seconds: 0}}" for name in self._small()]
        defs = write_defs(self.folder / "defs", "\n".join(tables))
        self.env = {
            **os.environ,
            "DAGSTER_HOME": str(self.home),
            "SYNCER_DEFS": str(defs),
            "SYNCER_BROKER_URL": self.redis.url,
            "DAGSTER_PG_HOST": "127.0.0.1",
            "DAGSTER_PG_PORT": str(self._port()),
            "DAGSTER_PG_USER": DAGSTER_USER,
            "DAGSTER_PG_PASSWORD": DAGSTER_PASSWORD,
            "DAGSTER_PG_DB": "dagster",
            "TEST_LAKE": f"file://{self.folder / 'lake'}",
            "TEST_SHOP_DSN": self.shop,
            "TEST_ANALYTICS_DSN": self.postgres.dsn("analytics"),
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(CHECKOUT),
            "DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "1",
        }
        made = [sys.executable, "-c", INSTANCE, str(self._at_once)]
        subprocess.run(made, env=self.env, check=True, timeout=START_SECONDS)

    def _start(self, name: str, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.home / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [str(Path(sys.executable).with_name(program)), *arguments],
                cwd=self.home,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def _answering(self) -> Mapping[str, list[Any]]:
        """The workers that answer, and what they are doing."""
        from celery import Celery

        with Celery("asks", broker=self.redis.url, backend=self.redis.url) as app:
            return app.control.inspect(timeout=1).active() or {}

    def _stop_processes(self) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def worker_command(number: int) -> list[str]:
    """The command of the unit of a worker, its program by name alone."""
    unit = (DEPLOY / "systemd" / "syncer-worker@.service").read_text()
    found = re.search(r"^ExecStart=/opt/syncer/\.venv/bin/(.+)$", unit, re.MULTILINE)
    assert found is not None
    return found[1].replace("%i", str(number)).replace("%%h", "%h").split()
