"""Files in Azure Blob Storage and Google Cloud Storage, by doubles of their wire: the same code as for S3."""

import gzip
from collections.abc import Iterator

import pytest

from syncer_assets.model.api import Api
from syncer_assets.model.errors import ObjectStoreError
from syncer_assets.model.file_pattern import FilePattern
from syncer_assets.model.files import FileRefused
from syncer_assets.sources.json_lines import open_store, read_file
from syncer_assets.sync.api import extract_pages
from syncer_assets.sync.files import load_files
from syncer_assets.sync.lake import open_lake
from syncer_assets_tests.doubles.object_stores import PAGE, AzureBlobDouble, CloudStorageDouble, StoreDouble
from syncer_assets_tests.files.rig import Files
from syncer_assets_tests.misbehaving_api import MisbehavingApi, orders, paged
from syncer_assets_tests.sync.api.rig import FAST, PAGED, QUICK

MEMBERS = FilePattern("members/*.jsonl.gz")


@pytest.fixture(params=[AzureBlobDouble, CloudStorageDouble])
def double(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[StoreDouble]:
    with request.param() as running:
        for name, value in running.env.items():
            monkeypatch.setenv(name, value)
        yield running


def put(double: StoreDouble, name: str, *ids: int) -> None:
    double.put(f"raw/{name}", gzip.compress("".join(f'{{"id": {each}}}\n' for each in ids).encode()))


def test_files_are_listed_page_by_page_and_loaded_once_and_a_replaced_one_again(
    files: Files, double: StoreDouble
) -> None:
    for number in range(2 * PAGE + 1):
        put(double, f"members/{number}.jsonl.gz", number)
    put(double, "other/9.jsonl.gz", 9)
    files.change(pattern=MEMBERS)
    store = open_store(f"{double.url}/raw")
    report = load_files(store, files.warehouse, files.spec)
    assert (report.files, report.refused, sorted(files.rows())) == (2 * PAGE + 1, {}, list("01234"))
    assert load_files(store, files.warehouse, files.spec).nothing_new
    put(double, "members/0.jsonl.gz", 10, 11)
    put(double, "members/late.jsonl.gz", 12)
    report = load_files(store, files.warehouse, files.spec)
    assert (report.files, report.files_replaced, report.rows_deleted) == (2, 1, 1)
    assert set(files.rows()) == {"1", "2", "3", "4", "10", "11", "12"}


def test_an_object_that_changes_under_its_reader_is_refused(files: Files, double: StoreDouble) -> None:
    put(double, "members/a.jsonl.gz", 1)
    store = open_store(f"{double.url}/raw")
    (listed,) = store.list(MEMBERS)
    assert len(list(read_file(store, listed, files.spec.limits))) == 1
    put(double, "members/a.jsonl.gz", 2)
    with pytest.raises(FileRefused, match="was changed while it was read"):
        list(read_file(store, listed, files.spec.limits))


def test_a_missing_bucket_is_told_without_the_key(double: StoreDouble) -> None:
    with pytest.raises(ObjectStoreError) as raised:
        open_store(f"{double.url}-missing").list(MEMBERS)
    assert double.secret not in str(raised.value)


def test_another_key_and_none_are_told_with_the_variables_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = "d3Jvbmcga2V5IHdyb25nIGtleSB3cm9uZyBrZXk="
    with AzureBlobDouble() as double:
        for name, value in {**double.env, "AZURE_STORAGE_ACCOUNT_KEY": wrong}.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(ObjectStoreError, match="AZURE_STORAGE_ACCOUNT_KEY") as raised:
            open_store(double.url).list(MEMBERS)
        assert wrong not in str(raised.value)
        monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME")
        with pytest.raises(ObjectStoreError, match="in the environment AZURE_STORAGE_ACCOUNT_NAME"):
            open_store(double.url)


def test_an_api_s_pages_are_committed_once_and_loaded_from_there(files: Files, double: StoreDouble) -> None:
    """The protocol of the lake, too: put if absent, list, read, copy, remove."""
    lake = open_lake(f"{double.url}/lake")
    assert lake.put_if_absent("a", b"first") and not lake.put_if_absent("a", b"second")
    assert lake.get("a") == b"first"
    with MisbehavingApi(paged(orders(45))) as server:
        for seq in (1, 2):
            report = extract_pages(
                lake,
                Api("crm", limits=FAST, backoff=QUICK),
                PAGED,
                "all",
                base_url=server.url,
                secrets={},
                run_id="r",
                mode="full",
            )
            assert (report.rows, report.seq, report.unchanged) == (45, seq, seq == 2)
    assert lake.partitions("crm", "orders") == ["all"]
    assert [path for path in lake.paths("crm") if "_attempts" in path] == []
    files.change(pattern=FilePattern("crm/orders/*/*.jsonl.gz"))
    assert load_files(open_store(f"{double.url}/lake"), files.warehouse, files.spec).rows == 45
