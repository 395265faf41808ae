"""The YAML of an API's endpoints (docs/apis.md): what may be written, and the engine's form of it."""

from typing import Annotated, Literal

import dagster as dg
from pydantic import Field

from ..model.api import ApiLimits, Endpoint, PagesBy, Paging
from ..model.partition import PartitionScheme
from .fields import CronExpression, Duration, PositiveFloat, PositiveInt, between, parse_duration
from .schedule_entries import ScheduleEntry

Param = str | int | float | bool


class LimitsEntry(dg.Resolvable, dg.Model):
    """How the API is asked."""

    requests_per_second: PositiveFloat = Field(
        default=ApiLimits.requests_per_second, description="How often it is asked, evenly spaced."
    )
    concurrency: Annotated[int, between(1, 32)] = Field(
        default=ApiLimits.concurrency,
        description="Pages asked for at a time: those of several windows, or of one list whose pages have numbers.",
    )
    timeout_seconds: PositiveFloat = Field(
        default=ApiLimits.timeout_seconds, description="How long an answer may keep silent."
    )
    response_seconds: PositiveFloat = Field(
        default=ApiLimits.response_seconds, description="How long an answer may take in all."
    )
    budget_seconds: PositiveFloat | None = Field(
        default=ApiLimits.budget_seconds,
        description="How long one page is asked for again, waits included; as `failover` has it unless given.",
    )
    page_mb: PositiveFloat = Field(default=ApiLimits.page_mb, description="The largest page, unpacked.")
    pages: PositiveInt = Field(default=ApiLimits.pages, description="Pages of a partition after which it has no end.")

    def to_limits(self) -> ApiLimits:
        return ApiLimits(**self.model_dump())


class PagesEntry(dg.Resolvable, dg.Model):
    """How one page leads to the next."""

    by: PagesBy = Field(
        description="page, offset: a number that counts on; cursor: what the page before told; link: an address; none."
    )
    param: str | None = Field(default=None, description="The parameter of the page, the offset or the cursor.")
    first: int | None = Field(default=None, description="by: page, offset. Where they count from: 1 and 0.")
    size_param: str | None = Field(default=None, description="The parameter of how many records a page has.")
    size: PositiveInt | None = Field(default=None, description="How many records a page is asked to have.")
    next: str | None = Field(
        default=None,
        description="by: cursor, link. Where a page tells the next one, such as meta.next; for link the Link header.",
    )
    ends: Literal["empty", "short"] = Field(
        default="empty", description="by: page, offset. The last page: one without records, or one below `size`."
    )

    def to_paging(self) -> Paging:
        first = self.first if self.first is not None else int(self.by == "page")
        return Paging(self.by, self.param, first, self.size_param, self.size, self.next, self.ends)


class DaysEntry(dg.Resolvable, dg.Model):
    """The times that the API is asked for one by one, as `{start}` and `{end}`."""

    every: Literal["hour", "day", "week", "month"] = Field(default="day", description="How long a partition is.")
    start: str = Field(description='The start of the first partition, such as "2024-01-01".')

    def to_scheme(self) -> PartitionScheme:
        return PartitionScheme(by="time", every=self.every, start=self.start)


class EndpointEntry(dg.Resolvable, dg.Model):
    """One list of the API."""

    entity: str = Field(description="What the records are, such as orders: the name of the asset and of the folder.")
    path: str = Field(description='The path below `base_url`, such as "/orders".')
    description: str | None = Field(default=None, description="What the list is, for the UI.")
    params: dict[str, Param] = Field(
        default={}, description='Parameters; "{start}", "{end}" and "{start:%Y-%m-%d}" are the partition\'s times.'
    )
    records: str | None = Field(
        default=None, description="Where a page has its records, such as data.items; the page itself unless given."
    )
    null_records: Literal["fail", "empty"] = Field(
        default="fail", description="Whether null at `records` means an empty list."
    )
    id: str | None = Field(default=None, description="Where a record has its id; records that come twice are counted.")
    total: str | None = Field(
        default=None, description="Where a page tells how many records there are in all, such as meta.total."
    )
    total_header: str | None = Field(default=None, description="Or the header that tells it, such as X-Total-Count.")
    pages: PagesEntry = Field(default=PagesEntry(by="none"), description="How one page leads to the next.")
    partitions: DaysEntry | None = Field(default=None, description="Which times are asked for one by one.")
    window: Duration | None = Field(
        default=None,
        description="Cuts a partition further; each window has pages of its own, several are read at once.",
    )
    late: Duration = Field(
        default="1h", description="How long after its end a partition is still read again before it is closed."
    )
    unstable: Literal["fail", "warn"] = Field(
        default="fail", description="What becomes of a list that kept changing while it was read three times."
    )
    resume_within: Duration = Field(
        default="1h", description="How old pages of a failed run may be for the next one to go on with them."
    )
    target_mb: PositiveFloat = Field(default=Endpoint.target_mb, description="Packed size at which a file is closed.")
    schedule: CronExpression | ScheduleEntry | None = Field(
        default=None, description="A cron expression, or {cron, timezone}."
    )
    group: str | None = Field(default=None, description="The asset group in the UI.")
    owners: list[str] | None = Field(default=None, description='Owners, as e-mail addresses or "team:name".')

    def to_endpoint(self) -> Endpoint:
        """The engine's form."""
        return Endpoint(
            entity=self.entity,
            path=self.path,
            params=tuple((name, _text(value)) for name, value in self.params.items()),
            records=self.records,
            null_records=self.null_records,
            id=self.id,
            total=self.total,
            total_header=self.total_header,
            paging=self.pages.to_paging(),
            partitions=self.partitions.to_scheme() if self.partitions else PartitionScheme(),
            window=parse_duration(self.window) if self.window else None,
            late=parse_duration(self.late),
            unstable=self.unstable,
            resume_within=parse_duration(self.resume_within),
            target_mb=self.target_mb,
        )


def _text(value: Param) -> str:
    """As it stands in an address: true, not True."""
    return str(value).lower() if isinstance(value, bool) else str(value)
