"""MySQL and MariaDB: error numbers, the client's (2000-2999) and the server's."""

from ..failures import Codes, Text

LIMIT = "in the source's `options`, or make chunk.rows smaller"
CONNECTIONS = "raise max_connections or the user's limits on the server, or sync fewer tables at once"

CODES = Codes(
    family="mysql",
    classes={
        "new_connection": (
            *("0", "2002", "2003", "2006", "2013", "2014", "2027", "2055"),
            *("1053", "1152", "1158", "1159", "1160", "1161", "1184", "1836", "1927", "3032", "4031"),
        ),
        "retry_transaction": ("1205", "1213", "1020", "3572", "3058", "1047"),
        "wait_longer": ("1040", "1203", "1226", "1135", "1037", "1038", "1041"),
        "smaller_chunk": ("1969", "3024", "1028"),
        "if_not_ours": ("1317",),
        "never": (
            *("1129", "1044", "1045", "1049", "1054", "1064", "1142", "1143", "1146", "1153", "1264", "1366", "1406"),
            *("1062", "1345", "1356", "1792", "3159", "1227", "1290", "1105", "2026", "2005"),
        ),
    },
    texts=(
        Text("1290", "read-only|read_only", "new_connection"),
        Text("1105", "The last transaction was aborted", "new_connection"),
        Text(
            "2003",
            "certificate",
            "never",
            "the server's certificate is not the one of `ssl_ca`, or not of this host: correct either",
        ),
        Text("2003", "Name or service not known", "never", "check the host in the connection's environment variable"),
    ),
    fixes={
        "1040": CONNECTIONS,
        "1203": CONNECTIONS,
        "1226": CONNECTIONS,
        "1044": "grant the role the database, or correct the database in the connection's environment variable",
        "1045": "check user and password in the connection's environment variable; the server may demand TLS"
        " (?ssl_mode=..)",
        "1049": "check the database name in the connection's environment variable",
        "1054": "check the column's name in the YAML",
        "1129": "the server blocks this host after failed connections: FLUSH HOSTS there",
        "1142": "grant the missing privilege: SELECT on the table",
        "1143": "grant SELECT on the column, or list it in `columns.exclude`",
        "1146": "check the table's name, or remove it from the YAML",
        "1153": "raise max_allowed_packet on the server",
        "1227": "grant the missing privilege; `syncer doctor` names which",
        "1290": "the server runs with an option that forbids the statement: `syncer doctor` says what is needed",
        "1345": "grant SHOW VIEW on the view: without it the server tells nobody how it would read one",
        "1356": "grant EXECUTE on the functions that the view calls, or SELECT on what it reads",
        "1317": "the query was killed at the server: run again",
        "1969": f"raise max_statement_time {LIMIT}",
        "3024": f"raise max_execution_time {LIMIT}",
        "1792": "grant what the session lacks: it only reads, and something in the table's view or function writes",
        "3159": "the server wants TLS: add ?ssl_mode=verify_identity to the DSN",
        "2003": "check host and port in the connection's environment variable, and that the server runs",
        "2026": "the server has no TLS, or not the one that is asked for: enable it there, or name `insecure: true`",
        "2005": "check the host in the connection's environment variable",
    },
)
"""1290 is any `--option` that forbids the statement, and passes only where that is a server being read only for now.
1129: each further attempt keeps the host blocked. The limits of time (1969, 3024, 1028) are those of our sessions."""
