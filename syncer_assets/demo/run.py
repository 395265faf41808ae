"""The demo's job: a shop in an embedded PostgreSQL, its environment, and the proof that a busy table does not keep a
sync from ending."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg

from ..model.errors import ConfigError
from .api import DemoApi
from .server import EmbeddedPostgres, ServerError
from .shop import Shop, Writer, open_shop

HASH_KEY = "a key for the demo, known to all"
WRITER_HEAD_START_SECONDS = 1.0

DAGSTER_YAML = """\
telemetry: {enabled: false}
nux: {enabled: false}
concurrency:
  pools: {default_limit: 1, granularity: op}
  runs: {max_concurrent_runs: 2}
run_monitoring: {enabled: true, poll_interval_seconds: 10, free_slots_after_run_end_seconds: 1}
"""


@dataclass(frozen=True)
class DemoFolder:
    """Where the demo keeps what it makes."""

    root: Path

    @property
    def lake(self) -> Path:
        return self.root / "lake"

    @property
    def home(self) -> Path:
        """The DAGSTER_HOME of the demo."""
        return self.root / "home"

    @property
    def files(self) -> Path:
        """Where the API's pages go."""
        return self.root / "files"

    def environment(self, shop: Shop, api: DemoApi) -> dict[str, str]:
        """What the shipped definitions and Dagster read; whatever was set before is not touched by the demo."""
        return {
            **shop.env,
            **api.env,
            "SYNCER_DEFS": str(Path(__file__).parents[1] / "defs"),  # not those of another deployment of the user's
            "SYNCER_LAKE": f"file://{self.lake}",
            "SYNCER_FILES": f"file://{self.files}",
            "SYNCER_HASH_KEY": HASH_KEY,
            "DAGSTER_HOME": str(self.home),
        }


@contextmanager
def open_demo(root: Path, scale: float, tell: Callable[[str], None]) -> Iterator[tuple[DemoFolder, Shop]]:
    """A fresh shop and its API, an empty warehouse and lake, with the environment of this process set for them.

    The servers stop at the end if this process started it and nobody else uses it. Raises ConfigError where another
    demo uses the folder, or the server cannot be started.
    """
    folder = DemoFolder(root.resolve())
    with _alone(folder), _server(folder) as server, DemoApi(scale) as api:
        tell("PostgreSQL is running")
        shop = open_shop(server, scale=scale)
        tell("the shop is filled")
        for stale in (folder.lake, folder.files, folder.home):
            shutil.rmtree(stale, ignore_errors=True)
            stale.mkdir(parents=True)
        (folder.home / "dagster.yaml").write_text(DAGSTER_YAML)
        with _environment(folder.environment(shop, api)):
            yield folder, shop


@contextmanager
def busy_orders(shop: Shop) -> Iterator[Writer]:
    """While the block runs, orders are inserted and changed, a thousand a second in many short transactions."""
    with Writer(shop.shop_dsn, rows_per_second=1_000) as writer:
        time.sleep(WRITER_HEAD_START_SECONDS)
        yield writer


@dataclass(frozen=True)
class Ceiling:
    """What a sync of a busy table left above its ceiling: the next one's work."""

    ceiling: str
    rows_read: int
    rows_committed_meanwhile: int
    rows_above: int
    writer_still_busy: bool

    @property
    def held(self) -> bool:
        """True if the sync ended while rows kept coming, and left those above its ceiling alone."""
        return self.writer_still_busy and self.rows_committed_meanwhile > 0 and self.rows_above > 0


def rows_above(dsn: str, ceiling: str) -> int:
    """Orders whose cursor lies above a ceiling."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT count(*) FROM orders WHERE updated_at > %s", [datetime.fromisoformat(ceiling)]
        ).fetchone()
    return int(row[0]) if row else 0


@contextmanager
def _alone(folder: DemoFolder) -> Iterator[None]:
    """One demo a folder: a second one would empty what the first one serves."""
    try:
        folder.root.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder.root / "demo.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(f"{folder.root} cannot be made ({error.strerror})", fix="start the demo elsewhere") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ConfigError(f"another demo is running in {folder.root}", fix="end it, or start from elsewhere") from None
    finally:
        os.close(lock)


@contextmanager
def _server(folder: DemoFolder) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(folder.root / "postgres")
    try:
        server.start()
    except ServerError as error:
        raise ConfigError(
            f"the embedded PostgreSQL does not start: {error}", fix=f"look at the end of its log; remove {folder.root}"
        ) from None
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
