"""A list of an API, read into files: the asset `api/<source>/<entity>`, a partition a run."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import dagster as dg
import pydantic

from .. import __version__
from ..model.api import Api, ApiReport, Endpoint
from ..model.partition import UNPARTITIONED
from ..resources.api import base_url_of, secrets_of
from ..resources.lake import is_there
from .events import log_emitter, report_progress
from .failures import RETRY_POLICY, engine_errors
from .file_table import RECORD
from .inline_checks import check_results
from .kinds import store_kind
from .metadata import Metadata
from .names import python_name
from .orphan import end_with_parent
from .partitions import time_partitions
from .requests import ASSET_JOB
from .run_config import ASKED_TAG, asked_by_person
from .table import Cron

if TYPE_CHECKING:
    from ..sync.lake import Lake

API_CHECKS = {
    "row_count": "Records in the files are the records that were received; nothing is committed before they agree.",
    "complete": "The pages were read to their end, as many records as the API tells of, and none of them twice.",
}
REQUESTS_PER_TICK = 50
_NUMBERS = (
    *("rows", "pages", "pages_resumed", "requests", "retries", "bytes", "bytes_received", "files", "seconds"),
    *("rows_per_second", "peak_memory_mb", "attempts", "seq", "total", "duplicates"),
)


@dataclass(frozen=True)
class ApiList:
    """One endpoint of the YAML as the asset factories take it."""

    api: Api
    endpoint: Endpoint
    group: str = "default"
    owners: tuple[str, ...] = ()
    description: str | None = None
    schedule: Cron | None = None

    @property
    def key(self) -> dg.AssetKey:
        return dg.AssetKey(["api", self.api.name, self.name])

    @property
    def name(self) -> str:
        """Its name in asset keys."""
        return python_name(self.endpoint.entity)

    @property
    def is_partitioned(self) -> bool:
        return self.endpoint.partitions.by != "none"

    @property
    def pool(self) -> str:
        """The pool of the API: its rate limit is kept by one step at a time."""
        return f"api__{self.api.name}"

    def writes_into(self, url: str, folder: str) -> bool:
        """Whether its files lie in that folder below a url."""
        same = url.rstrip("/") == self.api.files_url.rstrip("/")
        return same and f"{folder}/".startswith(f"{self.api.name}/{self.endpoint.entity}/")

    def files(self) -> "Lake":
        """Where its files are. Raises ConfigError or ObjectStoreError."""
        from ..sync.lake import open_lake

        return open_lake(self.api.files_url, self.api.backoff)

    def existing_files(self) -> "Lake | None":
        """The same; None where the folder is not there yet: looking must not make it."""
        return self.files() if is_there(self.api.files_url) else None


class ApiConfig(dg.Config):
    """How this run reads its partition. What is left empty is as the YAML has it."""

    mode: Literal["auto", "continue", "full"] = pydantic.Field(
        default="auto",
        description=(
            "auto: read what may have changed, a closed partition if a person asked, and go on with pages that an "
            "earlier run received; continue: leave closed partitions alone; full: read all pages anew."
        ),
    )
    requests_per_second: float | None = pydantic.Field(default=None, gt=0, description="How fast the API is asked.")
    concurrency: int | None = pydantic.Field(default=None, ge=1, le=32, description="Pages asked for at a time.")

    def applied_to(self, api: Api) -> Api:
        """The API's limits, as this run has them."""
        given = {"requests_per_second": self.requests_per_second, "concurrency": self.concurrency}
        limits = replace(api.limits, **{name: value for name, value in given.items() if value is not None})
        return replace(api, limits=limits)


def build_api_asset(source: ApiList) -> dg.AssetsDefinition:
    """The asset. No BackfillPolicy: a backfill is one run a partition, so that each check names its partition."""

    @dg.asset(
        key=source.key,
        partitions_def=partitions_of(source),
        check_specs=api_check_specs(source),
        group_name=source.group,
        owners=list(source.owners),
        kinds={"api", "json", store_kind(source.api.files_url)},
        description=_description(source),
        code_version=f"{__version__}-{source.endpoint.fingerprint[:8]}",
        metadata={
            "dagster/table_name": f"{source.api.name}.{source.endpoint.entity}",
            "dagster/storage_kind": "json",
            "dagster/column_schema": dg.TableSchema([dg.TableColumn(RECORD, "json", "A line: a record as it came.")]),
            "dagster/uri": f"{source.api.files_url.rstrip('/')}/{source.api.name}/{source.endpoint.entity}",
        },
        pool=source.pool,
        retry_policy=RETRY_POLICY,
    )
    def api(context: dg.AssetExecutionContext, config: ApiConfig) -> dg.MaterializeResult:
        return read_partition(context, config, source)

    return api


def read_partition(context: dg.AssetExecutionContext, config: ApiConfig, source: ApiList) -> dg.MaterializeResult:
    """What a step does: read the partition's pages into files, and report it. A step that is tried again goes on with
    what was asked for, from the page where it failed."""
    from ..sync.api import extract_pages

    end_with_parent()
    key = context.partition_key if source.is_partitioned else None
    with engine_errors():
        report = extract_pages(
            source.files(),
            config.applied_to(source.api),
            source.endpoint,
            key or UNPARTITIONED,
            base_url=base_url_of(source.api),
            secrets=secrets_of(source.api),
            run_id=context.run.run_id,
            mode="auto" if config.mode == "full" and context.retry_number else config.mode,
            asked_by_person=asked_by_person(context.run.tags),
            emit=log_emitter(context.log),
            progress=report_progress(context, source.key, key),
        )
        return dg.MaterializeResult(
            asset_key=source.key,
            metadata=api_metadata(report, source),
            check_results=check_results(api_check_specs(source), report.checks, nothing_new=not report.checks),
        )


def api_check_specs(source: ApiList) -> list[dg.AssetCheckSpec]:
    """The checks of the asset, by partition."""
    with warnings.catch_warnings():  # partitions of checks are a preview, and each step would say so in its log
        warnings.simplefilter("ignore", category=dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                name, asset=source.key, description=text, blocking=True, partitions_def=partitions_of(source)
            )
            for name, text in API_CHECKS.items()
        ]


def partitions_of(source: ApiList) -> dg.PartitionsDefinition | None:
    """Dagster's partitions of the endpoint; the current one is among them."""
    return time_partitions(source.endpoint.partitions) if source.is_partitioned else None


def api_metadata(report: ApiReport, source: ApiList) -> Metadata:
    """What a materialisation shows."""
    numbers = {name: getattr(report, name) for name in _NUMBERS}
    metadata: Metadata = {name: number for name, number in numbers.items() if number is not None}
    rows = "dagster/partition_row_count" if source.is_partitioned else "dagster/row_count"
    told = {"unchanged": report.unchanged, "partition_closed": report.closed}
    return (
        metadata
        | {name: str(value).lower() for name, value in told.items()}
        | {rows: report.rows, "dagster/uri": report.uri}
    )


def build_api_schedule(name: str, cron: Cron, sources: Sequence[ApiList]) -> dg.ScheduleDefinition:
    """A schedule that asks for what is not closed, the oldest first. It looks at the files, not at the API."""

    def requests(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
        moment = context.scheduled_execution_time.isoformat()
        return [request for source in sources for request in due_requests(source, moment)]

    return dg.ScheduleDefinition(
        name=name,
        cron_schedule=cron.expression,
        execution_timezone=cron.timezone,
        execution_fn=requests,
        job_name=ASSET_JOB,
        description=f"Reads {', '.join(source.endpoint.entity for source in sources)} of {sources[0].api.name}."[:500],
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )


def due_requests(source: ApiList, moment: str) -> list[dg.RunRequest]:
    """The runs of one tick."""
    from ..sync.api.extract import due_partitions

    due = due_partitions(source.files(), source.api.name, source.endpoint)
    return [
        dg.RunRequest(
            run_key=f"{source.key.to_user_string()}:{key}:{moment}",
            partition_key=key if source.is_partitioned else None,
            asset_selection=[source.key],
            asset_check_keys=[spec.key for spec in api_check_specs(source)],
            tags={ASKED_TAG: "false"},
        )
        for key in due[:REQUESTS_PER_TICK]
    ]


def _description(source: ApiList) -> str:
    about = (
        f"{source.endpoint.path} of the API {source.api.name}, read page by page into files of JSON lines that a "
        "manifest commits. What was deleted there is not seen: files of earlier reads stay."
    )
    asked = (
        f"A schedule asks for it at `{source.schedule.expression}` ({source.schedule.timezone})."
        if source.schedule
        else "Only a person asks for it: it has no schedule."
    )
    return "\n\n".join(part for part in (source.description, f"{about} {asked}") if part)
