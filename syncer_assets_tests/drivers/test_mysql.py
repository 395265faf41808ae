"""Error numbers as the rest of the house sees them, and DSNs."""

import pytest

from syncer_assets.drivers import mysql
from syncer_assets.drivers.mysql import Address
from syncer_assets.model.errors import DbError

AGAIN = [
    *(2003, 2006, 2013, 2055, 1053, 1158, 1927, 4031, 3032),  # the connection
    *(1205, 1213, 1020, 3572, 1047),  # the transaction
    *(1040, 1203, 1226),  # too many
    *(1317, 1969, 3024),  # stopped
]
NEVER = [
    1044,
    1045,
    1049,
    1054,
    1064,
    1129,
    1142,
    1143,
    1146,
    1153,
    1227,
    1264,
    1292,
    1366,
    1406,
    1062,
    1792,
    3159,
    1644,
]


@pytest.mark.parametrize(
    ("number", "retryable"), [*((number, True) for number in AGAIN), *((number, False) for number in NEVER)]
)
def test_what_is_worth_another_attempt(number: int, retryable: bool) -> None:
    error = mysql.translate(number, "what happened", "read", who="source shop", table="db.t")
    assert (error.retryable, error.code, error.table) == (retryable, str(number), "db.t")


@pytest.mark.parametrize(
    ("number", "text", "retryable"),
    [
        (1290, "The MariaDB server is running with the --read-only option", True),
        (1290, "The MariaDB server is running with the --secure-file-priv option", False),
        (1105, "The last transaction was aborted due to Zero Downtime Patch. Please retry", True),
        (1105, "Unknown error", False),
        (2003, "Can't connect ([Errno 111] Connection refused)", True),
        (2003, "Can't connect ([SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed)", False),
        (2003, "Can't connect ([Errno -2] Name or service not known)", False),
    ],
)
def test_what_only_the_message_tells(number: int, text: str, retryable: bool) -> None:
    assert mysql.translate(number, text, "connect", who="source shop").retryable == retryable


@pytest.mark.parametrize("number", [1062, 1064, 1292, 1366, 1644, 1690, 9999])
def test_messages_that_may_quote_a_value_are_left_out(number: int) -> None:
    error = mysql.translate(number, "Incorrect value: 'canary'", "read", who="source shop")
    assert "canary" not in str(error) and str(number) in str(error)


def test_the_password_is_cut_out_of_a_message() -> None:
    dsn = "mysql://u:p%40ss%2Fword@h/db"
    error = mysql.translate(1045, "denied: p@ss/word p%40ss%2Fword", "connect", who="source shop", dsn=dsn)
    assert "word" not in str(error).replace("password", "") and "***" in str(error)


def test_a_dsn_is_taken_apart() -> None:
    dsn = "mysql://us%40er:p%3Aa%2Fs%25@db.example:3307/my%20db?ssl_mode=VERIFY_CA&ssl_ca=/ca.pem"
    assert Address.parse(dsn, "x") == Address("db.example", 3307, "us@er", "p:a/s%", "my db", "verify_ca", "/ca.pem")
    assert Address.parse("mysql://u@h", "x") == Address("h", 3306, "u", "", "")


@pytest.mark.parametrize("dsn", ["", "h/db", "postgresql://u:canary@h/db", "mysql://u:canary@h:port/db", "mysql:///db"])
def test_a_dsn_that_cannot_be_parsed_is_not_told(dsn: str) -> None:
    with pytest.raises(DbError, match=r"source shop: .*percent-encoded") as failed:
        Address.parse(dsn, "source shop")
    assert "canary" not in repr(failed.value) and not failed.value.retryable
