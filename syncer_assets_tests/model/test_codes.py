"""Every code of the reliability reference (its section 2) has its class, and the fix where a person has to act."""

import pytest

from syncer_assets.model.codes import mysql, objects, postgres, redshift, snowflake
from syncer_assets.model.failures import FAILURES, MEANINGS, Codes, Failure

POSTGRES: dict[Failure, tuple[str, ...]] = {
    "new_connection": ("08000", "08001", "08003", "08006", "57P01", "57P02", "57P03", "57P05", "25P03", "25006"),
    "retry_transaction": ("40001", "40P01", "40003", "55P03", "55006"),
    "wait_longer": ("08004", "53300", "53000", "53200"),
    "once": ("08P01", "58030"),
    "if_not_ours": ("57014",),
    "never": (
        *("57P04", "28000", "28P01", "3D000", "42501", "42601", "42703", "42804", "42P01", "22001", "22003", "22012"),
        *("22P02", "23502", "23505", "23514", "0A000", "54000", "54011", "XX001", "XX002", "53100", "25001", "XX000"),
    ),
}
MYSQL: dict[Failure, tuple[str, ...]] = {
    "new_connection": (
        *("2002", "2003", "2006", "2013", "2055", "1053", "1152", "1158", "1159", "1160", "1161", "1184", "1927"),
        *("4031", "3032", "1836"),
    ),
    "retry_transaction": ("1205", "1213", "1020", "3572", "3058", "1047"),
    "wait_longer": ("1040", "1203", "1226", "1135", "1037", "1038", "1041"),
    "smaller_chunk": ("1969", "3024"),
    "if_not_ours": ("1317",),
    "never": (
        *("1129", "1044", "1045", "1049", "1054", "1064", "1142", "1143", "1146", "1153", "1264", "1366", "1406"),
        *("1062", "1792", "3159", "1290", "1105"),
    ),
}
SNOWFLAKE: dict[Failure, tuple[str, ...]] = {
    "new_connection": (
        *("250002", "250003", "250005", "251011", "251012", "252007", "252010", "253002", "253003"),
        *("290400", "290403", "290405", "290408", "290500", "290502", "290503", "290504"),
    ),
    "once": (
        *("390110", "390112", "390113", "390114", "390115", "390195", "390318"),
        *(f"2540{number:02d}" for number in range(1, 19)),
    ),
    "wait_longer": ("333333", "333334", "290429"),
    "retry_transaction": ("000625",),
    "if_not_ours": ("000604",),
    "never": ("000629", "000630", "250001", "002003", "003001", "000904", "390100"),
}
OBJECTS: dict[Failure, tuple[str, ...]] = {
    "new_connection": ("InternalError", "500", "502", "504"),
    "wait_longer": (
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "TooManyRequestsException",
    ),
    "retry_transaction": (
        *("ConditionalRequestConflict", "RequestTimeout", "RequestTimeoutException", "PriorRequestNotComplete"),
    ),
    "once": ("ExpiredToken", "RequestTimeTooSkewed", "NoSuchUpload"),
    "never": ("AccessDenied", "NoSuchBucket", "InvalidAccessKeyId", "SignatureDoesNotMatch"),
}
FAMILIES: list[tuple[Codes, dict[Failure, tuple[str, ...]]]] = [
    (postgres.CODES, POSTGRES),
    (redshift.CODES, POSTGRES),
    (mysql.CODES, MYSQL),
    (snowflake.CODES, SNOWFLAKE),
    (objects.CODES, OBJECTS),
]


@pytest.mark.parametrize(
    ("codes", "failure", "code"),
    [(codes, failure, code) for codes, told in FAMILIES for failure, listed in told.items() for code in listed],
    ids=lambda each: each.family if isinstance(each, Codes) else each,
)
def test_every_code_has_its_class(codes: Codes, failure: Failure, code: str) -> None:
    assert codes.failure(code) == failure


@pytest.mark.parametrize(
    ("codes", "code", "text", "failure"),
    [
        (postgres.CODES, None, "server closed the connection unexpectedly", "new_connection"),
        (postgres.CODES, None, "sending copy data failed: server closed", "new_connection"),
        (postgres.CODES, None, "FATAL: the database system is in recovery mode", "new_connection"),
        (postgres.CODES, None, "session is read-only", "new_connection"),
        (postgres.CODES, None, "the connection is closed", "new_connection"),
        (postgres.CODES, None, 'connection to server at "h" failed: Connection refused', "new_connection"),
        (postgres.CODES, None, "failed to resolve host 'h': [Errno -2] Name or service not known", "never"),
        (postgres.CODES, None, "failed to resolve host 'h': Temporary failure in name resolution", "new_connection"),
        (postgres.CODES, None, 'FATAL: database "x" does not exist', "never"),
        (postgres.CODES, None, "FATAL: sorry, too many clients already", "wait_longer"),
        (postgres.CODES, None, 'FATAL: too many connections for role "r"', "wait_longer"),
        (postgres.CODES, None, "FATAL: password authentication failed for user", "never"),
        (postgres.CODES, None, "SSL error: certificate verify failed", "never"),
        (postgres.CODES, "57014", "canceling statement due to statement timeout", "smaller_chunk"),
        (postgres.CODES, "57014", "canceling statement due to user request", "if_not_ours"),
        (mysql.CODES, "1290", "running with the --read-only option", "new_connection"),
        (mysql.CODES, "1290", "running with the --super-read-only option", "new_connection"),
        (mysql.CODES, "1290", "running with the --secure-file-priv option", "never"),
        (
            mysql.CODES,
            "1105",
            "The last transaction was aborted due to Zero Downtime Patch. Please retry",
            "new_connection",
        ),
        (redshift.CODES, "XX000", "1023 DETAIL: Serializable isolation violation on table", "retry_transaction"),
        (redshift.CODES, "XX000", "Assert code: 1000 context: 10234", "never"),
        (redshift.CODES, "XX000", "S3ServiceException: ExpiredToken", "never"),
        (snowflake.CODES, "250001", "Could not connect to Snowflake backend", "new_connection"),
        (snowflake.CODES, "250001", "Incorrect username or password was specified", "never"),
        (snowflake.CODES, None, "OperationalError: none", "new_connection"),
        (snowflake.CODES, None, "ProgrammingError: none", "never"),
    ],
)
def test_what_only_the_text_tells(codes: Codes, code: str | None, text: str, failure: Failure) -> None:
    assert codes.failure(code, text) == failure


@pytest.mark.parametrize(
    ("code", "failure"), [("25006", "never"), ("40001", "if_not_ours"), ("57P01", "new_connection")]
)
def test_a_session_that_only_reads_means_something_else(code: str, failure: Failure) -> None:
    """25006 is then a bug of ours, which a retry would hide; 40001 is a replica that had to apply changes."""
    assert postgres.CODES.failure(code, reading=True) == failure


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        *((postgres.CODES, code) for code in ("28P01", "28000", "3D000", "42501", "42P01", "42703", "22001", "23505")),
        *((postgres.CODES, code) for code in ("53300", "53100", "57014", "40001", "XX001")),
        *((redshift.CODES, code) for code in ("28P01", "42501", "53300")),
        *((mysql.CODES, code) for code in ("1040", "1044", "1045", "1049", "1054", "1129", "1142", "1143", "1146")),
        *((mysql.CODES, code) for code in ("1153", "1203", "1226", "1792", "3159", "1969", "3024")),
        *((snowflake.CODES, code) for code in ("250001", "002003", "003001", "390100", "000630", "290429", "254003")),
        *((objects.CODES, code) for code in ("AccessDenied", "NoSuchBucket", "SignatureDoesNotMatch", "SlowDown")),
    ],
    ids=lambda each: each.family if isinstance(each, Codes) else each,
)
def test_what_a_person_can_mend_names_its_fix(codes: Codes, code: str) -> None:
    assert codes.fix(code)


def test_no_code_is_in_two_classes_and_every_class_is_explained() -> None:
    assert set(MEANINGS) == set(FAILURES)
    for codes, _ in FAMILIES:
        listed = [code for each in codes.classes.values() for code in each]
        assert len(listed) == len(set(listed)), codes.family
        assert set(codes.classes) <= set(FAILURES)
