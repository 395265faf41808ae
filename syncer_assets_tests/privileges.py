"""The least-privileged roles of docs/privileges.md, made by the statements that stand there."""

import re

from syncer_assets_tests.docs.pages import CHECKOUT, blocks
from syncer_assets_tests.mariadb import MariaDatabase
from syncer_assets_tests.servers import Database

PAGE = CHECKOUT / "docs" / "privileges.md"
PASSWORD = "it's a secret"
OWN_SCHEMA = "CREATE SCHEMA shop AUTHORIZATION syncer_loader;"


def reader(database: Database) -> str:
    """The DSN of a role that reads the database's tables, also those that are made later."""
    role = f"syncer_reader_{database.name}"
    database.execute(_grants("PostgreSQL, source", {"syncer_reader": role, "(?<=DATABASE )shop": database.name}))
    return database.dsn_as(role, PASSWORD)


def loader(database: Database, *schemas: str) -> str:
    """The DSN of a role that loads into the schema `shop`, and into these."""
    role = f"syncer_loader_{database.name}"
    more = {OWN_SCHEMA: "\n".join([OWN_SCHEMA, *(OWN_SCHEMA.replace("shop", schema) for schema in schemas)])}
    names = {"syncer_loader": role, "(?<=DATABASE )analytics": database.name}
    database.execute(_grants("PostgreSQL, warehouse", {**more, **names}))
    return database.dsn_as(role, PASSWORD)


def further_grant(database: Database, part: str) -> None:
    """One of the page's further grants to the loader of a database, by a part of its text."""
    lines = statements_of("PostgreSQL, warehouse, where it is wanted").splitlines()
    (grant,) = [line for line in lines if part in line]
    role = f"syncer_loader_{database.name}"
    database.execute(grant.replace("syncer_loader", role).replace("DATABASE analytics", f"DATABASE {database.name}"))


def maria_reader(database: MariaDatabase) -> str:
    """The DSN of a role that reads a database of MariaDB."""
    role = f"syncer_reader_{database.name}"
    grants = _grants("MySQL and MariaDB, source", {"syncer_reader": role, r"\bshop(?=\.\*)": f"`{database.name}`"})
    for statement in filter(str.strip, grants.split(";")):
        database.execute(statement)
    return database.dsn_as(role, PASSWORD)


def statements_of(heading: str) -> str:
    """The block below a heading of the page, without comments."""
    (block,) = [block for block in blocks(PAGE) if block.heading == heading]
    return "\n".join(line.partition("--")[0].rstrip() for line in block.text.splitlines())


def _grants(heading: str, others: dict[str, str]) -> str:
    """The statements with other names (by regular expressions), each of which must stand there."""
    text = statements_of(heading).replace("'...'", "'{}'".format(PASSWORD.replace("'", "''")))
    for pattern, other in others.items():
        text, count = re.subn(pattern, lambda _, other=other: other, text)
        assert count, f"docs/privileges.md, {heading}: {pattern} is not there"
    return text
