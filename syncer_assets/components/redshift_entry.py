"""How to reach a Redshift without a DSN."""

import dagster as dg
from pydantic import Field

from .fields import EnvironmentName


class RedshiftEntry(dg.Resolvable, dg.Model):
    """A cluster or workgroup, by the arguments that dagster-aws's RedshiftClientResource takes.

    `autocommit` is not among them: the loads make their own transactions.
    """

    host: str = Field(description="The endpoint, without port and database.")
    port: int = Field(default=5439, description="The port.")
    user: str = Field(description="The user.")
    password_env: EnvironmentName = Field(
        description="The NAME of the environment variable that holds the password, never the password."
    )
    database: str = Field(description="The database.")
    sslmode: str = Field(default="verify-full", description="As libpq names it; less needs `insecure: true`.")
    connect_timeout: int = Field(default=10, description="Seconds to wait for a connection.")

    def to_arguments(self) -> dict[str, str]:
        """The arguments as libpq names them, without the password."""
        return {
            "host": self.host,
            "port": str(self.port),
            "user": self.user,
            "dbname": self.database,
            "sslmode": self.sslmode,
            "connect_timeout": str(self.connect_timeout),
        }
