"""COPY INTO of Parquet, as the load writes it: an explicit list of files, columns by path, the file's name and row."""

import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from fakesnow.conn import FakeSnowflakeConnection
from fakesnow.rowtype import describe_as_rowtype

if TYPE_CHECKING:
    from syncer_assets_tests.doubles.snowflake.account import Account

SHAPE = re.compile(
    r"COPY INTO (?P<table>\S+) \((?P<columns>.*?)\) FROM \(SELECT (?P<values>.*), METADATA\$FILENAME,"
    r" METADATA\$FILE_ROW_NUMBER FROM @(?P<stage>.+?)\)\s+FILES = \((?P<files>.*?)\)\s+"
    r"FILE_FORMAT = \(TYPE = PARQUET USE_LOGICAL_TYPE = TRUE BINARY_AS_TEXT = FALSE\) FORCE = TRUE"
    r" ON_ERROR = ABORT_STATEMENT",
    re.DOTALL,
)
VALUE = re.compile(r'\$1:("(?:[^"]|"")*")::(\w+(?:\(\d+,\d+\))?)')
TYPES = {"FLOAT": "DOUBLE", "TIMESTAMP_NTZ": "TIMESTAMP", "TIMESTAMP_TZ": "TIMESTAMPTZ", "BINARY": "BLOB"}


def copy(connection: FakeSnowflakeConnection, account: "Account", statement: str) -> tuple[pa.Table, list[Any]]:
    """The answer of COPY: a row a file."""
    import duckdb

    match = SHAPE.fullmatch(statement.strip())
    if match is None:
        raise duckdb.ParserException("syntax error in COPY, or an option that the double does not know")
    duck = connection._duck_conn
    answers = []
    files = [text.replace("''", "'").replace("\\\\", "\\") for text in re.findall(r"'((?:[^']|'')*)'", match["files"])]
    for file in files:
        url, name = account.object(connection, match["stage"], file)
        there = {row[0] for row in duck.execute("SELECT name FROM parquet_schema(?)", [url]).fetchall()}
        chosen = []
        for quoted, kind in VALUE.findall(match["values"]):
            spelt = re.sub(r"^NUMBER", "DECIMAL", TYPES.get(str(kind), str(kind)))
            plain = quoted[1:-1].replace('""', '"')
            chosen.append(f"CAST({quoted} AS {spelt})" if plain in there else f"CAST(NULL AS {spelt})")
        duck.execute(
            f"INSERT INTO {match['table']} ({match['columns']}) SELECT {', '.join(chosen)}, ?, file_row_number + 1"
            " FROM read_parquet(?, file_row_number = true)",
            [name, url],
        )
        (rows,) = duck.fetchall()[0]
        answers.append({"file": name, "status": "LOADED", "rows_parsed": rows, "rows_loaded": rows})
    table = pa.Table.from_pylist(answers)
    kinds = {"file": "VARCHAR", "status": "VARCHAR", "rows_parsed": "BIGINT", "rows_loaded": "BIGINT"}
    return table, describe_as_rowtype([(name, kind, None, None, None, None) for name, kind in kinds.items()])
