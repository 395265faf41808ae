"""The policy of docs/privileges.md: a job runs under it, and what commits a sync cannot be removed or overwritten.

The S3 server here knows no condition on `If-None-Match`: a proxy before it does, request by request, by this test's
own reading of the policy.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qs, unquote

import obstore
import pytest
from obstore.exceptions import BaseError

from syncer_assets.sync.checksum import compare
from syncer_assets.sync.lake import Place
from syncer_assets_tests.faults.job import AT_ONCE, ORDERS, Job, make_tables, target_of, write
from syncer_assets_tests.faults.s3_proxy import Request, S3Proxy
from syncer_assets_tests.privileges import policy
from syncer_assets_tests.servers import Bucket, Database

pytestmark = pytest.mark.server
BUCKET = "my-bucket"
PLACE = Place(ORDERS.source, ORDERS.table, "all")


def asked(request: Request) -> list[tuple[str, str, dict[str, str]]]:
    """What a request needs: (action, resource, keys of conditions)."""
    bucket, _, key = unquote(request.path).removeprefix("/").partition("/")
    query = {name: values[0] for name, values in parse_qs(request.query, keep_blank_values=True).items()}
    place = f"arn:aws:s3:::{bucket}"
    found = {"aws:SecureTransport": "true"}  # as it would be outside of this machine
    if not key and request.method == "POST" and "delete" in query:
        keys = re.findall(r"<Key>(.*?)</Key>", request.body.decode())
        assert keys, request
        return [("s3:DeleteObject", f"{place}/{each}", found) for each in keys]
    if not key:
        assert request.method == "GET" and "list-type" in query, request
        return [("s3:ListBucket", place, found | {"s3:prefix": query.get("prefix", "")})]
    if "if-none-match" in request.headers:
        found["s3:if-none-match"] = request.headers["if-none-match"]
    action = {
        "GET": "GetObject",
        "HEAD": "GetObject",
        "PUT": "PutObject",
        "POST": "PutObject",
        "DELETE": "DeleteObject",
    }
    multipart = request.method == "DELETE" and "uploadId" in query
    return [(f"s3:{'AbortMultipartUpload' if multipart else action[request.method]}", f"{place}/{key}", found)]


def allowed(statements: list[dict[str, Any]], action: str, resource: str, keys: dict[str, str]) -> bool:
    """As AWS judges: an explicit Deny wins, and what nothing allows is denied."""
    effects = {
        statement["Effect"]
        for statement in statements
        if any(fnmatchcase(action, each) for each in _listed(statement["Action"]))
        and any(fnmatchcase(resource, each) for each in _listed(statement["Resource"]))
        and all(_holds(operator, wanted, keys) for operator, wanted in statement.get("Condition", {}).items())
    }
    return effects == {"Allow"}


def _holds(operator: str, wanted: dict[str, Any], keys: dict[str, str]) -> bool:
    judge = {
        "StringLike": lambda key, values: any(fnmatchcase(keys.get(key, ""), value) for value in values),
        "Bool": lambda key, values: keys.get(key) in values,
        "Null": lambda key, values: str(key not in keys).lower() in values,
    }[operator]
    return all(judge(key, _listed(values)) for key, values in wanted.items())


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


@pytest.fixture
def guarded(s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Proxy]:
    """The bucket behind the policy."""
    statements = json.loads(json.dumps(policy()).replace(f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{s3.name}"))
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)

    def rule(request: Request) -> str | None:
        return None if all(allowed(statements, *each) for each in asked(request)) else "AccessDenied"

    with S3Proxy(s3.endpoint, rule) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        yield proxy


def test_a_job_runs_under_the_policy(guarded: S3Proxy, s3: Bucket, source_db: Database, warehouse_db: Database) -> None:
    """Syncs, loads, a repair, and the removal of what a lost attempt left."""
    make_tables(source_db)
    job = Job(source_db.dsn, f"{s3.url}/lake", warehouse_db.dsn, backoff=AT_ONCE)
    with job.opened() as opened:
        opened.run()
        write(source_db, 1)
        warehouse_db.execute("DELETE FROM shop.orders WHERE id < 5")
        assert opened.reconcile(ORDERS).equal
        head = opened.lake.seqs(PLACE)[-1]
        orphan = PLACE.data(head + 1, "lost") + "/part-00000.parquet"
        obstore.put(opened.lake.store, orphan, b"left")
        opened.run()
        write(source_db, 2)
        opened.run()
        assert orphan not in opened.lake.paths(PLACE.folder)
        assert compare(opened.source, opened.warehouse, ORDERS, target_of(ORDERS)).equal
    assert guarded.faults == []
    actions = {action for request in guarded.requests for action, _, _ in asked(request)}
    assert {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"} <= actions


def test_what_commits_a_sync_stays(guarded: S3Proxy, s3: Bucket) -> None:
    store = replace(s3, endpoint=guarded.endpoint).store
    manifest = "lake/shop/orders/all/_manifests/00000001.json"
    obstore.put(store, manifest, b"first", mode="create")
    obstore.put(store, "lake/shop/orders/all/data/1-a/part.parquet", b"rows")
    obstore.delete(store, "lake/shop/orders/all/data/1-a/part.parquet")
    for refused in (
        lambda: obstore.put(store, manifest, b"second"),
        lambda: obstore.put(store, "lake/shop/orders/all/_manifests/00000002.json", b"not conditional"),
        lambda: obstore.delete(store, manifest),
        lambda: obstore.delete(store, "lake/_lake.json"),
        lambda: obstore.put(store, "elsewhere/x", b""),
        lambda: obstore.get(store, "elsewhere/x"),
        lambda: list(obstore.list(store, prefix="elsewhere")),
    ):
        before = len(guarded.faults)
        with pytest.raises((BaseError, PermissionError, OSError)):
            refused()
        assert [fault for _, fault in guarded.faults[before:]] and guarded.faults[-1][1] == "AccessDenied"
    assert bytes(obstore.get(s3.store, manifest).bytes()) == b"first"


def test_nothing_is_allowed_without_tls() -> None:
    keys = {"aws:SecureTransport": "false", "s3:prefix": "lake"}
    for action in ("s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:DeleteObject"):
        assert not allowed(policy(), action, f"arn:aws:s3:::{BUCKET}/lake/a/data/b", keys)
        assert not allowed(policy(), action, f"arn:aws:s3:::{BUCKET}", keys)
