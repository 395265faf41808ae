"""Redshift: PostgreSQL's SQLSTATEs, and numbers of its own that come in the text of XX000."""

from dataclasses import replace

from ..failures import Text
from . import postgres

CONFLICT = r"\b1023\b|[Ss]eriali[sz]able isolation violation"
SHARE = "another transaction wrote the same tables: let fewer loads run at once, or in pools of their own"

CODES = replace(
    postgres.CODES,
    family="redshift",
    texts=(
        Text("XX000", CONFLICT, "retry_transaction", SHARE),
        Text(None, CONFLICT, "retry_transaction", SHARE),
        Text("XX000", r"\b10(12|18)\b|(being|currently) (resized|rebooted|restarted)", "new_connection"),
        Text(
            "XX000", r"ExpiredToken|expired token|AccessDenied|status code: 403", "never", "check the COPY's IAM role"
        ),
        *postgres.CODES.texts,
    ),
)
"""1023: Redshift's manual, "Serializable isolation". 1012, 1018 and the words of a resize are unchecked."""
