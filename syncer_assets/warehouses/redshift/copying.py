"""COPY of Parquet objects by a manifest of its own, and what the server says of a load that failed."""

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from ...model.errors import ConfigError, DbError
from ..base import LakeObjects, LoadPlan
from . import names
from .types import Wire

FOLDER = "_copy"
"""Below the lake's root: what a COPY needs for a moment. A kill leaves it; the bucket's lifecycle may remove it."""

COPY_SQL = "COPY {table} FROM {manifest} IAM_ROLE {role} FORMAT AS PARQUET MANIFEST"

ERROR_SQL = """
SELECT file_name, column_name FROM SYS_LOAD_ERROR_DETAIL WHERE session_id = PG_BACKEND_PID()
ORDER BY start_time DESC LIMIT 1
"""


@dataclass(frozen=True)
class CopyObject:
    """An object of the lake, with the size that COPY is to find."""

    path: str
    bytes: int


class Workspace:
    """The folder of one load below `_copy`, and the bucket's address."""

    def __init__(self, plan: LoadPlan):
        self.plan, self.lake = plan, _bucket(plan)
        self.folder = f"{FOLDER}/{uuid.uuid4().hex}"
        self._put: list[str] = []

    def put(self, name: str, body: bytes) -> CopyObject:
        """Write an object that goes with the load."""
        path = f"{self.folder}/{name}"
        self._put.append(path)
        self.lake.put_if_absent(path, body)
        return CopyObject(path, len(body))

    def url(self, path: str) -> str:
        """The address of an object of the lake, as COPY takes it."""
        return f"{self.lake.url.replace('s3a://', 's3://', 1).rstrip('/')}/{path}"

    def close(self) -> None:
        """Remove what was put."""
        self.lake.remove(self._put)


@contextmanager
def workspace(plan: LoadPlan) -> Iterator[Workspace]:
    """A workspace for a load. Raises ConfigError where the lake is no bucket that Redshift can read."""
    opened = Workspace(plan)
    try:
        yield opened
    finally:
        opened.close()


def copy(
    connection: psycopg.Connection,
    space: Workspace,
    role: str,
    table: sql.Identifier,
    wires: Sequence[Wire],
    objects: Sequence[CopyObject],
) -> None:
    """One COPY of these objects. Raises DbError that names the column and the file, never the value."""
    entries = [
        {"url": space.url(each.path), "mandatory": True, "meta": {"content_length": each.bytes}} for each in objects
    ]
    manifest = space.put(f"{uuid.uuid4().hex}.manifest", json.dumps({"entries": entries}).encode())
    statement = sql.SQL(COPY_SQL).format(
        table=table, manifest=names.text(space.url(manifest.path)), role=iam_role(role)
    )
    try:
        connection.execute(statement)
    except (psycopg.errors.InternalError_, psycopg.DataError, psycopg.errors.FeatureNotSupported) as error:
        raise _refused(connection, space.plan, wires, error) from None


def iam_role(role: str) -> sql.SQL:
    """`default`, or the role's ARN in quotes."""
    if not role:
        raise ConfigError(
            "the warehouse has no `iam_role`, with which Redshift reads the lake",
            fix="write options: {iam_role: default}, or the ARN of a role that may read the bucket",
        )
    return sql.SQL("default") if role == "default" else names.text(role)


def _bucket(plan: LoadPlan) -> LakeObjects:
    if plan.lake is None or not plan.lake.url.startswith(("s3://", "s3a://")):
        raise ConfigError(
            "Redshift loads from S3 only, and the lake is elsewhere",
            table=plan.target.name,
            fix="give the deployment a lake with an s3:// url, or load into another warehouse",
        )
    return plan.lake


def _refused(
    connection: psycopg.Connection, plan: LoadPlan, wires: Sequence[Wire], error: psycopg.Error
) -> psycopg.Error | DbError:
    """The error as the server's load log has it; the log holds values too, so only names that we know are told."""
    row = connection.execute(ERROR_SQL).fetchone()
    if row is None:
        return error
    file, column = str(row[0] or "").strip(), str(row[1] or "").strip()
    wire = next((wire for wire in wires if wire.name == column), None)
    if wire:
        what = f"a value of column {wire.name!r} does not fit {wire.copied}"
        fix = "exclude the column, or shorten the value at the source: a VARCHAR has at most 65535 bytes"
    else:
        what = "a file was refused: it is missing, or not the one that its manifest names"
        fix = "restore the object from a backup, or read the partition anew with `syncer run --full`"
    return DbError(
        f"{what} ({file.rsplit('/', 1)[-1]})" if file else what,
        code=error.sqlstate,
        phase="load",
        table=plan.target.name,
        partition=plan.partition,
        fix=fix,
    )
