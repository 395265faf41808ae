"""An API that is read page by page: where it is, how it pages, how fast it may be asked (docs/apis.md)."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal

from .backoff import DEFAULT, Backoff
from .errors import ConfigError, LakeCorrupt
from .partition import UNPARTITIONED, PartitionScheme
from .report import CheckResult

PagesBy = Literal["none", "page", "offset", "cursor", "link"]


@dataclass(frozen=True)
class ApiLimits:
    """How an API is asked. `timeout_seconds` counts between two bytes, `response_seconds` for a whole answer,
    `budget_seconds` for one page with all its repeats (None: what the API's `backoff` has)."""

    requests_per_second: float = 5.0
    concurrency: int = 1
    timeout_seconds: float = 30.0
    response_seconds: float = 300.0
    budget_seconds: float | None = None
    page_mb: float = 64.0
    pages: int = 100_000


@dataclass(frozen=True)
class Api:
    """An API. Secrets are only named: `bearer_env`, and the header to variable pairs of `secret_headers`."""

    name: str
    base_url: str | None = None
    base_url_env: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    bearer_env: str | None = None
    secret_headers: tuple[tuple[str, str], ...] = ()
    other_hosts: tuple[str, ...] = ()
    limits: ApiLimits = field(default_factory=ApiLimits)
    files_url: str = ""
    backoff: Backoff = DEFAULT

    @property
    def page_backoff(self) -> Backoff:
        """How a page is asked for again: as the YAML's `failover` says, for as long as its `limits` say, if they do."""
        budget = self.limits.budget_seconds
        return self.backoff if budget is None else replace(self.backoff, budget_seconds=budget)

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that hold its secrets."""
        return (*([self.bearer_env] if self.bearer_env else []), *(name for _, name in self.secret_headers))

    @property
    def environment(self) -> tuple[str, ...]:
        """All the variables that have to be set."""
        return (*([self.base_url_env] if self.base_url_env else []), *self.variables)


@dataclass(frozen=True)
class Paging:
    """How one page leads to the next.

    `page` and `offset` count in the parameter `param` from `first`; `cursor` sends what the last page has at `next` as
    `param`; `link` follows the address at `next`, or that of the Link header (RFC 8288).
    `ends: empty` reads until a page without records, `short` until one with fewer than `size`.
    """

    by: PagesBy = "none"
    param: str | None = None
    first: int = 0
    size_param: str | None = None
    size: int | None = None
    next: str | None = None
    ends: Literal["empty", "short"] = "empty"

    @property
    def is_numbered(self) -> bool:
        """Whether pages are asked for by number, so that a page is known before the one ahead of it was read."""
        return self.by in ("page", "offset")


@dataclass(frozen=True)
class Endpoint:
    """One list of an API. `records`, `id`, `total` and `paging.next` are paths into its answers, such as `data.items`.

    `window` cuts a partition further: each part has pages of its own. `late` is how long after its end a partition is
    still read again. `unstable` says what becomes of a read during which the list changed under the pages.
    """

    entity: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    records: str | None = None
    null_records: Literal["fail", "empty"] = "fail"
    id: str | None = None
    total: str | None = None
    total_header: str | None = None
    paging: Paging = field(default_factory=Paging)
    partitions: PartitionScheme = field(default_factory=PartitionScheme)
    window: timedelta | None = None
    late: timedelta = timedelta(hours=1)
    unstable: Literal["fail", "warn"] = "fail"
    resume_within: timedelta = timedelta(hours=1)
    target_mb: float = 64.0

    @property
    def fingerprint(self) -> str:
        """Changes with what a page is: pages of another meaning are never continued."""
        meaning = (self.path, self.params, self.records, self.id, self.paging, self.partitions, self.window)
        return hashlib.sha256(repr(meaning).encode()).hexdigest()[:16]

    def span(self, partition: str) -> "Span | None":
        """The time `[start, end)` of a partition; None without partitions. Raises ConfigError for a wrong key."""
        if self.partitions.by == "none":
            if partition != UNPARTITIONED:
                raise ConfigError(f"the endpoint has no partitions, so {partition!r} is none", fix="leave it out")
            return None
        cut = self.partitions.partition(partition)
        start = cut.start or datetime.fromisoformat(self.partitions.start or "")
        if not isinstance(start, datetime) or not isinstance(cut.end, datetime):
            raise ConfigError(f"{partition!r} is no span of time", fix="cut the endpoint by time")
        return Span(start if start.tzinfo else start.replace(tzinfo=UTC), cut.end)

    def spans(self, partition: str) -> "list[Span | None]":
        """The spans that are read one by one: the partition's, or its windows."""
        whole = self.span(partition)
        if whole is None or self.window is None:
            return [whole]
        edges = [whole.start]
        while edges[-1] < whole.end:
            edges.append(min(edges[-1] + self.window, whole.end))
        return [Span(start, end) for start, end in pairwise(edges)]


@dataclass(frozen=True)
class Span:
    """A time `[start, end)`, aware."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class ApiFile:
    """A file of gzipped JSON lines, complete and never changed."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class ApiManifest:
    """What one commit of a partition brought; `files` are all of it. The last manifest of a partition counts.

    `content_sha256` is that of the records, one a line. An equal read keeps the files of the manifest before it.
    """

    seq: int
    source: str
    entity: str
    partition: str
    attempt: str
    captured_at: datetime
    files: tuple[ApiFile, ...]
    rows: int
    pages: int
    duplicates: int | None
    total: int | None
    complete: bool
    content_sha256: str
    fingerprint: str
    run_id: str
    code_version: str

    def to_bytes(self) -> bytes:
        """As the object that commits it."""
        body = {"version": 1, **asdict(self), "captured_at": self.captured_at.isoformat()}
        return json.dumps(body, indent=1).encode()

    @classmethod
    def from_bytes(cls, body: bytes, path: str) -> "ApiManifest":
        """Raises LakeCorrupt if it is none, or of a later version."""
        try:
            found = json.loads(body)
            if found.pop("version") != 1:
                raise ValueError("version")
            files = tuple(ApiFile(**file) for file in found.pop("files"))
            captured_at = datetime.fromisoformat(found.pop("captured_at"))
            return cls(**found, files=files, captured_at=captured_at)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise LakeCorrupt(
                f"manifest {path} cannot be read ({type(error).__name__})",
                fix="restore the object from a backup, or from the bucket's older versions",
            ) from None


@dataclass
class ApiReport:
    """One read of one partition. `requests` counts what was sent, `retries` those that were sent again."""

    entity: str
    partition: str
    rows: int = 0
    pages: int = 0
    pages_resumed: int = 0
    requests: int = 0
    retries: int = 0
    bytes: int = 0
    bytes_received: int = 0
    files: int = 0
    seconds: float = 0.0
    peak_memory_mb: float = 0.0
    total: int | None = None
    duplicates: int | None = None
    attempts: int = 1
    seq: int = 0
    unchanged: bool = False
    closed: bool = False
    uri: str = ""
    checks: list[CheckResult] = field(default_factory=list)

    @property
    def rows_per_second(self) -> float:
        return round(self.rows / self.seconds, 1) if self.seconds else 0.0
