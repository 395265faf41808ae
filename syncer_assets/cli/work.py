"""What `syncer run` runs: the lists of APIs, the tables, the keyed updates and the files that a deployment declares."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..assets.api import ApiList
from ..assets.file_table import FileTable
from ..assets.keyed_update import KeyedUpdateAsset
from ..assets.table import SyncedTable
from ..model.errors import ConfigError
from .command import UsageError, table_title

if TYPE_CHECKING:
    import dagster as dg

    from ..components.deployment import Deployment
    from .execution import RunOptions, Tell
    from .outcomes import TableOutcome

Work = SyncedTable | ApiList | FileTable | KeyedUpdateAsset


def selected(arguments: argparse.Namespace) -> "tuple[Deployment, tuple[Work, ...]]":
    """The deployment, and what is selected of it. Raises ConfigError, or UsageError for an unknown name."""
    from ..components.deployment import load_deployment

    deployment = load_deployment(arguments.defs)
    if not all_work(deployment):
        fix = "write a TableSync; `syncer discover SOURCE --write` proposes one"
        raise ConfigError(f"the definitions in {deployment.folder} declare no tables", fix=fix)
    try:
        return deployment, select_work(deployment, arguments.select)
    except ConfigError as error:
        raise UsageError(error.message, fix=error.fix) from None


def all_work(deployment: "Deployment") -> tuple[Work, ...]:
    """All of it, in the order in which it is run and shown."""
    return (*deployment.apis, *deployment.tables, *deployment.updates, *deployment.files)


def stages(works: Sequence[Work]) -> list[list[Work]]:
    """What may run at the same time; a stage begins when the one before it has ended."""
    files: list[Work] = [work for work in works if isinstance(work, FileTable)]  # those of lists read just now, too
    return [stage for stage in ([work for work in works if work not in files], files) if stage]


def select_work(deployment: "Deployment", names: Sequence[str]) -> tuple[Work, ...]:
    """Those called `orders`, `crm.orders` or `api/crm/orders`; all if no name is given. Raises ConfigError."""
    if not names:
        return all_work(deployment)
    chosen: dict[str, Work] = {}
    for name in names:
        lists: list[Work] = [each for each in deployment.apis if name in _names(each)]
        lists += [each for each in (*deployment.updates, *deployment.files) if each.is_named([name])]
        try:
            tables: Sequence[Work] = deployment.select([name])
        except ConfigError:
            if not lists:
                raise
            tables = ()
        chosen |= {key_of(work): work for work in (*lists, *tables)}
    return tuple(chosen.values())


def execute(
    deployment: "Deployment", work: Work, options: "RunOptions", instance: "dg.DagsterInstance", tell: "Tell"
) -> "TableOutcome":
    """Run it through Dagster in this process. What fails is told as a problem, never raised."""
    from .api_execution import read_list
    from .execution import sync_table
    from .file_execution import load_files
    from .keyed_execution import update_keyed

    if isinstance(work, FileTable):
        return load_files(deployment, work, options, instance, tell)
    if isinstance(work, KeyedUpdateAsset):
        return update_keyed(deployment, work, options, instance, tell)
    if isinstance(work, ApiList):
        return read_list(deployment, work, options, instance, tell)
    return sync_table(deployment, work, options, instance, tell)


def key_of(work: Work) -> str:
    """What tells it from all others."""
    match work:
        case ApiList() | KeyedUpdateAsset():
            return work.key.to_user_string()
        case FileTable():
            return work.raw_key.to_user_string()
        case _:
            return work.lake_key.to_user_string()


def title_of(work: Work) -> str:
    """What people call it."""
    return table_title(work) if isinstance(work, SyncedTable) else key_of(work)


def check_partition(work: Work, key: str) -> None:
    """Raises ConfigError where it cannot have such a partition."""
    if isinstance(work, KeyedUpdateAsset):
        work.check_partition(key)
    else:
        scheme = work.endpoint.partitions if isinstance(work, ApiList) else work.spec.partitions
        scheme.partition(key)


def _names(work: ApiList) -> set[str]:
    return {work.name, work.endpoint.entity, f"{work.api.name}.{work.endpoint.entity}", key_of(work)}
