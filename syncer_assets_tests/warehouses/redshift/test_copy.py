"""What is COPYed, by how many COPYs, and what is told of one that failed."""

import obstore
import pytest

from syncer_assets.model.columns import Column
from syncer_assets.model.errors import AssertionFailed, ConfigError, DbError, SyncError
from syncer_assets.sync.lake import open_lake
from syncer_assets.warehouses.redshift import RedshiftWarehouse, staging
from syncer_assets_tests.doubles.redshift import RedshiftDouble
from syncer_assets_tests.warehouses.contract.under_test import ORDERS, Extraction, Loads, numbers

ID = ORDERS[0]


def left_over(orders: Loads) -> list[str]:
    """What lies below `_copy` in the lake."""
    listed = obstore.list(orders.under_test.lake.store, prefix="_copy")
    return [meta["path"] for page in listed for meta in page]


def test_the_lakes_own_files_are_copied_with_their_sizes(orders: Loads, double: RedshiftDouble) -> None:
    plan = orders.plan([Extraction([(1, "a"), (2, "a")])])
    assert orders.warehouse.load(plan).copies == 1
    (file,) = plan.files
    url = f"{double.bucket.url}/lake/{file.file.path}"
    assert double.copied == [[{"url": url, "mandatory": True, "meta": {"content_length": file.file.bytes}}]]
    assert left_over(orders) == []


def test_many_small_manifests_are_one_copy(orders: Loads, double: RedshiftDouble) -> None:
    orders.load([(1, "a")])
    report = orders.load_all([Extraction([(n, str(n)), (1, f"by {n}")]) for n in range(2, 28)])
    assert (report.files, report.copies, double.copies) == (26, 1, 2)
    assert numbers(report) == (26, 1, 0, 0, 25)
    assert orders.rows()[0] == (1, "by 27", None)
    assert left_over(orders) == []


def test_a_large_manifest_has_a_copy_of_its_own(
    orders: Loads, double: RedshiftDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two small ones are rewritten, and the rows of all three know when they were read."""
    orders.load([(0, "x")])
    large = [(n, "z" * 50) for n in range(3000)]
    plan = orders.plan([Extraction([(1, "first")]), Extraction(large), Extraction([(2, "last")])])
    sizes = sorted(live.file.bytes for live in plan.files)
    monkeypatch.setattr(staging, "REWRITTEN_BYTES_MOST", sizes[1])
    report = orders.warehouse.load(plan)
    assert (report.copies, double.copies) == (2, 3)
    assert dict(orders.rows("id", "status"))[1] == "z" * 50 and dict(orders.rows("id", "status"))[2] == "last"
    assert numbers(report) == (2999, 1, 0, 0, 2)


def test_a_rewritten_load_is_put_in_parts(
    orders: Loads, double: RedshiftDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "PART_BYTES", 1)
    report = orders.load_all([Extraction([(1, "a")]), Extraction([(2, "a")]), Extraction([(1, "b")])])
    assert len(double.copied[0]) == 3
    assert orders.rows("id", "status") == [(1, "b"), (2, "a")] and report.copies == 1


def test_types_that_copy_does_not_take_are_rewritten(orders: Loads, double: RedshiftDouble) -> None:
    orders.columns = (ID, Column("t", "time64[us]", "time"), Column("n", "uint64", "bigint unsigned"))
    import datetime

    orders.load([(1, datetime.time(1, 2, 3, 4), 2**64 - 1)])
    assert orders.rows("id", "t", "n") == [(1, datetime.time(1, 2, 3, 4), 2**64 - 1)]
    assert "/_copy/" in double.copied[0][0]["url"]


def test_a_value_that_is_too_long_is_told_by_column_and_file(orders: Loads) -> None:
    """The limit of a VARCHAR is in bytes: 65,535 of them are 16,384 such characters, less one."""
    orders.load([(1, "🙂" * 16_383)])
    with pytest.raises(DbError, match=r"'status' does not fit VARCHAR\(65535\) \(part-00000\.parquet\)") as raised:
        orders.load([(1, "🙂" * 16_384)])
    assert "🙂" not in str(raised.value) and not raised.value.retryable
    assert left_over(orders) == []


def test_a_missing_file_is_an_error_that_changes_nothing(orders: Loads) -> None:
    orders.load([(1, "a")])
    plan, before = orders.plan([Extraction([(1, "b")])]), orders.state()
    orders.under_test.lake.remove([plan.files[0].file.path])
    with pytest.raises(DbError, match=r"file was refused.*\(part-00000\.parquet\).*--full") as raised:
        orders.warehouse.load(plan)
    assert not raised.value.retryable
    assert orders.state() == before


def test_a_lake_that_is_no_bucket_is_refused(orders: Loads, tmp_path) -> None:
    plan = orders.plan([Extraction([(1, "a")])], lake=open_lake(f"file://{tmp_path}"))
    with pytest.raises(ConfigError, match=r"loads from S3 only.*s3:// url"):
        orders.warehouse.load(plan)


def test_a_warehouse_without_a_role_says_so(orders: Loads, double: RedshiftDouble) -> None:
    orders.warehouse = RedshiftWarehouse("w", double.dsn)
    with pytest.raises(ConfigError, match=r"no `iam_role`.*default"):
        orders.load([(1, "a")])
    orders.warehouse.close()


def test_a_role_is_given_by_its_arn(orders: Loads, double: RedshiftDouble) -> None:
    orders.warehouse = RedshiftWarehouse("w", double.dsn, iam_role="arn:aws:iam::123456789012:role/lake-reader")
    orders.load([(1, "a")])
    (copied,) = [statement for statement in double.statements if statement.startswith("COPY")]
    assert copied.endswith("IAM_ROLE 'arn:aws:iam::123456789012:role/lake-reader' FORMAT AS PARQUET MANIFEST")
    orders.warehouse.close()


def test_an_unknown_option_is_refused(double: RedshiftDouble) -> None:
    with pytest.raises(ConfigError, match="unknown option 'iam_rol'"):
        RedshiftWarehouse("w", double.dsn, iam_rol="default")


@pytest.mark.parametrize("statement", ["MERGE", "UPDATE _syncer.targets", "COMMIT"])
def test_a_serialisation_conflict_is_worth_a_retry(orders: Loads, double: RedshiftDouble, statement: str) -> None:
    orders.load([(1, "a")])
    plan, before = orders.plan([Extraction([(1, "b")])]), orders.state()
    double.fail(statement, "XX000", "1023 DETAIL: Serializable isolation violation on table - 100512")
    with pytest.raises(SyncError) as raised:
        orders.warehouse.load(plan)
    assert raised.value.retryable and "100512" not in str(raised.value)
    assert orders.state() == before
    assert orders.warehouse.load(plan).rows_updated == 1


def test_a_wrong_password_is_told_once_and_without_it(double: RedshiftDouble) -> None:
    warehouse = RedshiftWarehouse("w", double.dsn_with("wrong secret"))
    (finding,) = warehouse.doctor()
    assert not finding.passed and "password" in finding.description and "wrong" not in finding.description


def test_a_loads_queries_have_its_name(orders: Loads, double: RedshiftDouble) -> None:
    orders.partition = "2026-01'; DROP"
    orders.load([(1, "a")])
    assert "SET query_group TO 'syncer_assets shop.orders 2026-01__ DROP test'" in double.statements


def test_two_rows_of_one_key_stop_a_load(orders: Loads, double: RedshiftDouble) -> None:
    """Redshift keeps no key: somebody else's INSERT can double a row."""
    orders.load([(1, "a"), (2, "a")])
    double.database.execute("INSERT INTO shop.orders SELECT * FROM shop.orders WHERE id = 1")
    before = orders.state()
    with pytest.raises(AssertionFailed, match=r"share a key \(id\).*remove the duplicates"):
        orders.load([(1, "b"), (2, "b")])
    assert orders.state() == before


def test_a_session_asks_for_utf8_and_for_names_as_they_are(
    double: RedshiftDouble, warehouse: RedshiftWarehouse
) -> None:
    """A server that is not asked says UNICODE, which not every psycopg knows (psycopg's issue 122)."""
    warehouse.doctor()
    assert double.encodings == ["utf8"]
    assert "SET enable_case_sensitive_identifier TO true" in double.statements


def test_values_in_the_servers_own_words_are_hidden(orders: Loads, double: RedshiftDouble) -> None:
    orders.load([(1, "a")])
    double.fail("MERGE", "XX000", "Invalid digit, Value 'canary', Pos 0, Type: Integer")
    with pytest.raises(DbError, match="Invalid digit") as raised:
        orders.load([(1, "b")])
    assert "canary" not in str(raised.value)
