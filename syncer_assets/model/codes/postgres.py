"""PostgreSQL: SQLSTATEs (its manual, appendix A), and libpq's messages where there is none."""

from ..failures import Codes, Text

PASSWORD = "check the password in the connection's environment variable"
ACCESS = "check user and pg_hba.conf; TLS may be required"
REACHED = "check host and port in the connection's environment variable, and that the server runs"
DATABASE = "check the database name in the connection's environment variable"
CERTIFICATE = "name the right authority (?sslrootcert=FILE) and the host as the server's certificate has it"
CONNECTIONS = (
    "raise max_connections or the role's CONNECTION LIMIT, put a pooler in between, or sync fewer tables at once"
)
PRIMARY = "no host of the connection string takes writes: end the failover, or name the primary's host too"

CODES = Codes(
    family="postgres",
    classes={
        "new_connection": (
            *("08000", "08001", "08003", "08006", "57P01", "57P02", "57P03", "57P05", "25P03", "25006"),
        ),
        "retry_transaction": ("40001", "40P01", "40003", "55P03", "55006"),
        "wait_longer": ("53300", "53000", "53200", "08004"),
        "once": ("08P01", "58030"),
        "if_not_ours": ("57014",),
        "never": (*("53100", "57P04", "28*", "3D000", "42*", "22*", "23*", "0A000", "54*", "XX001", "XX002"),),
    },
    reading={"25006": "never", "40001": "if_not_ours"},
    texts=(
        Text("57014", "statement timeout", "smaller_chunk", "raise the statement timeout, or make chunk.rows smaller"),
        Text(None, "password authentication failed|no password supplied", "never", PASSWORD),
        Text(None, "no pg_hba.conf entry", "never", ACCESS),
        Text(None, "certificate|does not support SSL", "never", CERTIFICATE),
        Text(None, "does not exist", "never", DATABASE),
        Text(None, "permission denied for database", "never", "GRANT CONNECT ON DATABASE .. TO the role"),
        Text(None, "too many clients|remaining connection slots|too many connections", "wait_longer", CONNECTIONS),
        Text(None, "session is read-only|server is (not )?in hot standby mode", "new_connection", PRIMARY),
        Text(None, "Temporary failure in name resolution", "new_connection", REACHED),
        Text(None, "could not translate host name|failed to resolve host", "never", REACHED),
        Text(None, "Connection refused|Is the server running", "new_connection", REACHED),
        Text(None, "server closed the connection unexpectedly|the connection is (closed|lost)", "new_connection"),
        Text(None, "recovery mode|not yet accepting connections|starting up|shutting down", "new_connection"),
        Text(None, "terminating connection|[Cc]onnection reset|timeout expired|EOF detected", "new_connection"),
        Text(None, "sending copy data failed|consuming input failed", "new_connection"),
    ),
    fixes={
        "28P01": PASSWORD,
        "28*": ACCESS,
        "3D000": DATABASE,
        "57P04": DATABASE,
        "42501": "grant the missing privilege: SELECT on a source (BYPASSRLS where row-level security would hide rows),"
        " ownership of its schema on a warehouse",
        "42P01": "check the table's name, or remove it from the YAML",
        "42703": "check the column's name in the YAML",
        "40001": "a replica: SET max_standby_streaming_delay higher, or hot_standby_feedback = on; a warehouse: let"
        " fewer jobs write the same table at once",
        "40P01": "look for another job that writes the same table, and let it run at another time",
        "55P03": "look for a session that holds a lock on the table for long",
        "53300": CONNECTIONS,
        "53100": "free disk space on the server",
        "53200": "give the server memory, or lower work_mem or `workers`",
        "25006": "the session is read only, or its host became a standby: name the primary's host too, with"
        " target_session_attrs=read-write",
        "57014": "somebody cancels the statement, or raise the statement timeout, or make chunk.rows smaller",
        "22P02": "the value does not fit the warehouse column's type; change the column or drop it and load in full",
        "22001": "the warehouse column is too short; widen it",
        "22003": "the warehouse column is too small for the value; widen it",
        "22*": "correct the value at the source, or exclude the column",
        "23*": "drop the constraint on the warehouse table, or correct the rows at the source",
        "XX001": "a page of the table or index is damaged: restore it from a backup, or REINDEX",
        "XX002": "an index is damaged: REINDEX it",
    },
)
"""25006 while only reading is a bug that another attempt would hide; 40001 is then a replica that had to apply changes
(PostgreSQL's manual, 26.4.2). 53100: what filled the disk fills it again."""
