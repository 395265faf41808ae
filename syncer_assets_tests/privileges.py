"""The least-privileged roles of docs/privileges.md, made by the statements that stand there.

What the fixtures give to the product is theirs; a server refuses a session of the product that is a superuser's.
"""

import json
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import psycopg

from syncer_assets_tests.docs.pages import CHECKOUT, blocks

PAGE = CHECKOUT / "docs" / "privileges.md"
PASSWORD = "it's a secret"
OWN_SCHEMA = "CREATE SCHEMA shop AUTHORIZATION syncer_loader;"

ONLY_THE_ROLES = """
CREATE SCHEMA administration;
CREATE FUNCTION administration.only_the_roles() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('application_name') LIKE 'syncer_assets%'
        AND (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = session_user)
    THEN
        RAISE 'the product has come as a superuser: give it `dsn` of the fixture, not `admin_dsn`';
    END IF;
END $$;
CREATE EVENT TRIGGER only_the_roles ON login EXECUTE FUNCTION administration.only_the_roles();
"""
"""Sessions of the product are known by their application_name."""

TO_THE_LOADER = """
CREATE FUNCTION administration.hand_over() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
    made text;
BEGIN
    IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
        FOR made IN SELECT object_identity FROM pg_event_trigger_ddl_commands()
            WHERE object_type = 'table' AND schema_name <> 'pg_temp'
        LOOP
            EXECUTE format('ALTER TABLE %s OWNER TO syncer_loader', made);
        END LOOP;
    END IF;
END $$;
CREATE EVENT TRIGGER hand_over ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO')
    EXECUTE FUNCTION administration.hand_over();
"""
"""Tables that the administrator makes, the loader gets: as the page asks for tables that somebody else made."""


def role_of(database: str) -> str:
    """The product's in a PostgreSQL database, by whose name it is known whether that is a warehouse or a source."""
    return f"syncer_{'loader' if database.startswith('warehouse') else 'reader'}_{database}"


def make_reader(administrator: psycopg.Connection, database: str) -> None:
    """The role may read the tables of the schema public, also those that the administrator makes later."""
    role = role_of(database)
    grants = _statements("PostgreSQL, source", {"syncer_reader": role, "(?<=DATABASE )shop": database})
    administrator.execute(f"{grants}\n{ONLY_THE_ROLES}".encode())


def make_loader(administrator: psycopg.Connection, database: str, schemas: Sequence[str] = ()) -> None:
    """The role may load into the schema `shop`, and into these."""
    role = role_of(database)
    more = {OWN_SCHEMA: "\n".join([OWN_SCHEMA, *(OWN_SCHEMA.replace("shop", schema) for schema in schemas)])}
    names = {"syncer_loader": role, "(?<=DATABASE )analytics": database}
    grants = _statements("PostgreSQL, warehouse", {**more, **names})
    administrator.execute(f"{grants}\n{ONLY_THE_ROLES}{TO_THE_LOADER.replace('syncer_loader', role)}".encode())


def further_grant(part: str, role: str, database: str) -> str:
    """One of the page's further grants to a loader, by a part of its text."""
    lines = statements_of("PostgreSQL, warehouse, where it is wanted").splitlines()
    (grant,) = [line for line in lines if part in line]
    return grant.replace("syncer_loader", role).replace("DATABASE analytics", f"DATABASE {database}")


def make_maria_reader(administrator: Any, database: str) -> str:
    """A role that may read the tables of a database of MariaDB."""
    role = f"syncer_reader_{database}"
    grants = _statements("MySQL and MariaDB, source", {"syncer_reader": role, r"\bshop(?=\.\*)": f"`{database}`"})
    with administrator.cursor() as cursor:
        for statement in filter(str.strip, grants.split(";")):
            cursor.execute(statement)
    return role


def bucket_policy(bucket: str) -> str:
    """The page's policies for a bucket of SeaweedFS, which knows neither TLS here nor the key `s3:if-none-match`."""
    statements = [each for each in policy(0) + policy(1) if each["Sid"] not in ("OnlyByTLS", "ManifestsOnce")]
    text = json.dumps({"Version": "2012-10-17", "Statement": [{**each, "Principal": "*"} for each in statements]})
    return text.replace("arn:aws:s3:::my-bucket", f"arn:aws:s3:::{bucket}")


@cache
def policy(number: int = 0) -> list[dict[str, Any]]:
    """The statements of the page's policy for the lake, or of the one below it."""
    return json.loads([block.text for block in blocks(PAGE) if block.language == "json"][number])["Statement"]


@cache
def statements_of(heading: str) -> str:
    """The block below a heading of the page, without comments."""
    (block,) = [block for block in blocks(PAGE) if block.heading == heading]
    return "\n".join(line.partition("--")[0].rstrip() for line in block.text.splitlines())


def _statements(heading: str, others: dict[str, str]) -> str:
    """The statements with other names (by regular expressions), each of which must stand there."""
    text = statements_of(heading).replace("'...'", "'{}'".format(PASSWORD.replace("'", "''")))
    for pattern, other in others.items():
        text, count = re.subn(pattern, lambda _, other=other: other, text)
        assert count, f"docs/privileges.md, {heading}: {pattern} is not there"
    return text
