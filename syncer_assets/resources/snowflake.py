"""Sessions of Snowflake by dagster-snowflake's resource, for warehouses that are opened as Dagster resources."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

FIELDS = frozenset(
    {
        *("account", "user", "password", "database", "schema", "role", "warehouse", "authenticator", "autocommit"),
        *("client_session_keep_alive", "login_timeout", "network_timeout", "paramstyle"),
    }
)
"""What SnowflakeResource has a field for; the rest are the connector's own arguments."""


@contextmanager
def opener(arguments: Mapping[str, object]) -> "Iterator[SnowflakeConnection]":
    """A session by SnowflakeResource, closed at the end; `arguments` are the connector's."""
    from dagster_snowflake import SnowflakeResource

    resource = SnowflakeResource(
        **{name: value for name, value in arguments.items() if name in FIELDS},  # type: ignore[arg-type]
        additional_snowflake_connection_args={name: value for name, value in arguments.items() if name not in FIELDS},
    )
    with resource.get_connection() as connection:
        try:
            yield connection
        finally:
            connection.close()
