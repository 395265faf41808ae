"""Which statements Redshift takes, as far as its manual tells, and what PostgreSQL is told instead.

A statement that is not known here is refused: the double lets nothing through that nobody has compared with the manual
(Amazon Redshift Database Developer Guide, "SQL reference"). What its parser would say of it is not proven.
"""

import hashlib
import re
from collections.abc import Sequence

TOKEN = re.compile(
    r"""\s+|(?P<string>[eE]?'(?:[^'\\]|''|\\.)*')|(?P<quoted>"(?:[^"]|"")*")|(?P<word>[A-Za-z_][A-Za-z0-9_$]*)"""
    r"""|(?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)|(?P<parameter>\$\d+)|(?P<sign>::|<>|<=|>=|!=|\|\||.)""",
    re.DOTALL,
)

FUNCTIONS = frozenset(
    {
        *(
            "ABS",
            "COUNT",
            "SUM",
            "MIN",
            "MAX",
            "COALESCE",
            "CAST",
            "MD5",
            "STRTOL",
            "SUBSTRING",
            "CHR",
            "MOD",
            "TO_CHAR",
        ),
        *("POSITION", "RTRIM", "LOWER", "OCTET_LENGTH", "ROW_NUMBER", "JSON_PARSE", "JSON_SERIALIZE"),
        *("FROM_VARBYTE", "FORMAT_TYPE", "PG_BACKEND_PID", "VERSION", "CURRENT_DATABASE", "HAS_DATABASE_PRIVILEGE"),
    }
)
"""The functions that our statements use, each looked up in the manual's list."""

NO_FUNCTIONS = frozenset(
    {
        *("IN", "AS", "AND", "OR", "NOT", "ON", "BY", "OVER", "VALUES", "SELECT", "FROM", "WHERE", "THEN", "WHEN"),
        *("ELSE", "CASE", "EXISTS", "KEY", "INSERT", "INTO", "USING", "SORTKEY", "DISTKEY", "JOIN"),
        *("VARCHAR", "DECIMAL", "VARBYTE", "TABLE"),
    }
)
"""Words before a parenthesis that call nothing."""

BEFORE_TABLES = frozenset({".", "TABLE", "EXISTS", "INTO", "COPY"})
"""Words before the name of a table, which calls nothing."""

FORBIDDEN = (
    ("ON CONFLICT", "INSERT has no ON CONFLICT"),
    ("RETURNING", "there is no RETURNING"),
    ("FILTER (", "aggregates have no FILTER"),
    ("DISTINCT ON", "there is no DISTINCT ON"),
    ("IS DISTINCT", "there is no IS DISTINCT FROM"),
    ("IS NOT DISTINCT", "there is no IS DISTINCT FROM"),
    ("ARRAY [", "there are no arrays"),
    ("FOR UPDATE", "there is no SELECT FOR UPDATE"),
    ("LATERAL", "there is no LATERAL"),
    ("CREATE INDEX", "there are no indexes"),
    ("CREATE UNIQUE INDEX", "there are no indexes"),
    ("MATERIALIZED", "a WITH query cannot be materialized"),
)

FIRST_WORDS = frozenset(
    {
        *("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "CREATE", "DROP", "ALTER", "BEGIN", "COMMIT"),
        *("ROLLBACK", "LOCK", "ANALYZE", "VACUUM", "SET", "TRUNCATE"),
    }
)

NAME = r'(?:(?:"(?:[^"]|"")*"|[A-Za-z_][A-Za-z0-9_]*)(?:\.(?:"(?:[^"]|"")*"|[A-Za-z_][A-Za-z0-9_]*))?)'
COPY = re.compile(rf"COPY (?P<table>{NAME})(?P<columns> \([^)]*\))? FROM '(?P<source>[^']+)'(?P<options>.*)", re.DOTALL)
SETTING = re.compile(r"SET ([a-z_]+) TO (.+)", re.IGNORECASE | re.DOTALL)
PLAIN_SETTINGS = ("timezone", "statement_timeout", "application_name", "datestyle")
BYTES = re.compile(r"VARCHAR\((\d+)\)")


def words(statement: str) -> list[str]:
    """The tokens: words in upper case, names and strings as they are."""
    found = []
    for match in TOKEN.finditer(statement):
        if match.lastgroup:
            found.append(match[0].upper() if match.lastgroup == "word" else match[0])
    return found


def refusal(statement: str, *, in_transaction: bool) -> str | None:
    """Why Redshift would not take the statement; None where it would."""
    tokens = words(statement)
    if not tokens or tokens[0] not in FIRST_WORDS:
        return f"the double does not know {tokens[0] if tokens else 'an empty statement'}"
    joined = " ".join(token for token in tokens if token[0] not in "'\"")
    for sequence, reason in FORBIDDEN:
        if re.search(rf"(?:^| ){re.escape(sequence)}(?: |$)", joined):
            return reason
    if ";" in tokens:
        return "several statements at once cannot be told apart"
    if any(re.match(r"[eE]'", token) or re.match(r"\$\d", token) for token in tokens):
        return "there are no E'' strings, and a plain statement has no parameters"
    for before, name, following in zip(["", *tokens], tokens, tokens[1:], strict=False):
        is_call = following == "(" and name[0].isalpha() and before not in BEFORE_TABLES
        if is_call and name not in FUNCTIONS | NO_FUNCTIONS:
            return f"the double does not know the function {name.lower()}"
    rule = {"MERGE": _merge, "ALTER": _alter, "COPY": _copy, "VACUUM": _vacuum}.get(tokens[0])
    return rule(statement, tokens, in_transaction) if rule else None


def translated(statement: str) -> str:
    """The statement in PostgreSQL's words: what it has no word for lies in the double's schema."""
    tokens = words(statement)
    if match := SETTING.fullmatch(statement.strip()):
        name = match[1].lower()
        return statement if name in PLAIN_SETTINGS else f"SET redshift_double.{name} TO {match[2]}"
    if tokens[0] == "VACUUM":
        return re.sub(
            r"^VACUUM (?:FULL|DELETE ONLY|SORT ONLY) (.+?)(?: TO \d+ PERCENT)?$", r"VACUUM \1", statement.strip()
        )
    if tokens[:2] == ["CREATE", "TABLE"]:
        return _in_bytes(_without_layout(statement))
    if tokens[:2] == ["CREATE", "TEMP"]:
        return re.sub(r"\bVARBYTE\(\d+\)", "VARBYTE", re.sub(r"\bJSON_SERIALIZE\(", "SUPER_TEXT(", statement))
    if tokens[:2] == ["ALTER", "TABLE"]:
        return _altered(statement)
    return re.sub(r"\bJSON_SERIALIZE\(", "SUPER_TEXT(", statement)


def layout_of(statement: str) -> tuple[str, str, str] | None:
    """(table, `sort_key` or `distribution`, value) of an ALTER TABLE that changes one; PostgreSQL has neither."""
    match = re.fullmatch(
        rf"ALTER TABLE ({NAME}) ALTER (?:COMPOUND )?(?:SORTKEY \((.+)\)|DISTSTYLE (.+))", statement.strip()
    )
    if match is None:
        return None
    if match[2]:
        return match[1], "sort_key", match[2]
    key = re.fullmatch(r'KEY DISTKEY "?(.+?)"?', match[3])
    return match[1], "distribution", f"KEY({key[1]})" if key else match[3]


def normalised(statement: str) -> str:
    """The statement with `?` for its values and one space where there is any: what the golden files have."""
    if head := re.match(r"INSERT INTO _syncer\.\w+ .*?VALUES ", statement, re.DOTALL):
        statement = head[0] + "(..)"
    parts = []
    for match in TOKEN.finditer(statement):
        parts.append({"string": "?", "number": "?", None: " "}.get(match.lastgroup, match[0]))
    return re.sub(r"\(\?(?:, ?\?)*\)", "(?)", "".join(parts)).strip()


def _merge(statement: str, tokens: Sequence[str], in_transaction: bool) -> str | None:
    if "REMOVE" in tokens:
        return None
    source = tokens[tokens.index("USING") + 1] if "USING" in tokens else "("
    if source in ("(", "SELECT"):
        return "the source of MERGE is a table, no subquery"
    condition = tokens[tokens.index("ON") + 1 : tokens.index("WHEN")]
    if not re.fullmatch(r"\S+ \. \S+ = \S+ \. \S+(?: AND \S+ \. \S+ = \S+ \. \S+)*", " ".join(condition)):
        return "the condition of MERGE is that columns are equal"
    clauses = re.findall(r"WHEN (NOT )?MATCHED (AND\b)?", " ".join(tokens))
    if any(condition for _, condition in clauses):
        return "WHEN MATCHED takes no condition"
    if sorted(bool(negated) for negated, _ in clauses) != [False, True]:
        return "MERGE has one WHEN MATCHED and one WHEN NOT MATCHED, both of them"
    return None


def _alter(statement: str, tokens: Sequence[str], in_transaction: bool) -> str | None:
    if tokens[1] != "TABLE":
        return "the double knows ALTER TABLE only"
    depth = 0
    for token in tokens:
        depth += (token == "(") - (token == ")")
        if token == "," and depth == 0:
            return "ALTER TABLE does one thing at a time"
    if "ALTER" in tokens[2:] and in_transaction:
        return "ALTER TABLE ALTER COLUMN, SORTKEY and DISTSTYLE cannot run inside a transaction block"
    if "TYPE" in tokens and "VARCHAR" not in tokens:
        return "only the length of a VARCHAR can be altered"
    return None


def _vacuum(statement: str, tokens: Sequence[str], in_transaction: bool) -> str | None:
    return "VACUUM cannot run inside a transaction block" if in_transaction else None


def _copy(statement: str, tokens: Sequence[str], in_transaction: bool) -> str | None:
    match = COPY.fullmatch(statement.strip())
    if match is None or not match["source"].startswith("s3://"):
        return "COPY reads from s3:// only"
    options = " ".join(words(match["options"]))
    if "IAM_ROLE" not in options:
        return "COPY needs IAM_ROLE, or other credentials"
    if "FORMAT AS PARQUET" not in options:
        return "the double copies Parquet only"
    if match["columns"]:
        return "COPY of columnar data is by position, without a list of columns"
    unknown = set(options.split()) & {"MAXERROR", "ACCEPTANYDATE", "REGION", "IGNOREHEADER", "DELIMITER", "STATUPDATE"}
    if unknown:
        return f"COPY of columnar data takes no {sorted(unknown)[0]}"
    if not re.fullmatch(r"IAM_ROLE (?:DEFAULT|'[^']+') FORMAT AS PARQUET(?: MANIFEST)?(?: SERIALIZETOJSON)?", options):
        return "the double does not know these options of COPY"
    return None


def _without_layout(statement: str) -> str:
    """Without what PostgreSQL does not know, and without keys, which Redshift takes and does not enforce."""
    plain = re.sub(r",?\s*PRIMARY KEY(?:\s*\([^)]*\))?", "", statement)
    return re.sub(r"\s(?:DISTSTYLE \w+|DISTKEY ?\([^)]*\)|(?:COMPOUND )?SORTKEY ?\([^)]*\))", "", plain)


def _in_bytes(statement: str) -> str:
    """A VARCHAR holds so many bytes, not characters."""
    plain = re.sub(r"\bVARBYTE\(\d+\)", "VARBYTE", statement)
    return re.sub(rf"({NAME})\s+(VARCHAR\(\d+\))", lambda m: f"{m[1]} {m[2]} {_check(m[1], m[2])}", plain)


def _altered(statement: str) -> str:
    head = re.match(rf"ALTER TABLE {NAME} ", statement.strip())
    assert head is not None
    action = statement.strip()[head.end() :]
    if widened := re.fullmatch(rf"ALTER COLUMN ({NAME}) TYPE (VARCHAR\(\d+\))", action):
        column, kind = widened.groups()
        name = _check_name(column)
        action = f"DROP CONSTRAINT IF EXISTS {name}, ALTER COLUMN {column} TYPE {kind}, ADD {_check(column, kind)}"
        return head[0] + action
    return head[0] + _in_bytes(action)


def _check(column: str, kind: str) -> str:
    match = BYTES.fullmatch(kind)
    assert match is not None
    return f"CONSTRAINT {_check_name(column)} CHECK (octet_length({column}) <= {match[1]})"


def _check_name(column: str) -> str:
    return f"bytes_{hashlib.md5(column.encode()).hexdigest()[:12]}"
