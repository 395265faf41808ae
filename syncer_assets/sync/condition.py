"""`where` of a table: a condition on its rows, parsed, and written anew from the parse tree in the source's SQL.

Only what is listed here passes: comparisons of the table's columns with values, and a few functions that depend on
nothing but their arguments. No subquery, no other table, no time of day (a row would come and go by itself), nothing
that waits, reads a file or writes. What was not understood is refused; no text reaches the server as it was given.
"""

import re
from typing import TYPE_CHECKING

from ..model.errors import ConfigError
from ..model.table import TableSpec
from ..sources.base import TableFacts

if TYPE_CHECKING:
    from sqlglot import Expr

LONGEST = 2_000
COMPARISONS = {"EQ": "=", "NEQ": "<>", "GT": ">", "GTE": ">=", "LT": "<", "LTE": "<=", "Like": "LIKE"}
CONDITIONS = {*COMPARISONS, "And", "Or", "Not", "In", "Between", "Is"}
ARITHMETIC = {"Add": "+", "Sub": "-", "Mul": "*", "Mod": "%"}
FUNCTIONS = {"Lower": "LOWER", "Upper": "UPPER", "Abs": "ABS", "Coalesce": "COALESCE", "Trim": "TRIM"}
PARTS = {"this", "expression", "expressions", "low", "high", "negate"}
"""What a condition may be made of: not a subquery, nor an option of the dialect."""
TIMES = {
    "postgres": {"DATE": "date", "TIMESTAMP": "timestamp", "TIMESTAMPTZ": "timestamptz"},
    "mysql": {"DATE": "DATE", **dict.fromkeys(("DATETIME", "TIMESTAMP", "TIMESTAMPTZ"), "DATETIME(6)")},
    "snowflake": {
        "DATE": "DATE",
        **dict.fromkeys(("DATETIME", "TIMESTAMP", "TIMESTAMPNTZ"), "TIMESTAMP_NTZ"),
        **dict.fromkeys(("TIMESTAMPTZ", "TIMESTAMPLTZ"), "TIMESTAMP_TZ"),
    },
}
"""Types that a text may be cast to, as sqlglot and as the source names them."""


def condition(spec: TableSpec, facts: TableFacts) -> str | None:
    """The condition in the source's SQL, its columns quoted and without a table; None where there is none.

    Raises ConfigError naming what is not allowed.
    """
    if spec.where is None:
        return None
    tree = _parsed(spec, facts.engine)
    if not _is_condition(tree):
        raise _refused(spec, "it is no condition", "write a comparison, such as status <> 'draft'")
    return _Writer(spec, facts).written(tree)


def _parsed(spec: TableSpec, engine: str) -> "Expr":
    import sqlglot
    from sqlglot.errors import SqlglotError

    text = spec.where or ""
    if len(text) > LONGEST:
        raise _refused(spec, f"it has more than {LONGEST} characters", "make a view of the rows, and read that")
    try:
        trees = sqlglot.parse(text, dialect=engine)
    except (SqlglotError, RecursionError):
        raise _refused(spec, "it cannot be parsed", f"write it in the SQL of {engine}") from None
    if len(trees) != 1 or trees[0] is None:
        raise _refused(spec, "it is not one expression", "leave out what is beside it, such as a semicolon")
    if any(node.comments for node in trees[0].walk()):
        raise _refused(spec, "it has a comment", "leave it out: MySQL runs some of them")
    return trees[0]


def _is_condition(tree: "Expr") -> bool:
    name = type(tree).__name__
    return name in CONDITIONS or (name == "Paren" and _is_condition(tree.this))


class _Writer:
    """Writes a tree. Each method refuses what it does not know."""

    def __init__(self, spec: TableSpec, facts: TableFacts):
        self._spec, self._facts = spec, facts
        self._engine = facts.engine

    def written(self, node: "Expr") -> str:
        name = type(node).__name__
        if more := [key for key, value in node.args.items() if value and key not in PARTS and name in CONDITIONS]:
            raise self._not_allowed(f"{name.upper()} with a {more[0]}")
        if name in ("And", "Or"):
            return f"({self.written(node.this)} {name.upper()} {self.written(node.expression)})"
        if name == "Not":
            return f"(NOT {self.written(node.this)})"
        if name == "Paren":
            return f"({self.written(node.this)})"
        if name == "In":
            return f"({self.written(node.this)} IN ({self._listed(node)}))"
        if name == "Between":
            low, high = self.written(node.args["low"]), self.written(node.args["high"])
            return f"({self.written(node.this)} BETWEEN {low} AND {high})"
        if name == "Is":
            no = "NOT " if node.args.get("negate") else ""
            return f"({self.written(node.this)} IS {no}{self._constant(node.expression)})"
        if operator := COMPARISONS.get(name) or ARITHMETIC.get(name):
            return f"({self.written(node.this)} {operator} {self.written(node.expression)})"
        if name == "Neg":
            return f"(- {self.written(node.this)})"
        if name in FUNCTIONS:
            return self._function(node)
        if name == "Cast":
            return self._cast(node)
        if name == "Literal":
            return self._literal(node)
        if name == "Column":
            return self._column(node)
        return self._constant(node)

    def _listed(self, node: "Expr") -> str:
        if not node.expressions:
            raise self._not_allowed("IN without a list of values")
        return ", ".join(self.written(each) for each in node.expressions)

    def _constant(self, node: "Expr") -> str:
        name = type(node).__name__
        if name == "Null":
            return "NULL"
        if name == "Boolean":
            return "TRUE" if node.this else "FALSE"
        raise self._not_allowed(str(node.this) if name == "Anonymous" else name)

    def _function(self, node: "Expr") -> str:
        name = type(node).__name__
        if more := [key for key, value in node.args.items() if value and key not in ("this", "expressions")]:
            raise self._not_allowed(f"{FUNCTIONS[name]} with {more[0]}")
        arguments = [node.this, *node.expressions]
        return f"{FUNCTIONS[name]}({', '.join(self.written(each) for each in arguments)})"

    def _cast(self, node: "Expr") -> str:
        """Of a text that says a time: DATE '2024-01-01', '2024-01-01'::timestamptz."""
        kind = node.args["to"]
        type_name = TIMES[self._engine].get(kind.this.name)
        if type(node.this).__name__ != "Literal" or type_name is None or kind.expressions:
            raise self._not_allowed("a cast, but of a text to a time")
        return f"CAST({self._literal(node.this)} AS {type_name})"

    def _literal(self, node: "Expr") -> str:
        text = str(node.this)
        if not node.is_string:
            if not re.fullmatch(r"\d+(\.\d+)?", text):
                raise self._not_allowed("a number that is no decimal one")
            return text
        if "\\" in text or "\0" in text:
            raise self._not_allowed("a text with a backslash")  # what it means depends on the server
        if self._engine == "mysql":
            return f"_utf8mb4 x'{text.encode().hex()}'"
        return "'{}'".format(text.replace("'", "''"))

    def _column(self, node: "Expr") -> str:
        if any(node.args.get(part) for part in ("table", "db", "catalog")):
            raise self._not_allowed("a column of a table that is named")
        identifier = node.this
        if type(identifier).__name__ != "Identifier":
            raise self._not_allowed(type(identifier).__name__)
        name, names = str(identifier.this), [column.column.name for column in self._facts.columns]
        if name not in names and not identifier.quoted:
            alike = [each for each in names if each.casefold() == name.casefold()]
            name = alike[0] if len(alike) == 1 else name
        if name not in names:
            raise _refused(self._spec, f"the table has no column {name!r}", f"use one of {', '.join(names[:20])}")
        mark = "`" if self._engine == "mysql" else '"'
        return f"{mark}{name.replace(mark, mark * 2)}{mark}"

    def _not_allowed(self, what: str) -> ConfigError:
        return _refused(
            self._spec,
            f"{what} is not allowed in it",
            "compare columns with values (AND, OR, NOT, IN, BETWEEN, LIKE, IS NULL, LOWER, UPPER, TRIM, ABS, COALESCE)"
            ", or make a view of the rows and read that",
        )


def _refused(spec: TableSpec, what: str, fix: str) -> ConfigError:
    return ConfigError(f"`where`: {what}", table=spec.table, fix=fix)
