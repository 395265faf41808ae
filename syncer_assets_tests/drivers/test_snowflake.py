"""The Snowflake driver: what a DSN says, and that no error says a secret or a value."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from snowflake.connector import errors as connector_errors  # noqa: TID253  # no step imports a test

from syncer_assets.drivers import snowflake
from syncer_assets.model.errors import CommitUnknown, ConfigError, DbError, SyncError
from syncer_assets_tests.servers import free_ports
from syncer_assets_tests.sources.snowflake.double import House

PASSWORD = "C4n@ry %/ sp%zz 'q\"uote"
ENCODED = "C4n%40ry%20%25%2F%20sp%25zz%20%27q%22uote"
DSN = f"snowflake://loader:{ENCODED}@xy12345.eu-central-1/SHOP/PUBLIC?warehouse=WH&role=READER"


@pytest.fixture(autouse=True)
def loud_logger() -> Iterator[None]:
    """As a deployment may have it; `connect` makes it quiet."""
    logger = logging.getLogger("snowflake")
    before = logger.level
    logger.setLevel(logging.DEBUG)
    yield
    logger.setLevel(before)


def _pem(passphrase: bytes | None = None) -> bytes:
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def test_a_dsn_says_where_and_as_whom() -> None:
    found = snowflake.arguments(DSN, who="source shop", session={"QUERY_TAG": "run 1"}, statement_timeout_seconds=60)
    expected = {
        "account": "xy12345.eu-central-1",
        "user": "loader",
        "password": PASSWORD,
        "database": "SHOP",
        "schema": "PUBLIC",
        "warehouse": "WH",
        "role": "READER",
        "paramstyle": "qmark",
        "arrow_number_to_decimal": True,
        "client_session_keep_alive": True,
    }
    assert {name: found[name] for name in expected} == expected
    session = found["session_parameters"]
    assert isinstance(session, dict)
    assert session["TIMEZONE"] == "UTC"
    assert (session["QUERY_TAG"], session["STATEMENT_TIMEOUT_IN_SECONDS"]) == ("run 1", 60)


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        (f"postgresql://u:{ENCODED}@account/db", "lacks user, account or database"),
        (f"snowflake://u:{ENCODED}@account", "lacks user, account or database"),
        (f"snowflake://u:{ENCODED}@account/db?wharehouse=x", "not known: wharehouse"),
        (f"snowflake://u:{ENCODED}@account/db?port=http", "cannot be parsed"),
        ("snowflake://u@account/db", "names no key or token"),
    ],
)
def test_a_wrong_dsn_is_told_without_it(dsn: str, said: str) -> None:
    with pytest.raises(DbError, match=said) as raised:
        snowflake.arguments(dsn, who="source shop")
    assert "C4n" not in f"{raised.value!r} {vars(raised.value)}"
    assert raised.value.code == "invalid_dsn"
    assert raised.value.__cause__ is None


def test_a_key_pair_is_read_from_a_file_or_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pem = _pem(b"C4nary phrase")
    (tmp_path / "key.p8").write_bytes(pem)
    monkeypatch.setenv("TEST_KEY", pem.decode().replace("\n", "\\n"))
    monkeypatch.setenv("TEST_PHRASE", "C4nary phrase")
    by_file = f"snowflake://u@a/db?private_key_file={tmp_path / 'key.p8'}&private_key_passphrase_env=TEST_PHRASE"
    by_variable = "snowflake://u@a/db?private_key_env=TEST_KEY&private_key_passphrase_env=TEST_PHRASE"
    keys = [snowflake.arguments(dsn, who="source shop") for dsn in (by_file, by_variable)]
    assert keys[0]["private_key"] == keys[1]["private_key"]
    assert keys[0]["authenticator"] == "SNOWFLAKE_JWT"
    assert isinstance(keys[0]["private_key"], bytes)
    assert "password" not in keys[0]


@pytest.mark.parametrize(
    "place", ["private_key_env=TEST_KEY", "private_key_env=UNSET", "private_key_file=/nowhere/key"]
)
def test_a_key_that_cannot_be_read_is_told_by_its_place(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "-----BEGIN PRIVATE KEY-----\nC4nary\n-----END PRIVATE KEY-----")
    monkeypatch.delenv("UNSET", raising=False)
    with pytest.raises(ConfigError) as raised:
        snowflake.arguments(f"snowflake://u@a/db?{place}", who="source shop")
    assert place.partition("=")[2] in str(raised.value)
    assert "C4nary" not in repr(raised.value)
    assert raised.value.__cause__ is None


def _error(kind: type[connector_errors.Error], number: int, state: str, text: str) -> connector_errors.Error:
    return kind(msg=text, errno=number, sqlstate=state, sfqid="01b2-query", send_telemetry=False)


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (
            _error(connector_errors.DatabaseError, 250001, "08001", "Incorrect username or password was specified."),
            False,
        ),
        (_error(connector_errors.OperationalError, 250001, "08001", "Could not connect to Snowflake backend"), True),
        (_error(connector_errors.OperationalError, 250003, "n/a", "Failed to execute request: refused"), True),
        (_error(connector_errors.ProgrammingError, 390195, "08001", "The ID Token is invalid."), True),
        (_error(connector_errors.ProgrammingError, 2003, "42S02", "Object 'T' does not exist"), False),
        (_error(connector_errors.ProgrammingError, 630, "57014", "Statement reached its statement timeout"), False),
        (_error(connector_errors.ProgrammingError, 604, "57014", "SQL execution canceled"), True),
        (_error(connector_errors.ProgrammingError, 625, "57014", "lock timeout"), True),
        (_error(connector_errors.InternalServerError, 500, "n/a", "HTTP 500"), True),
    ],
)
def test_what_may_be_tried_again(error: connector_errors.Error, retryable: bool) -> None:
    found = snowflake.translate(error, "read", who="source shop", table="T")
    assert found.retryable is retryable
    assert found.code == f"{error.errno:06d}"
    commit = snowflake.translate(error, "commit", who="source shop")
    assert isinstance(commit, CommitUnknown) is (retryable and error.errno not in (604, 625))


def test_a_text_that_may_hold_a_value_is_not_told() -> None:
    error = _error(connector_errors.ProgrammingError, 100038, "22018", "Numeric value 'C4nary' is not recognized")
    assert "C4nary" not in str(snowflake.translate(error, "read", who="source shop"))
    other = _error(connector_errors.ProgrammingError, 99999, "XX000", "something of C4nary")
    assert "C4nary" not in str(snowflake.translate(other, "read", who="source shop"))
    echo = _error(connector_errors.DatabaseError, 250001, "08001", f"no {PASSWORD} here")
    assert "C4n@ry" not in str(snowflake.translate(echo, "connect", who="source shop", dsn=DSN))


def test_a_service_that_cannot_be_reached_is_told_without_the_password(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    dsn = f"snowflake://u:{ENCODED}@account/db?host=127.0.0.1&port={free_ports(1)[0]}&protocol=http"
    with pytest.raises(DbError) as raised:
        snowflake.connect(dsn, who="source shop", login_timeout_seconds=1)
    assert raised.value.retryable
    assert raised.value.phase == "connect"
    said = "".join(capfd.readouterr()) + caplog.text + repr(vars(raised.value))
    assert "C4n" not in said
    assert raised.value.__cause__ is None


def test_a_failed_statement_says_neither_its_values_nor_its_text(
    house: House, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    connection = snowflake.connect(house.dsn, who="source house")
    with (
        pytest.raises(SyncError) as raised,
        snowflake.errors("read", who="source house", dsn=house.dsn, table="T"),
    ):
        snowflake.rows(connection, "SELECT TO_NUMBER(?)", ["C4nary"])
    connection.close()
    assert raised.value.table == "T"
    assert "C4nary" not in "".join(capfd.readouterr()) + caplog.text + repr(vars(raised.value))


def test_values_are_bound(house: House) -> None:
    connection = snowflake.connect(house.dsn, who="source house")
    house.double.statements()
    assert snowflake.scalar(connection, "SELECT ? || '!'", ["'; DROP TABLE x; --"]) == "'; DROP TABLE x; --!"
    said = house.double.statements()[-1]
    connection.close()
    assert said["text"] == "SELECT ? || '!'"
    assert said["bindings"]["1"]["value"] == "'; DROP TABLE x; --"


def test_an_identifier_is_quoted() -> None:
    assert snowflake.name('a"b') == '"a""b"'
