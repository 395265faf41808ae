"""A bucket at its worst: throttling, resets, cut bodies, lost replies, expired keys, objects that were changed."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import obstore
import pytest

from syncer_assets.model.backoff import Backoff
from syncer_assets.model.errors import LakeCorrupt, ObjectStoreError
from syncer_assets.model.table import FileSettings
from syncer_assets.sync import parquet
from syncer_assets.sync.lake import Lake, Place, open_lake
from syncer_assets_tests.faults.invariants import Footprint, assert_invariants
from syncer_assets_tests.faults.job import COUNTRIES, EVENTS, ORDERS, SPECS, Job, Opened, make_tables, target_of, write
from syncer_assets_tests.faults.s3_proxy import DROPPED, RESET, TRUNCATED, Request, S3Proxy
from syncer_assets_tests.faults.strike import Strike
from syncer_assets_tests.servers import Bucket, Database, SeaweedS3

pytestmark = pytest.mark.server
OFTEN = Backoff(base_seconds=0.01, cap_seconds=0.2, budget_seconds=90, attempts=40)
MULTIPART = replace(EVENTS, files=FileSettings())
"""Appended rows, in files as large as they come."""
LONG_TEXTS = """
INSERT INTO events (what) SELECT string_agg(sha512((1000 * i + j)::text::bytea)::text, '')
  FROM generate_series(1, 90) i, generate_series(1, 1000) j GROUP BY i
"""
"""Two parts of the smallest size that S3 takes."""
SMALLEST = 5 * 1024 * 1024
COMPLETING = ("200 InternalError", DROPPED, "RequestTimeout", RESET)


@pytest.fixture
def job(source_db: Database, warehouse_db: Database, s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> Job:
    """The job with its lake in a bucket; the keys are in the environment only."""
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    make_tables(source_db)
    return Job(source_db.dsn, f"{s3.url}/lake", warehouse_db.dsn, backoff=OFTEN)


@pytest.fixture
def bad_s3(job: Job, s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Proxy]:
    with S3Proxy(s3.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        yield proxy


@pytest.fixture
def good_lake(job: Job, s3: Bucket) -> Lake:
    """The lake without the proxy, for the oracle and for what others do to it."""
    return open_lake(job.lake_url, endpoint=s3.endpoint)


@pytest.fixture
def opened(job: Job, bad_s3: S3Proxy) -> Iterator[Opened]:
    """The job with its lake behind the proxy."""
    with job.opened() as opened:
        yield replace(opened, lake=open_lake(job.lake_url, OFTEN))


def test_a_job_goes_on_among_errors(
    seed: int, opened: Opened, bad_s3: S3Proxy, good_lake: Lake, source_db: Database, warehouse_db: Database
) -> None:
    """Three requests of ten are throttled, and each other fault happens to some."""
    chance = Random(seed)
    faults = {"SlowDown": 30, "InternalError": 4, RESET: 3, DROPPED: 3, TRUNCATED: 3, "ConditionalRequestConflict": 20}

    def rule(request: Request) -> str | None:
        [drawn] = chance.choices([*faults, None], [*faults.values(), 100 - sum(faults.values())])
        impossible = {"ConditionalRequestConflict": not request.is_conditional, TRUNCATED: request.method != "GET"}
        return None if drawn is None or impossible.get(drawn) else drawn

    bad_s3.rule = rule
    marks = None
    for round in range(2):
        opened.run()
        tables = [(spec, target_of(spec)) for spec in SPECS]
        marks = assert_invariants(source_db, good_lake, warehouse_db, tables, since=marks)
        write(source_db, round)
    assert len({fault for _, fault in bad_s3.faults}) >= 4


@pytest.mark.parametrize("fault", ["ConditionalRequestConflict", RESET, DROPPED, "SlowDown", "RequestTimeout"])
def test_a_manifest_is_put_once_whatever_the_store_answers(
    fault: str, opened: Opened, bad_s3: S3Proxy, good_lake: Lake, source_db: Database, warehouse_db: Database
) -> None:
    """409 is no success and no lost race; a reply that was lost is recognised by the body."""
    _first(bad_s3, fault, lambda request: request.is_conditional and "_manifests/00000001" in request.path, times=2)
    strike = Strike("", lambda: None)
    opened.extract(EVENTS, emit=strike)
    assert [found for _, found in bad_s3.faults] == [fault, fault]
    assert not strike.told("attempt thrown away")
    assert len(strike.told("ceiling captured")) == 1
    opened.load(EVENTS)
    assert_invariants(source_db, good_lake, warehouse_db, [(EVENTS, target_of(EVENTS))])


def test_a_conflict_that_stays_is_told(opened: Opened, bad_s3: S3Proxy, good_lake: Lake) -> None:
    _first(
        bad_s3,
        "ConditionalRequestConflict",
        lambda request: "_manifests/" in request.path and request.is_conditional,
        999,
    )
    impatient = replace(opened.job, backoff=replace(OFTEN, attempts=2))
    opened = replace(opened, job=impatient, lake=open_lake(impatient.lake_url, impatient.backoff))
    with pytest.raises(ObjectStoreError, match="Fix: ") as raised:
        opened.extract(EVENTS)
    assert raised.value.code == "ConditionalRequestConflict"
    assert good_lake.seqs(_place()) == [] and len(bad_s3.faults) == 2


def test_an_upload_in_parts_is_whole_whatever_completing_it_answers(
    seed: int,
    opened: Opened,
    bad_s3: S3Proxy,
    good_lake: Lake,
    source_db: Database,
    warehouse_db: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And a part that is lost is sent again, and a body that is cut when it is read is read again."""
    fault = COMPLETING[seed % len(COMPLETING)]
    upload = obstore.open_writer
    monkeypatch.setattr(
        parquet.obstore, "open_writer", lambda store, path, **_: upload(store, path, buffer_size=SMALLEST)
    )
    source_db.execute(LONG_TEXTS)
    struck: set[str] = set()

    def rule(request: Request) -> str | None:
        faults = {
            "complete": fault if request.completes else None,
            "part": RESET if "partNumber=2" in request.query else None,
            "read": TRUNCATED if request.method == "GET" and request.path.endswith(".parquet") else None,
        }
        for step, found in faults.items():
            if found and step not in struck:
                struck.add(step)
                return found
        return None

    bad_s3.rule = rule
    opened.extract(MULTIPART)
    opened.load(MULTIPART)
    assert struck == {"complete", "part", "read"}
    assert_invariants(source_db, good_lake, warehouse_db, [(MULTIPART, target_of(MULTIPART))])


def test_what_stays_wrong_though_rows_come_ends_the_run(opened: Opened, bad_s3: S3Proxy, good_lake: Lake) -> None:
    """A chunk that is read gives an attempt no more hope than the one before had."""
    _first(bad_s3, "RequestTimeout", lambda request: request.method == "PUT" and request.path.endswith(".parquet"), 999)
    impatient = replace(OFTEN, attempts=3, run_seconds=30)
    opened = replace(opened, job=replace(opened.job, backoff=impatient))
    with pytest.raises(ObjectStoreError) as raised:
        opened.extract(EVENTS)
    assert raised.value.code == "RequestTimeout" and len(bad_s3.faults) == 3
    assert good_lake.seqs(_place()) == []


@pytest.mark.parametrize("code", ["AccessDenied", "ExpiredToken"])
def test_what_does_not_pass_ends_soon_and_says_what_to_do(code: str, opened: Opened, bad_s3: S3Proxy) -> None:
    bad_s3.rule = lambda request: code
    with pytest.raises(ObjectStoreError, match="Fix: ") as raised:
        opened.extract(EVENTS)
    assert raised.value.code == code
    assert len(bad_s3.requests) == (1 if code == "AccessDenied" else 2)


@pytest.mark.parametrize("renewed", ["in time", "late"])
def test_keys_that_expire_in_the_middle_of_a_run_are_read_anew(
    renewed: str,
    job: Job,
    bad_s3: S3Proxy,
    s3: Bucket,
    good_lake: Lake,
    source_db: Database,
    warehouse_db: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another process writes new ones into the credentials file. What was committed is not read again."""
    keys = tmp_path / "credentials"
    text = "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n"
    keys.write_text(text.format(s3.access_key, s3.secret_key))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keys))
    expired = False

    def renew() -> None:
        keys.write_text(text.format(SeaweedS3.LATER_ACCESS_KEY, s3.secret_key))

    def rule(request: Request) -> str | None:
        if not expired or f"Credential={s3.access_key}/" not in request.headers["authorization"]:
            return None
        renew()
        return "ExpiredToken"

    def expire() -> None:
        nonlocal expired
        expired = True
        if renewed == "in time":
            renew()

    bad_s3.rule = rule
    strike = Strike("manifest committed", expire)
    with job.opened() as opened:
        opened = replace(opened, lake=open_lake(job.lake_url, OFTEN))
        report = opened.extract(EVENTS, emit=strike)
        assert strike.struck and report.rows == 400
        assert len(bad_s3.faults) == (0 if renewed == "in time" else 1)
        opened.load(EVENTS)
    assert_invariants(source_db, good_lake, warehouse_db, [(EVENTS, target_of(EVENTS))])


DAMAGES: dict[str, Callable[[Any, str, str], object]] = {
    "deleted": lambda store, path, other: obstore.delete(store, path),
    "truncated": lambda store, path, other: obstore.put(store, path, _body(store, path)[:-7]),
    "changed": lambda store, path, other: obstore.put(store, path, _with_a_bit_flipped(_body(store, path))),
    "swapped": lambda store, path, other: obstore.put(store, path, _body(store, other)),
}


def test_an_object_that_is_not_what_it_was_stops_the_load_before_it_begins(
    opened: Opened, good_lake: Lake, source_db: Database, warehouse_db: Database
) -> None:
    for spec in (ORDERS, COUNTRIES):
        opened.extract(spec)
        opened.load(spec)
    write(source_db, 1)
    opened.extract(ORDERS)
    files = [file.path for file in good_lake.manifests(Place("shop", ORDERS.table, "all"))[-1].files]
    other = good_lake.manifests(Place("shop", COUNTRIES.table, "all"))[-1].files[-1].path
    whole, before = _body(good_lake.store, files[-1]), Footprint.of(warehouse_db, target_of(ORDERS))
    for damage in DAMAGES.values():
        damage(good_lake.store, files[-1], other)
        strike = Strike("", lambda: None)
        with pytest.raises(LakeCorrupt, match="Fix: restore the object") as raised:
            opened.load(ORDERS, emit=strike)
        assert files[-1] in str(raised.value)
        assert not strike.told("rows merged") and Footprint.of(warehouse_db, target_of(ORDERS)) == before
        obstore.put(good_lake.store, files[-1], whole)
    for spec in (ORDERS, COUNTRIES):
        opened.extract(spec)
        opened.load(spec)
    tables = [(spec, target_of(spec)) for spec in (ORDERS, COUNTRIES)]
    assert_invariants(source_db, good_lake, warehouse_db, tables)


def _first(proxy: S3Proxy, fault: str, of: Callable[[Request], bool], times: int = 1) -> None:
    """The first requests of a kind meet `fault`."""
    proxy.rule = lambda request: fault if of(request) and len(proxy.faults) < times else None


def _place() -> Place:
    return Place("shop", EVENTS.table, "all")


def _body(store: Any, path: str) -> bytes:
    return bytes(obstore.get(store, path).bytes())


def _with_a_bit_flipped(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
