"""Snowflake: the connector's codes (its errorcode.py, network.py) and the service's, with six digits as its texts."""

from ..failures import Codes, Text

HTTP = (400, 403, 405, 408, 500, 502, 503, 504)
"""Statuses that the connector itself retries before it gives up with 290000 + status."""

CODES = Codes(
    family="snowflake",
    classes={
        "new_connection": (
            *("250002", "250003", "250005", "251011", "251012", "252007", "252010", "252013", "253002", "253003"),
            *(f"{290000 + status}" for status in HTTP),
        ),
        "once": (
            *("390110", "390111", "390112", "390113", "390114", "390115", "390195", "390318", "000603"),
            *(f"2540{number:02d}" for number in range(1, 19)),
        ),
        "retry_transaction": ("000625",),
        "wait_longer": ("290429", "333333", "333334"),
        "if_not_ours": ("000604",),
        "never": ("250001", "000629", "000630", "000606", "002003", "003001", "000904", "090073", "390100", "390144"),
    },
    texts=(
        Text(
            "250001",
            "Could not connect to Snowflake backend|Failed to execute request|Connection refused|timed out",
            "new_connection",
        ),
        Text(None, "^(OperationalError|InternalServerError|ServiceUnavailableError)", "new_connection"),
    ),
    fixes={
        "390100": "check user and password in the connection's environment variable",
        "390144": "check that the public key of this private key is set on the user (ALTER USER .. SET RSA_PUBLIC_KEY)",
        "390189": "grant the role to the user, or name another one in the DSN (?role=..)",
        "390201": "check database and schema in the DSN, and the role's USAGE on them",
        "250001": "check account, user and password or key, and that a network policy lets this machine in",
        "250003": "check the account's name in the DSN, and that its host can be reached from here",
        "2540*": "let this machine reach the OCSP responders of the certificate's authority",
        "002003": "check the name, and the role's privilege: SELECT on a source, USAGE on its schema and database",
        "000904": "check the column's name in the YAML",
        "003001": "grant the missing privilege to the role that the DSN names",
        "000606": "name a virtual warehouse in the DSN (?warehouse=..), and grant its USAGE to the role",
        "000625": "look for a transaction that holds the table for long (SHOW LOCKS)",
        "290429": "the service asks for fewer requests: let fewer tables run at once",
        "090073": "the warehouse's resource monitor has suspended it: raise its credit quota",
        "000629": "raise `statement_timeout_seconds`, use a larger warehouse, or make chunks or batches smaller",
        "000630": "raise `statement_timeout_seconds`, use a larger warehouse, or make chunks or batches smaller",
    },
)
"""The tokens and sessions of 390110-390318 are opened anew, once. 250001 is a wrong password as well as a network that
is down. 333333 and 333334: the query is still at work. Codes below 100000 are the service's own, unchecked here; a
statement that ran into its limit is not sent again, since it is paid for by the second."""
