"""Files in their raw table: what is new or changed of a partition, in transactions of many files."""

import warnings
from dataclasses import asdict, replace
from typing import Literal

import dagster as dg
import pydantic

from ..model.files import FileReport
from ..model.partition import UNPARTITIONED
from ..model.table import WORKERS_MOST
from ..resources.lookup import warehouse_of
from .events import log_emitter
from .failures import RETRY_POLICY, engine_errors
from .file_table import DOCUMENT, RECORD, FileTable
from .inline_checks import check_results
from .kinds import store_kind
from .metadata import Metadata, plain_metadata
from .names import file_sensor_name
from .orphan import end_with_parent
from .run_config import asked_by_person

CHECKS = {
    "row_count": "Lines read are loaded, rejected, or duplicates of newer ones; nothing is committed before that.",
    "rejects": "Every line is a document that has its id; the others are in the table of rejects, with the reason.",
    "refused": "No file is cut off, corrupt, or full of bad lines. Such a file is left out whole until it changes.",
    "files_outside_partitions": "Every file that matches the pattern belongs to a partition.",
}
REFUSED_TOLD = 20


class FileConfig(dg.Config):
    """How this run loads its partition."""

    mode: Literal["auto", "full"] = pydantic.Field(
        default="auto", description="auto: files that are new or changed; full: every file, as if all had changed."
    )
    workers: int | None = pydantic.Field(default=None, ge=1, le=WORKERS_MOST, description="Loads at once.")


def build_raw_asset(table: FileTable) -> dg.AssetsDefinition:
    """The asset. No BackfillPolicy: a backfill is one run a partition, so that each check names its partition."""

    @dg.asset(
        key=table.raw_key,
        deps=list(table.made_by),
        partitions_def=table.partitions_def,
        check_specs=raw_check_specs(table),
        required_resource_keys=table.resource_keys,
        group_name=table.group,
        owners=list(table.owners),
        kinds={"json", store_kind(table.url), "postgresql"},
        description=_description(table),
        code_version=table.code_version,
        metadata={
            "dagster/table_name": table.spec.target.name,
            "dagster/storage_kind": "postgresql",
            "dagster/column_schema": table.raw_schema,
            **_lineage(table),
            "dagster/uri": f"{table.url}/{table.spec.pattern.text}",
        },
        pool=table.pool,
        retry_policy=RETRY_POLICY,
    )
    def raw(context: dg.AssetExecutionContext, config: FileConfig) -> dg.MaterializeResult:
        return load_partition(context, config, table)

    return raw


def load_partition(context: dg.AssetExecutionContext, config: FileConfig, table: FileTable) -> dg.MaterializeResult:
    """What a step does: load the partition's files, and report it."""
    from ..sync.files import load_files

    end_with_parent()
    spec = replace(table.spec, workers=config.workers) if config.workers else table.spec
    resource = warehouse_of(context, spec.target.warehouse)
    with engine_errors(), resource.open_files() as warehouse:
        report = load_files(
            table.open_store(),
            warehouse,
            spec,
            context.partition_key if table.partitions_def else UNPARTITIONED,
            full=config.mode == "full",
            refused_again=asked_by_person(context.run.tags),
            run_id=context.run.run_id,
            emit=log_emitter(context.log),
            backoff=resource.backoff.or_longer(table.backoff),
        )
        return dg.MaterializeResult(
            asset_key=table.raw_key,
            metadata=_metadata(report),
            check_results=check_results(raw_check_specs(table), report.checks, nothing_new=report.nothing_new),
        )


def raw_check_specs(table: FileTable) -> list[dg.AssetCheckSpec]:
    """The checks of the asset, with its partitions: a green one then does not hide a red one of another."""
    with warnings.catch_warnings():  # partitions of checks are a preview, and each step would say so in its log
        warnings.simplefilter("ignore", category=dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                name,
                asset=table.raw_key,
                description=description,
                blocking=name == "row_count",
                partitions_def=table.partitions_def,
            )
            for name, description in CHECKS.items()
        ]


def _description(table: FileTable) -> str:
    spec = table.spec
    key = f"by {'.'.join(spec.id.path)}" if spec.id.path else "by file and line"
    about = f"{spec.pattern.text} of {spec.source} in {spec.target.name}, a row a document, {key}."
    asks = f"The sensor `{file_sensor_name(spec.source)}` asks for new files."
    return "\n\n".join(part for part in (table.description, f"{about} {asks}") if part)


def _lineage(table: FileTable) -> dict[str, dg.TableColumnLineage]:
    """Documents come from the assets that write the files; none where others do."""
    records = [dg.TableColumnDep(key, RECORD) for key in table.made_by]
    return {"dagster/column_lineage": dg.TableColumnLineage({DOCUMENT: records})} if records else {}


def _metadata(report: FileReport) -> Metadata:
    numbers = {name: value for name, value in asdict(report).items() if isinstance(value, int | float)}
    refused = "; ".join(f"{path}: {reason}" for path, reason in sorted(report.refused.items())[:REFUSED_TOLD])
    rates = {"rows": report.rows, "rows_per_second": report.rows_per_second}
    return plain_metadata({**numbers, **rates, "refused": refused})
