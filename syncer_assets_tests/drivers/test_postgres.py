"""What psycopg's errors become: their class, and the phase that decides it."""

import psycopg
import pytest

from syncer_assets.drivers.postgres import translate
from syncer_assets.model.errors import CommitUnknown, Phase
from syncer_assets.model.failures import Failure

CLOSED = "server closed the connection unexpectedly"


@pytest.mark.parametrize(
    ("error", "phase", "failure"),
    [
        (psycopg.OperationalError(CLOSED), "connect", "new_connection"),
        (psycopg.OperationalError("a word that nobody knows"), "connect", "never"),
        (psycopg.OperationalError("a word that nobody knows"), "load", "new_connection"),
        (psycopg.ProgrammingError("a word that nobody knows"), "load", "never"),
        (psycopg.errors.ReadOnlySqlTransaction("cannot execute INSERT"), "load", "new_connection"),
        (psycopg.errors.ReadOnlySqlTransaction("cannot execute INSERT"), "read", "never"),
        (psycopg.errors.SerializationFailure("conflict with recovery"), "read", "if_not_ours"),
        (psycopg.errors.SerializationFailure("concurrent update"), "load", "retry_transaction"),
        (psycopg.errors.UndefinedTable("there is none"), "load", "never"),
    ],
)
def test_an_error_has_its_class(error: psycopg.Error, phase: Phase, failure: Failure) -> None:
    found = translate(error, phase, who="dw")
    assert (found.failure, found.retryable, found.phase) == (failure, failure != "never", phase)


@pytest.mark.parametrize("password", ["closed", "server", "p", "e"])
def test_a_password_that_is_a_word_of_the_message_changes_no_class(password: str) -> None:
    dsn = f"postgresql://u:{password}@h/db"
    found = translate(psycopg.OperationalError(CLOSED), "connect", who="dw", dsn=dsn)
    assert found.failure == "new_connection" and CLOSED not in str(found)


@pytest.mark.parametrize(
    ("error", "unknown"),
    [
        (psycopg.OperationalError(CLOSED), True),
        (psycopg.errors.AdminShutdown("terminating connection"), True),
        (psycopg.errors.StatementCompletionUnknown("nobody knows"), True),
        (psycopg.errors.QueryCanceled("canceling statement due to user request"), True),
        (psycopg.errors.DeadlockDetected("deadlock detected"), False),
        (psycopg.errors.SerializationFailure("could not serialize"), False),
        (psycopg.errors.UniqueViolation("duplicate key"), False),
    ],
)
def test_a_commit_of_which_nobody_can_tell_is_unknown(error: psycopg.Error, unknown: bool) -> None:
    assert isinstance(translate(error, "commit", who="dw"), CommitUnknown) is unknown
