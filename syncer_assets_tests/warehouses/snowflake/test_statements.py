"""Every statement that the double was sent, in golden files, and held against a list of what Snowflake's manual has.

The double proves that statements run on DuckDB; these lists are what stands between that and the real parser.
"""

import re
from collections.abc import Sequence
from datetime import timedelta

import pytest
import sqlglot
import sqlglot.errors
from sqlglot import exp

from syncer_assets.model.columns import Column
from syncer_assets.model.keys import Buckets
from syncer_assets.model.report import silent
from syncer_assets.model.sizing import SizeRules, SizeStep
from syncer_assets.warehouses.base import DeleteMissing
from syncer_assets.warehouses.snowflake import SnowflakeWarehouse
from syncer_assets_tests.doubles import golden
from syncer_assets_tests.doubles.snowflake import SnowflakeDouble
from syncer_assets_tests.warehouses.contract.under_test import ORDERS, Extraction, Loads, at

OPAQUE = (
    r"PUT 'file://<folder>/\*\.parquet' @\S+ AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = NONE OVERWRITE = TRUE"
    r" PARALLEL = 8",
    r"ALTER SESSION SET QUERY_TAG = '[^']*'",
    r"SHOW WAREHOUSES LIKE '\w+'",
    r'ALTER WAREHOUSE "\w+" SET WAREHOUSE_SIZE = \w+ WAIT_FOR_COMPLETION = TRUE ENABLE_QUERY_ACCELERATION = FALSE',
    r"COPY INTO \S+ \([^()]*\) FROM \(SELECT .* FROM @\S+\) FILES = \([^()]*\) FILE_FORMAT = \(TYPE = PARQUET"
    r" USE_LOGICAL_TYPE = TRUE BINARY_AS_TEXT = FALSE\) FORCE = TRUE ON_ERROR = ABORT_STATEMENT",
)
"""Statements that sqlglot reads loosely or not at all: by their whole text."""

KINDS = {
    "create",
    "drop",
    "alter",
    "select",
    "insert",
    "update",
    "delete",
    "merge",
    "transaction",
    "commit",
    "rollback",
}
FUNCTIONS = {
    *(
        "CAST",
        "CASE",
        "COALESCE",
        "COUNT",
        "COUNT_IF",
        "SUM",
        "MAX",
        "ARG_MAX",
        "MIN",
        "ROW_NUMBER",
        "IF",
        "MOD",
        "AND",
    ),
    *(
        "OR",
        "EXISTS",
        "CURRENT_TIMESTAMP",
        "CURRENT_TRANSACTION",
        "ABS",
        "CURRENT_DATABASE",
        "CONTAINS",
        "RTRIM",
        "TRIM",
        "TO_CHAR",
        "TO_NUMBER",
    ),
    *("MD5", "SUBSTRING", "CHR", "CONVERT_TIMEZONE", "DATE_PART", "EXTRACT", "HEX", "LOWER", "LOWER_HEX", "PARSE_JSON"),
    *("TO_JSON", "JSON_FORMAT", "J_S_O_N_EXTRACT", "JSON_EXTRACT", "GET_QUERY_OPERATOR_STATS", "ARRAY", "ANONYMOUS"),
    *("QUERY_HISTORY_BY_SESSION", "TABLE", "DATE_STR_TO_DATE", "TIME_TO_STR", "TO_TIMESTAMP_TZ"),
}
"""As sqlglot calls those that our statements use; each is in Snowflake's manual."""


def normalised(statement: str) -> str:
    """What differs from run to run: the target's hash and epoch, folders, run ids, moments."""
    text = re.sub(r"\s+", " ", statement.strip())
    text = re.sub(r'"(RAW|NEW|GONE)_[0-9A-F]{16}_\d+"', r'"\1_<load>"', text)
    text = re.sub(r"file:///\S+?/\*", "file://<folder>/*", text)
    text = re.sub(r"GET_QUERY_OPERATOR_STATS\('[^']*'\)", "GET_QUERY_OPERATOR_STATS('<query>')", text)
    return re.sub(r"LIKE '\w+'", "LIKE 'LOADING'", text)


def check(scenario: str, statements: Sequence[str]) -> None:
    golden.check("snowflake", scenario, statements, normalised)
    for statement in map(normalised, statements):
        strangers = unknown(statement)
        assert not strangers, f"{strangers} in {statement}"


def unknown(statement: str) -> list[str]:
    """What of a statement is on no list."""
    if any(re.fullmatch(pattern, statement) for pattern in OPAQUE):
        return []
    tree = sqlglot.parse_one(statement, read="snowflake")
    strangers = [] if tree.key in KINDS else [tree.key]
    strangers += [node.key for node in tree.find_all(exp.Returning, exp.OnConflict, exp.Command, exp.Limit)]
    called = {node.sql_name() for node in tree.find_all(exp.Func) if not isinstance(node, exp.Anonymous)}
    called |= {node.name.upper() for node in tree.find_all(exp.Anonymous)}
    return strangers + sorted(called - FUNCTIONS)


@pytest.fixture
def sent(orders: Loads, snowflake_double: SnowflakeDouble) -> list[str]:
    """The statements from here on."""
    orders.register()
    orders.warehouse.close()
    snowflake_double.account.statements.clear()
    return snowflake_double.account.statements


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO t (a) VALUES (1) ON CONFLICT DO NOTHING",
        "UPDATE t SET a = 1 RETURNING a",
        "SELECT regexp_full_match(a, 'x') FROM t",
        "COPY INTO t FROM @s PATTERN = '.*'",
        "VACUUM t",
        "SELECT a FROM t LIMIT 1",
    ],
)
def test_the_list_refuses_what_snowflake_does_not_have_or_we_do_not_use(statement: str) -> None:
    try:
        strangers = unknown(statement)
    except sqlglot.errors.ParseError:
        strangers = ["syntax"]
    assert strangers


def test_registering(orders: Loads, snowflake_double: SnowflakeDouble) -> None:
    orders.warehouse.close()
    snowflake_double.account.statements.clear()
    orders.register()
    check("register", snowflake_double.account.statements)


def test_a_first_load(orders: Loads, sent: list[str]) -> None:
    orders.columns = (*ORDERS, Column("doc", "string", "jsonb"), Column("day", "date32[day]", "date"))
    orders.load([(1, "a"), (2, "b")])
    check("first_load", sent)


def test_a_merge(orders: Loads, sent: list[str]) -> None:
    orders.columns = (*ORDERS, Column("doc", "string", "jsonb"))
    orders.load([(1, "a")])
    sent.clear()
    orders.columns = (*orders.columns, Column("moment", "timestamp[us, tz=UTC]", "timestamp with time zone"))
    orders.load([(1, "b"), (2, "b")])
    check("merge", sent)


def test_a_re_read_with_deletes(orders: Loads, sent: list[str]) -> None:
    orders.load([(1, "a"), (2, "a"), (3, "a")])
    sent.clear()
    rule = DeleteMissing(at(5), column="id", start=0, end=100, upto=90)
    orders.load_all([Extraction([(9, "x")], 2), Extraction([(1, "b")], 5, "replace")], delete_missing=rule)
    gone = Extraction([], 6, "repair", deleted=[(1, 5)])
    orders.load_all([gone], hard_deletes=True)
    orders.load_all([replaced(gone, 7)], hard_deletes=False)
    check("re_read", sent)


def replaced(extraction: Extraction, captured: float) -> Extraction:
    return Extraction(extraction.rows, captured, extraction.mode, extraction.columns, extraction.deleted)


def test_a_table_without_a_key(orders: Loads, sent: list[str]) -> None:
    orders.key, orders.load_kind = (), "replace"
    orders.load([(1, "a"), (1, "a")], delete_missing=DeleteMissing(at(1)))
    sent.clear()
    orders.load([(1, "a"), (2, "a")], delete_missing=DeleteMissing(at(2)), mode="replace")
    check("without_a_key", sent)


def test_a_comparison(orders: Loads, sent: list[str]) -> None:
    orders.load([(1, "a")])
    sent.clear()
    orders.warehouse.checksum(orders.target, ORDERS, ("id",), 16)
    orders.warehouse.key_rows(orders.target, ORDERS, ("id",), Buckets(16, (1, 2)), [ORDERS[1]])
    orders.warehouse.activity([orders.target])
    orders.warehouse.forget(orders.target)
    check("comparison", sent)


def test_a_size(orders: Loads, sent: list[str], snowflake_double: SnowflakeDouble) -> None:
    database = orders.under_test.query("SELECT CURRENT_DATABASE()")[0][0]
    rules = SizeRules((SizeStep("LARGE"),), restore_after=timedelta(minutes=10))
    sent.clear()
    warehouse = SnowflakeWarehouse("w", snowflake_double.dsn(database), sizing=rules)
    with warehouse.sized(1, run_id="r", emit=silent):
        pass
    check("size", sent)
