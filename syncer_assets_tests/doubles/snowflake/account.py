"""The account behind the double's wire: fakesnow's databases, and the statements that it does not have itself."""

import re
import threading
import time
import uuid
import weakref
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import fakesnow.arrow
import fakesnow.info_schema
import fakesnow.transforms
import pyarrow as pa
import sqlglot.errors
from fakesnow.conn import FakeSnowflakeConnection
from fakesnow.converter import from_binding
from fakesnow.instance import FakeSnow
from fakesnow.rowtype import describe_as_rowtype
from fakesnow.statement_type import COPY, DML_TYPE_IDS, statement_type_id
from sqlglot import exp, parse_one

from syncer_assets_tests.servers import Bucket

TIMES = fakesnow.arrow.timestamp_to_sf_struct
LOCK_SECONDS = 30.0
ABANDONED_SECONDS = 5.0
"""A silent session's transaction is rolled back when another waits; the service does so after 5 minutes."""

TAUGHT = (
    (re.compile(r"TO_NUMBER\((SUBSTR\(MD5\(.*?\), 1, \d+\)), 'X+'\)", re.DOTALL), r"CAST('0x' || \1 AS BIGINT)"),
    (re.compile(r"CURRENT_WAREHOUSE\(\)"), "'LOADING'"),
    (re.compile(r"CURRENT_ROLE\(\)"), "'LOADER'"),
    (re.compile(r"DATA_RETENTION_TIME_IN_DAYS = 0"), ""),
    (re.compile(r"CREATE OR REPLACE TRANSIENT TABLE"), "CREATE OR REPLACE TABLE"),
)
"""What fakesnow reads otherwise than Snowflake."""


NEEDED = (
    fakesnow.transforms.values_columns,
    fakesnow.transforms.timestamp_ntz,
    fakesnow.transforms.float_to_double,
    fakesnow.transforms.semi_structured_types,
)
"""Those of fakesnow's passes that the statements of a load need."""

COUNTED_TYPES = ("COPY", "INSERT", "MERGE", "UPDATE", "DELETE", "SELECT")
SIZES = {
    "XSMALL": "X-Small",
    "SMALL": "Small",
    "MEDIUM": "Medium",
    "LARGE": "Large",
    "XLARGE": "X-Large",
    "XXLARGE": "2X-Large",
    "XXXLARGE": "3X-Large",
    "X4LARGE": "4X-Large",
}
"""As ALTER WAREHOUSE takes them, and as SHOW WAREHOUSES tells them."""

COUNTED = {
    "insert": "number of rows inserted",
    "merge": "number of rows inserted",  # with those that it updated
    "update": "number of rows updated",
    "delete": "number of rows deleted",
}

STAGE_SQL = """
SELECT url FROM _fs_global._fs_information_schema._fs_stages
WHERE database_name = ? AND schema_name = ? AND name = ?
"""


@dataclass
class Refused(Exception):
    """An error of the service."""

    number: int
    state: str
    text: str
    query_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass
class Answer:
    """What a statement gives. `upload` is there for PUT alone."""

    table: pa.Table
    rowtype: list[Any]
    type_id: int = 0
    upload: dict[str, Any] | None = None
    query_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def is_dml(self) -> bool:
        return self.type_id in DML_TYPE_IDS


@dataclass
class VirtualWarehouse:
    """Compute of the account. `resized` are the sizes that it was given, in order."""

    name: str
    size: str = "X-Small"
    acceleration: int | None = None
    resized: list[str] = field(default_factory=list)
    refuses: bool = False


FIGURES = {
    "queued": 0,
    "bytes_scanned": 4096,
    "spilled_local": 0,
    "spilled_remote": 0,
    "partitions_scanned": 1,
    "partitions_total": 1,
    "cached": 0.5,
}
"""What the history says of each statement, where a test does not set it otherwise."""


class Account:
    """Databases, stages, and locks of tables: UPDATE, DELETE and MERGE hold one to the end of their transaction."""

    def __init__(self) -> None:
        _teach()
        self.fake = FakeSnow()
        self.statements: list[str] = []
        self.refusals: list[str] = []
        self.folder = TemporaryDirectory(prefix="snowflake-double-")
        self.lock = threading.Condition()
        self.writers: dict[str, Session] = {}
        self.sessions: weakref.WeakSet[Session] = weakref.WeakSet()
        self.warehouses = {"LOADING": VirtualWarehouse("LOADING")}
        self.figures = dict(FIGURES)

    def session(self, database: str, schema: str, parameters: dict[str, Any]) -> "Session":
        session = Session(self, database, schema, parameters)
        self.sessions.add(session)
        return session

    def create_database(self) -> str:
        """A new, empty database."""
        name = f"TEST_{uuid.uuid4().hex[:10].upper()}"
        self.fake.connect(name, "PUBLIC").close()
        return name

    def end_transactions(self) -> None:
        """Roll back what is open, as the service does with transactions that are idle while others wait."""
        for session in self.sessions:
            session._roll_back()

    def let_read(self, bucket: Bucket) -> None:
        """What a storage integration does: the account may read the bucket. DuckDB's extension is that of the wheel."""
        duck = self.fake.duck_conn.cursor()
        duck.load_extension(str(_extension("httpfs")))
        duck.execute(
            f"CREATE OR REPLACE SECRET double (TYPE s3, KEY_ID '{bucket.access_key}', SECRET '{bucket.secret_key}',"
            f" ENDPOINT '{bucket.endpoint.removeprefix('http://')}', URL_STYLE 'path', USE_SSL false,"
            f" REGION 'us-east-1')"
        )

    def stage_folder(self, stage: str) -> Path:
        """Where the files of an internal stage lie."""
        folder = Path(self.folder.name) / re.sub(r"\W", "_", stage)
        folder.mkdir(exist_ok=True)
        return folder

    def object(self, connection: FakeSnowflakeConnection, stage: str, file: str) -> tuple[str, str]:
        """Where DuckDB finds a staged file, and what METADATA$FILENAME says of it."""
        if "%" in stage:
            return str(self.stage_folder(stage) / file), file
        names = [part.strip('"') for part in stage.split(".")]
        database, schema, name = [connection.database, connection.schema, *names][-3:]
        found = connection._duck_conn.execute(STAGE_SQL, [database, schema, name]).fetchone()
        if found is None:
            raise Refused(2003, "02000", f"Stage '{stage}' does not exist or not authorized.")
        url = found[0].rstrip("/")
        return f"{url}/{file}", f"{url.partition('://')[2].partition('/')[2]}/{file}".lstrip("/")


class Session:
    """A session. Its statements come one after the other."""

    def __init__(self, account: Account, database: str, schema: str, parameters: dict[str, Any]):
        self.account, self.parameters = account, dict(parameters)
        self._connection = account.fake.connect(database, schema)
        self._open, self._transaction = False, 0
        self._history: list[tuple[str, str, float]] = []
        self._last = time.monotonic()
        self._ended = False
        self._running = threading.RLock()

    @property
    def database(self) -> str | None:
        return self._connection.database

    @property
    def schema(self) -> str | None:
        return self._connection.schema

    def run(self, statement: str, bindings: dict[str, Any] | None, *, record: bool = True) -> Answer:
        """One statement. Raises Refused."""
        with self._running:
            return self._run(statement, bindings, record)

    def _run(self, statement: str, bindings: dict[str, Any] | None, record: bool) -> Answer:
        self._last = time.monotonic()
        if record:
            self.account.statements.append(statement)
        word = statement.split(None, 1)[0].upper()
        started = time.monotonic()
        try:
            if found := self._about_warehouses(statement):
                return found
            match word:
                case "BEGIN":
                    return self._begin()
                case "COMMIT" | "ROLLBACK":
                    return self._finish(word)
                case "PUT":
                    return self._put(statement)
            if word in ("CREATE", "ALTER", "DROP", "TRUNCATE") and self._open:
                self._finish("COMMIT")  # as all DDL does
            if table := _locked(statement):
                self._take(f"{self.database}.{table}")
            try:
                return self._dispatch(word, statement, bindings)
            finally:
                if not self._open:
                    self._release()
        finally:
            self._last = time.monotonic()
            self._history.append((str(uuid.uuid4()), word, self._last - started))

    def end(self) -> None:
        """The session is gone, and its transaction with it."""
        if not self._ended:
            self._ended = True
            self._roll_back()
            self._connection._duck_conn.close()

    def _dispatch(self, word: str, statement: str, bindings: dict[str, Any] | None) -> Answer:
        if self._ended:
            raise Refused(390111, "08001", "Session no longer exists.")
        if word == "COPY":
            return self._copy(statement)
        if re.match(r"ALTER\s+SESSION\s+SET", statement, re.IGNORECASE):
            return self._set(statement)
        return self._query(statement, bindings)

    def _query(self, statement: str, bindings: dict[str, Any] | None) -> Answer:
        """By DuckDB itself where no statement of fakesnow's is needed: its seventy passes over a tree take 100 ms."""
        for pattern, said in TAUGHT:
            statement = pattern.sub(said, statement)
        statement = statement.replace("CURRENT_TRANSACTION()", f"'{self._transaction}'" if self._open else "NULL")
        values = [_value(bindings[str(n)]) for n in range(1, len(bindings) + 1)] if bindings else None
        from snowflake.connector import errors as connector_errors

        try:
            expression = parse_one(statement, read="snowflake")
            if expression.key == "merge":
                self._refuse_duplicates(expression)
            plain = expression.key in ("select", "insert", "update", "delete", "merge")
            if not plain or "INFORMATION_SCHEMA" in statement.upper():  # DuckDB's own is that of every database
                return self._by_fakesnow(statement, expression, values)
            duck = self._connection._duck_conn
            duck.execute(_in_duckdb(expression), values)
            rowtype = describe_as_rowtype([(c[0], str(c[1]), None, None, None, None) for c in duck.description])
            table = duck.to_arrow_table()
        except connector_errors.ProgrammingError as error:
            raise Refused(error.errno or 1003, error.sqlstate or "42000", str(error.raw_msg)) from None
        except duckdb.CatalogException as error:
            raise Refused(2003, "42S02", str(error)) from None
        except duckdb.ConstraintException as error:
            raise Refused(100072, "22000", str(error)) from None
        except duckdb.ConversionException as error:
            raise Refused(100038, "22018", str(error)) from None
        except duckdb.TransactionException as error:  # where Snowflake would see what was committed meanwhile
            raise Refused(625, "57014", str(error)) from None
        except duckdb.InvalidInputException as error:
            raise Refused(100069, "22P02", f"Error parsing JSON: {error}") from None
        except (duckdb.Error, sqlglot.errors.ParseError, AssertionError, NotImplementedError) as error:
            raise Refused(1003, "42000", f"{type(error).__name__}: {error}") from None
        if expression.key == "select":
            return Answer(table, rowtype, statement_type_id(expression))
        return _counted(COUNTED[expression.key], table.column(0)[0].as_py(), statement_type_id(expression))

    def _by_fakesnow(self, statement: str, expression: exp.Expr, values: list[Any] | None) -> Answer:
        cursor = self._connection.cursor()
        cursor.execute(statement, binding_params=values, server=True)
        rowtype = describe_as_rowtype(cursor._describe_last_sql())
        return Answer(cursor._arrow_table, rowtype, statement_type_id(expression))

    def _refuse_duplicates(self, merge: Any) -> None:
        """Snowflake does not let two source rows write one target row; DuckDB lets one of them win."""
        source = merge.args["using"]
        alias = source.alias_or_name
        keys = {c.sql("duckdb") for c in merge.args["on"].find_all(exp.Column) if c.table == alias}
        if not keys or source.key != "table":
            return
        key = ", ".join(sorted(keys))
        query = f"SELECT 1 FROM {source.sql('duckdb')} GROUP BY {key} HAVING count(*) > 1 LIMIT 1"
        if self._connection._duck_conn.execute(query).fetchone():
            raise Refused(100090, "42P18", "Duplicate row detected during DML action")

    def _about_warehouses(self, statement: str) -> Answer | None:
        """What fakesnow does not keep: the size of compute, and what statements took of it."""
        if match := re.fullmatch(r"SHOW WAREHOUSES LIKE '(\w+)'", statement):
            found = [each for each in self.account.warehouses.values() if each.name == match[1].upper()]
            return _rows(
                ("name", "size", "enable_query_acceleration", "query_acceleration_max_scale_factor"),
                [
                    (w.name, w.size, "false" if w.acceleration is None else "true", str(w.acceleration or 8))
                    for w in found
                ],
            )
        if statement.startswith("ALTER WAREHOUSE"):
            return self._resize(statement)
        figures = self.account.figures
        if "QUERY_HISTORY_BY_SESSION" in statement:
            counted = [each for each in self._history if each[1] in COUNTED_TYPES]
            milliseconds = round(1000 * sum(seconds for _, _, seconds in counted))
            slowest = max(counted, key=lambda each: each[2], default=("", "", 0.0))[0]
            size = self.account.warehouses["LOADING"].size
            queued, scanned = figures["queued"], figures["bytes_scanned"] * len(counted)
            row = (len(counted), milliseconds + queued, milliseconds, queued, 0, 0, scanned, 0, slowest, size)
            return _rows(tuple(f"c{number}" for number in range(len(row))), [tuple(map(str, row))])
        if "GET_QUERY_OPERATOR_STATS" in statement:
            names = ("spilled_local", "spilled_remote", "partitions_scanned", "partitions_total", "cached")
            return _rows(names, [tuple(str(figures[name]) for name in names)])
        return None

    def _resize(self, statement: str) -> Answer:
        match = re.fullmatch(
            r'ALTER WAREHOUSE "(\w+)" SET WAREHOUSE_SIZE = (\w+) WAIT_FOR_COMPLETION = TRUE'
            r" ENABLE_QUERY_ACCELERATION = (?:FALSE|TRUE QUERY_ACCELERATION_MAX_SCALE_FACTOR = (\d+))",
            statement,
        )
        if match is None or match[2] not in SIZES:
            raise Refused(1003, "42000", "syntax error in ALTER WAREHOUSE")
        if self._open:
            self._finish("COMMIT")  # as all DDL does
        warehouse = self.account.warehouses.get(match[1])
        if warehouse is None or warehouse.refuses:
            raise Refused(3001, "42501", f"Insufficient privileges to operate on warehouse '{match[1]}'")
        warehouse.size, warehouse.acceleration = SIZES[match[2]], int(match[3]) if match[3] else None
        warehouse.resized.append(match[2])
        return _status("Statement executed successfully.")

    def _set(self, statement: str) -> Answer:
        for name, text in re.findall(r"(\w+)\s*=\s*('(?:[^'\\]|\\.|'')*'|\w+)", statement.split("SET", 1)[1]):
            self.parameters[name.upper()] = text
        return _status("Statement executed successfully.")

    def _begin(self) -> Answer:
        if not self._open:
            self._connection._duck_conn.begin()
            self._open, self._transaction = True, time.monotonic_ns()
        return _status("Statement executed successfully.")

    def _finish(self, word: str) -> Answer:
        if self._open:
            try:
                self._connection._duck_conn.commit() if word == "COMMIT" else self._connection._duck_conn.rollback()
            except duckdb.Error as error:
                raise Refused(604, "57014", str(error)) from None
            finally:
                self._open = False
                self._release()
        return _status("Statement executed successfully.")

    def _roll_back(self) -> None:
        if self._open:
            self._finish("ROLLBACK")

    def _abandon(self) -> bool:
        """Roll back if the client says nothing; a statement that runs for long is not silence."""
        if not self._open or not self._running.acquire(blocking=False):
            return False
        try:
            silent = time.monotonic() - self._last > ABANDONED_SECONDS
            if silent:
                self._roll_back()
            return silent
        finally:
            self._running.release()

    def _take(self, table: str) -> None:
        account, deadline = self.account, time.monotonic() + LOCK_SECONDS
        with account.lock:
            while (holder := account.writers.get(table)) not in (None, self):
                assert holder is not None
                if holder._abandon():
                    continue
                if time.monotonic() > deadline:
                    raise Refused(625, "57014", "Statement was aborted because the lock was not had in time")
                account.lock.wait(0.05)
            account.writers[table] = self

    def _release(self) -> None:
        with self.account.lock:
            self.account.writers = {t: s for t, s in self.account.writers.items() if s is not self}
            self.account.lock.notify_all()

    def _put(self, statement: str) -> Answer:
        match = re.fullmatch(r"PUT 'file://(?P<path>[^']*)' @(?P<stage>\S+) .*", statement)
        if match is None:
            raise Refused(1003, "42000", "syntax error in PUT")
        upload = {
            "stageInfo": {
                "locationType": "LOCAL_FS",
                "location": str(self.account.stage_folder(match["stage"])),
                "creds": {},
            },
            "src_locations": [match["path"]],
            "parallel": 4,
            "autoCompress": "AUTO_COMPRESS = FALSE" not in statement,
            "sourceCompression": "none",
            "overwrite": True,
            "command": "UPLOAD",
        }
        return Answer(pa.table({}), [], upload=upload)

    def _copy(self, statement: str) -> Answer:
        from syncer_assets_tests.doubles.snowflake.copying import copy

        try:
            table, rowtype = copy(self._connection, self.account, statement)
        except duckdb.ConstraintException as error:
            raise Refused(100072, "22000", str(error)) from None
        except duckdb.ConversionException as error:
            raise Refused(100038, "22018", str(error)) from None
        except duckdb.CatalogException as error:
            raise Refused(2003, "42S02", str(error)) from None
        except duckdb.Error as error:
            raise Refused(91016, "22000", str(error)) from None
        return Answer(table, rowtype, COPY)


def _extension(name: str) -> Path:
    """The extension in its wheel: nothing is downloaded."""
    spec = find_spec(f"duckdb_extension_{name}")
    assert spec is not None and spec.origin is not None, f"the wheel duckdb-extension-{name} is not installed"
    return sorted(Path(spec.origin).parent.glob(f"extensions/*/{name}.duckdb_extension"))[-1]


def _status(text: str) -> Answer:
    rowtype = describe_as_rowtype([("status", "VARCHAR", None, None, None, None)])
    return Answer(pa.table({"status": [text]}), rowtype)


def _rows(names: tuple[str, ...], rows: list[tuple[str, ...]]) -> Answer:
    rowtype = describe_as_rowtype([(name, "VARCHAR", None, None, None, None) for name in names])
    return Answer(pa.table({name: [row[n] for row in rows] for n, name in enumerate(names)}), rowtype)


def _counted(name: str, rows: int, type_id: int) -> Answer:
    rowtype = describe_as_rowtype([(name, "BIGINT", None, None, None, None)])
    return Answer(pa.table({name: [rows]}), rowtype, type_id)


def _value(binding: dict[str, Any]) -> Any:
    return None if binding.get("value") is None else from_binding(binding)


def _locked(statement: str) -> str | None:
    """The table that a statement locks; all DDL shares one lock: DuckDB's catalogue takes one change at a time."""
    if match := re.match(r'(?:UPDATE|DELETE FROM|MERGE INTO)\s+("?\w+"?(?:\."?\w+"?)*)', statement.strip()):
        return match[1].upper()
    return "the catalogue" if re.match(r"(?:CREATE|ALTER|DROP|TRUNCATE)\b", statement.strip()) else None


def _in_duckdb(expression: exp.Expr) -> str:
    for transform in NEEDED:
        expression = expression.transform(transform)
    return expression.sql(dialect="duckdb")


def _teach() -> None:
    """Once a process: fakesnow's own gaps that no statement can go around."""
    fakesnow.transforms.integer_precision = lambda expression: expression  # NUMBER(38,0) holds more than a BIGINT
    fakesnow.transforms.merge = lambda expression: [expression]  # DuckDB has MERGE, in transactions too
    if fakesnow.arrow.timestamp_to_sf_struct is _times_with_nulls:
        return
    lengths = fakesnow.info_schema.insert_text_lengths_sql

    def escaped(catalog: str, schema: str, table: str, columns: list[tuple[str, int]]) -> str:
        return lengths(catalog, _escaped(schema), _escaped(table), [(_escaped(name), size) for name, size in columns])

    fakesnow.info_schema.insert_text_lengths_sql = escaped
    tables = fakesnow.info_schema.SQL_CREATE_INFORMATION_SCHEMA_TABLES_VIEW.template
    made = 'to_timestamp(tables.table_oid)::timestamptz AS "CREATED"'
    fakesnow.info_schema.SQL_CREATE_INFORMATION_SCHEMA_TABLES_VIEW = Template(
        tables.replace('to_timestamp(0)::timestamptz AS "CREATED"', made)
    )
    fakesnow.arrow.timestamp_to_sf_struct = _times_with_nulls


def _escaped(name: str) -> str:
    return name.replace("'", "''")


def _times_with_nulls(times: Any) -> Any:
    """fakesnow sends a NULL time as a struct of NULLs, which the connector reads as 1970; the service does not."""
    struct = TIMES(times)
    filled = [part.fill_null(0) for part in struct.flatten()]
    whole = times.combine_chunks() if hasattr(times, "combine_chunks") else times
    return pa.StructArray.from_arrays(filled, fields=list(struct.type), mask=whole.is_null())
