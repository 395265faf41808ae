"""The files of a load into one transient table by one COPY, judged before anything is made of them.

They are read from an external stage over the lake (option `stage`, or one made with `storage_integration`). Without
either they are put into the table's own stage, after their hashes were found as the manifests have them.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from ...model.errors import AssertionFailed, ConfigError, LakeCorrupt, SchemaChanged
from ..base import LiveFile, LoadPlan
from . import names
from .schema import ShapedColumn
from .session import Session

FILES_A_COPY = 1000
"""The most names that FILES takes."""

CREATE_SQL = "CREATE OR REPLACE TRANSIENT TABLE {table} ({columns}) DATA_RETENTION_TIME_IN_DAYS = 0"

COPY_SQL = """
COPY INTO {table} ({columns}) FROM (SELECT {values}, METADATA$FILENAME, METADATA$FILE_ROW_NUMBER FROM {stage})
FILES = ({files})
FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE BINARY_AS_TEXT = FALSE) FORCE = TRUE ON_ERROR = ABORT_STATEMENT
"""

PUT_SQL = "PUT {files} {stage} AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = NONE OVERWRITE = TRUE PARALLEL = 8"

STAGE_SQL = "CREATE STAGE IF NOT EXISTS {stage} URL = {url} STORAGE_INTEGRATION = {integration}"

JUDGE_SQL = "SELECT {file}, COUNT(*), COUNT_IF({no_key}){beyond} FROM {table} GROUP BY {file}"

BEYOND = {
    "DATE": "{0} < '0001-01-01'::DATE OR {0} > '9999-12-31'::DATE",
    "TIMESTAMP_NTZ": "{0} < '0001-01-01'::TIMESTAMP_NTZ OR {0} > '9999-12-31 23:59:59.999999'::TIMESTAMP_NTZ",
    "TIMESTAMP_TZ": "{0} < '0001-01-01'::TIMESTAMP_TZ OR {0} > '9999-12-31 23:59:59.999999+00:00'::TIMESTAMP_TZ",
}
"""What Snowflake's times do not hold: PostgreSQL's years before Christ and infinities."""


def copy(
    session: Session,
    plan: LoadPlan,
    table: str,
    columns: Sequence[ShapedColumn],
    key: Sequence[str],
    live: Sequence[LiveFile],
    stage: str | None,
) -> tuple[dict[str, LiveFile], int]:
    """Make the table and COPY the files: (each file by the name that its rows have, COPYs).

    Raises AssertionFailed where a file's rows are not as many as its manifest says or have no key, LakeCorrupt,
    SchemaChanged for a time that Snowflake does not have, DbError."""
    create(session, table, [*staged(columns), (names.FILE, "VARCHAR"), (names.ROW, "NUMBER(38,0)")])
    if not live:
        return {}, 0
    wanted = {each.file.path: each for each in live} if stage else {f"{n:06d}.parquet": f for n, f in enumerate(live)}
    if stage:
        check_sizes(plan, live)
    else:
        stage = f"@{table.partition('.')[0]}.%{table.partition('.')[2]}"
        put(session, plan, stage, wanted)
    paths = list(wanted)
    copies = [paths[start : start + FILES_A_COPY] for start in range(0, len(paths), FILES_A_COPY)]
    for part in copies:
        session.execute(
            COPY_SQL.format(
                table=table,
                columns=names.columns([*(column.name for column in columns), names.FILE, names.ROW]),
                values=", ".join(f"$1:{names.quoted(column.source)}::{kind}" for column, kind in _kinds(columns)),
                stage=stage,
                files=", ".join(names.text(path) for path in part),
            )
        )
    return _judge(session, plan, table, columns, key, wanted), len(copies)


def create(session: Session, table: str, columns: Sequence[tuple[str, str]]) -> None:
    """An empty transient table, of nobody else's name."""
    session.execute(
        CREATE_SQL.format(table=table, columns=", ".join(f"{names.column(name)} {kind}" for name, kind in columns))
    )


def staged(columns: Sequence[ShapedColumn]) -> list[tuple[str, str]]:
    """The columns as they are copied: JSON travels as text."""
    return [(column.name, kind) for column, kind in _kinds(columns)]


def make_stage(session: Session, plan: LoadPlan, integration: str) -> str:
    """The external stage over the lake, made with the account's storage integration where it is missing."""
    url = plan.lake.url if plan.lake else ""
    scheme, _, rest = url.partition("://")
    spelt = {"s3": "s3", "s3a": "s3", "gs": "gcs"}.get(scheme)
    if spelt is None:
        raise ConfigError(
            f"the lake {url} cannot be read through a storage integration",
            table=plan.target.name,
            fix="make a stage over it and name it in the warehouse's option `stage`",
        )
    stage = f"{names.SCHEMA}.{names.quoted('LAKE')}"
    session.execute(
        STAGE_SQL.format(stage=stage, url=names.text(f"{spelt}://{rest}/"), integration=names.quoted(integration))
    )
    return f"@{stage}"


def put(session: Session, plan: LoadPlan, stage: str, files: dict[str, LiveFile]) -> None:
    """Send the files, once each was found as its manifest has it. Raises LakeCorrupt, DbError."""
    if plan.lake is None:
        raise ConfigError("a load into Snowflake needs the lake", table=plan.target.name)
    with TemporaryDirectory(prefix="syncer-put-") as folder, ExitStack() as opened:
        for name, live in files.items():
            (Path(folder) / name).symlink_to(opened.enter_context(plan.lake.local(live.file)))
        session.execute(PUT_SQL.format(files=names.text(f"file://{folder}/*.parquet"), stage=stage))


def check_sizes(plan: LoadPlan, live: Sequence[LiveFile]) -> None:
    """Each object that the warehouse will read by itself has its size. Raises LakeCorrupt."""
    if plan.lake is None:
        raise ConfigError("a load into Snowflake needs the lake", table=plan.target.name)
    with ThreadPoolExecutor(min(8, len(live))) as pool:
        for each, size in zip(live, pool.map(plan.lake.size, [each.file.path for each in live]), strict=True):
            if size != each.file.bytes:
                raise LakeCorrupt(
                    f"data object {each.file.path} has {size} bytes, its manifest says {each.file.bytes}",
                    table=plan.target.name,
                    partition=plan.partition,
                    fix="restore the object from a backup, or re-read the partition with `--full`",
                )


def _kinds(columns: Sequence[ShapedColumn]) -> list[tuple[ShapedColumn, str]]:
    return [(column, "VARCHAR" if column.type == "VARIANT" else column.type) for column in columns]


def _judge(
    session: Session,
    plan: LoadPlan,
    table: str,
    columns: Sequence[ShapedColumn],
    key: Sequence[str],
    wanted: dict[str, LiveFile],
) -> dict[str, LiveFile]:
    times = [column for column in columns if column.type in BEYOND]
    found: dict[str, LiveFile] = {}
    counted: dict[str, int] = {}
    for name, rows, without_key, *beyond in session.rows(
        JUDGE_SQL.format(
            file=names.column(names.FILE),
            no_key=" OR ".join(f"{names.column(name)} IS NULL" for name in key) or "FALSE",
            beyond="".join(f", COUNT_IF({BEYOND[c.type].format(names.column(c.name))})" for c in times),
            table=table,
        )
    ):
        path = _path(name, wanted)
        found[name], counted[path] = wanted[path], counted.get(path, 0) + rows
        if without_key:
            raise null_key(plan)
        for column, number in zip(times, beyond, strict=True):
            if number:
                raise SchemaChanged(
                    f"column {column.source!r} ({column.type}) has a value outside of the years 1 to 9999",
                    table=plan.target.name,
                    partition=plan.partition,
                    fix="correct it at the source, or exclude the column",
                )
    for path, live in wanted.items():
        if counted.get(path, 0) != live.file.rows:
            raise AssertionFailed(
                f"{counted.get(path, 0)} rows were staged of {live.file.path}, the manifest names {live.file.rows}",
                table=plan.target.name,
                partition=plan.partition,
                fix="read the partition anew with `syncer run --full --partition`",
            )
    return found


def null_key(plan: LoadPlan) -> AssertionFailed:
    """A row without a key can be neither found again nor compared."""
    return AssertionFailed(
        f"the key ({', '.join(plan.key)}) is NULL in staged rows",
        table=plan.target.name,
        partition=plan.partition,
        fix="declare a key whose columns are never NULL",
    )


def _path(name: str, wanted: dict[str, LiveFile]) -> str:
    """METADATA$FILENAME begins with the stage's own folder."""
    parts = name.split("/")
    for start in range(len(parts)):
        if (path := "/".join(parts[start:])) in wanted:
            return path
    raise AssertionFailed(f"rows were staged of {name}, which was not asked for", fix="report this")
