"""Every field of an API's YAML reaches the engine; what is wrong is told with file, line, endpoint, field and fix."""

import dataclasses
from datetime import timedelta
from pathlib import Path
from textwrap import indent

import pydantic
import pytest

from syncer_assets.components import api_entries
from syncer_assets.components.api_entries import EndpointEntry, LimitsEntry
from syncer_assets.components.api_extract import ApiExtract
from syncer_assets.components.loading import load_definitions
from syncer_assets.model.api import Api, ApiLimits, Endpoint, Paging
from syncer_assets.model.errors import ConfigError
from syncer_assets.model.partition import PartitionScheme

FULL = {
    "entity": "orders",
    "path": "/orders",
    "params": {"from": "{start}", "all": True, "n": 5},
    "records": "data.items",
    "null_records": "empty",
    "id": "id",
    "total": "meta.total",
    "total_header": "X-Total",
    "pages": {"by": "page", "param": "p", "first": 3, "size_param": "n", "size": 7, "next": "x", "ends": "short"},
    "partitions": {"every": "week", "start": "2024-01-01"},
    "window": "6h",
    "late": "2h",
    "unstable": "warn",
    "resume_within": "30m",
    "target_mb": 8,
}
EXPECTED = Endpoint(
    entity="orders",
    path="/orders",
    params=(("from", "{start}"), ("all", "true"), ("n", "5")),
    records="data.items",
    null_records="empty",
    id="id",
    total="meta.total",
    total_header="X-Total",
    paging=Paging("page", "p", 3, "n", 7, "x", "short"),
    partitions=PartitionScheme(by="time", every="week", start="2024-01-01"),
    window=timedelta(hours=6),
    late=timedelta(hours=2),
    unstable="warn",
    resume_within=timedelta(minutes=30),
    target_mb=8,
)


def test_every_field_reaches_the_endpoint() -> None:
    assert EndpointEntry.model_validate(FULL).to_endpoint() == EXPECTED
    bare = Endpoint("other", "/")
    for field in dataclasses.fields(Endpoint):
        assert getattr(EXPECTED, field.name) != getattr(bare, field.name), field.name


def test_a_bare_entry_has_the_engines_defaults() -> None:
    assert EndpointEntry.model_validate({"entity": "e", "path": "/e"}).to_endpoint() == Endpoint("e", "/e")
    assert LimitsEntry().to_limits() == ApiLimits()
    assert [EndpointEntry.model_validate({"entity": "e", "path": "/e", "pages": {"by": by, "param": "p"}})
            .to_endpoint().paging.first for by in ("page", "offset")] == [1, 0]  # fmt: skip


def test_every_field_of_the_component_reaches_the_api() -> None:
    limits = {"requests_per_second": 1, "concurrency": 2, "timeout_seconds": 3, "response_seconds": 4}
    limits |= {"budget_seconds": 5, "page_mb": 6, "pages": 7}
    api = ApiExtract.model_validate(
        {
            "source": "crm",
            "base_url": "https://a",
            "base_url_env": "CRM_URL",
            "files": "s3://b/f",
            "bearer_env": "CRM_TOKEN",
            "secret_headers": {"X-Key": "CRM_KEY"},
            "headers": {"X-Version": "2"},
            "other_hosts": ["files.example.com"],
            "limits": limits,
            "failover": "slow",
            "endpoints": [],
        }
    ).to_api()
    assert api.limits == ApiLimits(1, 2, 3, 4, 5, 6, 7)
    assert api.variables == ("CRM_TOKEN", "CRM_KEY")
    bare = Api("other")
    for field in dataclasses.fields(Api):
        assert getattr(api, field.name) != getattr(bare, field.name), field.name


def test_every_field_says_what_it_is_for() -> None:
    models = [
        ApiExtract,
        *(getattr(api_entries, name) for name in ("EndpointEntry", "PagesEntry", "DaysEntry", "LimitsEntry")),
    ]
    for model in models:
        assert issubclass(model, pydantic.BaseModel)
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"


CONNECTIONS = (
    "type: syncer_assets.Connections\nattributes: {lake: {url: 'memory://lake'}, sources: {}, warehouses: {}}\n"
)
HEAD = "source: crm\nbase_url: https://api.example.com\nfiles: memory://files\n"
DAYS = "partitions: {start: '2024-01-01'}, params: {from: '{start}'}"
ENTRY_LINE = 7


def error_of(folder: Path, entry: str, head: str = HEAD) -> str:
    for name, text in (
        ("connections", CONNECTIONS),
        ("crm", f"type: syncer_assets.ApiExtract\nattributes:\n{indent(head, '  ')}  endpoints:\n    - {entry}\n"),
    ):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "defs.yaml").write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_definitions(folder)
    return str(raised.value)


@pytest.mark.parametrize(
    ("entry", "field", "message", "fix"),
    [
        ("{entity: e, pth: /e, path: /e}", "pth", "`pth` is not a field", "did you mean path"),
        ("{entity: e}", "path", "`path` is missing", "The path below"),
        ("{entity: e, path: /e, pages: {by: pages}}", "pages.by", "'cursor' or 'link'", "an address"),
        ("{entity: e, path: /e, pages: {by: page}}", "pages", "`by: page` needs `param`", "param: .."),
        ("{entity: e, path: /e, pages: {by: cursor, param: c}}", "pages", "`by: cursor` needs `next`", "next: .."),
        ("{entity: e, path: /e, pages: {by: link, first: 2}}", "pages.first", "means nothing for `by: link`", "remove"),
        ("{entity: e, path: /e, pages: {by: page, param: p, ends: short}}", "pages.ends", "how long a page is", "size"),
        ("{entity: e, path: /e, pages: {by: page, param: p, size_param: n}}", "pages.size_param", "without", "`size`"),
        ("{entity: e, path: /e, params: {p: 1}, pages: {by: page, param: p}}", "params.p", "that of the pages", "one"),
        ("{entity: e, path: /e, total: t, total_header: T}", "total_header", "in two places", "`total` or"),
        ("{entity: e, path: /e, params: {from: '{start}'}}", "params.from", "there are none", "write `partitions`"),
        ("{entity: e, path: '/e/{end}'}", "path", "there are none", "write `partitions`"),
        ("{entity: e, path: /e, partitions: {start: '2024-01-01'}}", "partitions", "asked for the same", "{start}"),
        ("{entity: e, path: /e, partitions: {start: soon}}", "partitions.start", "is no ISO date", "2024-01-01"),
        ("{entity: e, path: /e, window: 1h}", "window", "there are none", "write `partitions`"),
        ("{entity: e, path: /e, window: 1s, " + DAYS + "}", "window", "too short", "a minute"),
        ("{entity: e/f, path: /e}", "entity", "'e/f' cannot be a name", "letters"),
        ("{entity: e, path: /e, schedule: daily}", "schedule", "is no cron expression", "five fields"),
        ("{entity: e, path: /e, owners: [me]}", "owners", "'me' is no owner", "team:name"),
    ],
)
def test_what_is_wrong_in_an_endpoint_is_told_with_its_place(
    entry: str, field: str, message: str, fix: str, tmp_path: Path
) -> None:
    said = error_of(tmp_path, entry)
    named = "e/f" if "e/f" in entry else "e"
    assert f"defs.yaml:{ENTRY_LINE}: entity {named}, field {field}: " in said
    assert message in said and fix in said.partition("Fix: ")[2]


@pytest.mark.parametrize(
    ("head", "field", "message"),
    [
        (HEAD.replace("base_url: https://api.example.com\n", ""), "base_url", "either a `base_url` or"),
        (HEAD.replace("https://", "ftp://"), "base_url", "this is no address"),
        (HEAD.replace("https://", "https://user:pa55word@"), "base_url", "has credentials"),
        (HEAD + "bearer_env: pa55word.x\n", "bearer_env", "no name of an environment variable"),
        (HEAD + "secret_headers: {X-Key: pa55word.x}\n", "secret_headers.X-Key", "no name of an environment variable"),
        (HEAD + "headers: {Authorization: pa55word}\n", "headers.Authorization", "is a header of secrets"),
        (HEAD + "headers: {'X Key': a}\n", "headers.X Key", "no name of a header"),
        (HEAD + "other_hosts: ['https://x']\n", "other_hosts", "is no host"),
        (HEAD.replace("memory://files", "memory://lake/"), "files", "among those of the lake"),
        (HEAD.replace("crm", "c r m"), "source", "cannot be a name"),
        (HEAD + "limits: {concurrency: 99}\n", "limits.concurrency", "out of range"),
    ],
)
def test_what_is_wrong_in_the_head_is_told_without_the_secret(
    head: str, field: str, message: str, tmp_path: Path
) -> None:
    said = error_of(tmp_path, "{entity: e, path: /e}", head)
    assert f"field {field}: " in said and message in said
    assert "pa55word" not in said


def test_two_endpoints_of_one_name_are_told_apart(tmp_path: Path) -> None:
    said = error_of(tmp_path, "{entity: e, path: /e}\n    - {entity: e, path: /f}")
    assert f"defs.yaml:{ENTRY_LINE + 1}: entity e, field entity: another endpoint has this entity too" in said
