"""Identifiers in backticks."""


def relation(table: str) -> str:
    """The quoted table name; without a database it is the session's."""
    schema, dot, rest = table.partition(".")
    return f"{quoted(schema)}.{quoted(rest)}" if dot else quoted(table)


def quoted(identifier: str) -> str:
    """An identifier in backticks."""
    return f"`{identifier.replace('`', '``')}`"
