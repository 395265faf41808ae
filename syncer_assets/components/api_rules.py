"""Rules of an ApiExtract's YAML that no single field can tell."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..assets.names import python_name
from ..model.errors import ConfigError
from ..sources.rest.errors import ApiError
from ..sources.rest.paging import filled
from .api_entries import EndpointEntry
from .failover_entry import waits_problems
from .fields import parse_duration
from .problems import Problem
from .rules import owner_problems

if TYPE_CHECKING:
    from .api_extract import ApiExtract
    from .connections import Connections

_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2


def api_problems(
    component: "ApiExtract", connections: Sequence["Connections"], apis: Sequence["ApiExtract"]
) -> list[Problem]:
    """What is wrong with one ApiExtract, given the deployment's connections and all of its ApiExtracts."""
    return [
        *_address_problems(component),
        *_name_problems(component, connections, apis),
        *waits_problems((), component.failover),
        *_list_problems(component),
    ]


def _address_problems(component: "ApiExtract") -> Iterator[Problem]:
    """The values are not told: somebody may have written a secret into them."""
    if (component.base_url is None) == (component.base_url_env is None):
        yield Problem(("base_url",), "an API has either a `base_url` or a `base_url_env`", "write one of the two")
    if component.base_url is not None:
        parts = urlsplit(component.base_url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            yield Problem(("base_url",), "this is no address", "write it as https://api.example.com/v2")
        elif "@" in parts.netloc or parts.query:
            yield Problem(
                ("base_url",), "the address has credentials or parameters in it", "use `bearer_env` or `secret_headers`"
            )
    for field, headers in (("headers", component.headers), ("secret_headers", component.secret_headers)):
        for name in headers:
            if not _HEADER_NAME.fullmatch(name):
                yield Problem((field, name), "this is no name of a header", "write it as X-Api-Key")
            elif field == "headers" and name.lower() in ("authorization", "cookie", "x-api-key"):
                fix = "name the variable that holds the secret: `bearer_env`, or `secret_headers`"
                yield Problem((field, name), f"`{name}` is a header of secrets", fix)
    for number, host in enumerate(component.other_hosts):
        if "/" in host or not host:
            yield Problem(("other_hosts", number), f"{host!r} is no host", "write it as files.example.com")


def _name_problems(
    component: "ApiExtract", connections: Sequence["Connections"], apis: Sequence["ApiExtract"]
) -> Iterator[Problem]:
    if python_name(component.source) != component.source or not component.source:
        yield Problem(("source",), f"{component.source!r} cannot be a name here", "use letters, digits and _")
    if component.group and python_name(component.group) != component.group:
        yield Problem(("group",), f"{component.group!r} cannot be a group", "use letters, digits and _")
    if connections and component.files.rstrip("/") == connections[0].lake.url.rstrip("/"):
        yield Problem(("files",), "the files would lie among those of the lake", "name another folder, or a subfolder")
    yield from owner_problems((), component.owners or [], None)
    for other in apis:
        if other is component:
            return
        if other.source == component.source:
            yield Problem(
                ("source",), f"another ApiExtract is called {other.source!r} too", "merge them, or rename one"
            )


def _list_problems(component: "ApiExtract") -> Iterator[Problem]:
    names: set[str] = set()
    for number, entry in enumerate(component.endpoints):
        path = ("endpoints", number)
        if python_name(entry.entity) in names:
            yield Problem(
                (*path, "entity"), "another endpoint has this entity too", "name one of them otherwise", entry.entity
            )
        names.add(python_name(entry.entity))
        yield from _entry_problems(path, entry)


def _entry_problems(path: tuple[str, int], entry: EndpointEntry) -> Iterator[Problem]:
    def problem(field: str, message: str, fix: str) -> Problem:
        return Problem((*path, *field.split(".")), message, fix, entry.entity)

    if not re.fullmatch(r"[\w-]+", entry.entity):
        yield problem("entity", f"{entry.entity!r} cannot be a name here", "use letters, digits, _ and -")
    if entry.group and python_name(entry.group) != entry.group:
        yield problem("group", f"{entry.group!r} cannot be a group", "use letters, digits and _")
    if entry.total and entry.total_header:
        yield problem("total_header", "the total is told in two places", "write `total` or `total_header`")
    yield from owner_problems(path, entry.owners or [], entry.entity)
    yield from _paging_problems(problem, entry)
    try:
        if entry.partitions:
            entry.partitions.to_scheme().first_key()
    except ConfigError as error:
        yield problem("partitions.start", error.message, error.fix or "")
        return
    if entry.window and entry.partitions is None:
        yield problem("window", "a window cuts a partition, and there are none", "write `partitions`, or remove it")
    elif entry.window and parse_duration(entry.window).total_seconds() < 60:
        yield problem("window", f"{entry.window!r} is too short", "write a minute or more")
    endpoint = entry.to_endpoint()
    span = endpoint.span(endpoint.partitions.first_key())
    texts = {"path": entry.path, **{f"params.{name}": str(value) for name, value in entry.params.items()}}
    for field, text in texts.items():
        try:
            filled(text, span)
        except ApiError as error:
            yield problem(field, error.message, error.fix or "")
    if entry.partitions and not any("{start" in text or "{end" in text for text in texts.values()):
        fix = 'give the API the partition\'s times: params: {from: "{start}", to: "{end}"}'
        yield problem("partitions", "every partition would be asked for the same", fix)


def _paging_problems(problem: Callable[[str, str, str], Problem], entry: EndpointEntry) -> Iterator[Problem]:
    pages = entry.pages
    needs = {"page": ("param",), "offset": ("param",), "cursor": ("param", "next"), "link": (), "none": ()}[pages.by]
    for field in needs:
        if getattr(pages, field) is None:
            yield problem("pages", f"`by: {pages.by}` needs `{field}`", f"write pages: {{by: {pages.by}, {field}: ..}}")
    knows = {
        "param": pages.by in ("page", "offset", "cursor"),
        "first": pages.by in ("page", "offset"),
        "next": pages.by in ("cursor", "link"),
        "ends": pages.by in ("page", "offset"),
    }
    for field, is_known in knows.items():
        if field in pages.model_fields_set and getattr(pages, field) is not None and not is_known:
            yield problem(
                f"pages.{field}", f"`{field}` means nothing for `by: {pages.by}`", "remove it, or change `by`"
            )
    if pages.ends == "short" and pages.size is None and pages.by in ("page", "offset"):
        yield problem("pages.ends", "`ends: short` needs to know how long a page is", "write `size`")
    if pages.size_param and pages.size is None:
        yield problem("pages.size_param", "`size_param` is there without a `size`", "write `size`")
    if pages.param and pages.param in entry.params:
        yield problem(f"params.{pages.param}", "this parameter is that of the pages too", "remove one of the two")
