"""Keyed updates in `syncer doctor`: their columns, the key's index, and the sizing of what they read with."""

from typing import TYPE_CHECKING

from ..model.errors import SyncError

if TYPE_CHECKING:
    from ..assets.keyed_update import KeyedUpdateAsset
    from ..components.deployment import Deployment
    from ..sync.doctor import Finding


def examine_keyed(deployment: "Deployment", update: "KeyedUpdateAsset") -> "list[Finding]":
    """The findings of one keyed update."""
    from ..sync.doctor import Finding
    from ..sync.keyed_look import examine_update

    spec, about = update.spec, f"keyed update {update.title}"
    try:
        with (
            deployment.source(spec.source).open() as source,
            deployment.warehouse(spec.target.warehouse).open() as warehouse,
        ):
            found = list(examine_update(source, warehouse, spec, about))
    except SyncError as error:
        found = [Finding(about, "connection", "error", str(error))]
    return found


def examine_sizing(deployment: "Deployment", source: str) -> "list[Finding]":
    """Whether the source's compute can be asked for its size, and the size be written down. Nothing is resized."""
    from ..sync.doctor import Finding

    about = f"source {source}"
    try:
        sizer = deployment.source(source).sizer()
        size = sizer.look() if sizer else None
    except SyncError as error:
        return [Finding(about, "sizing", "error", str(error))]
    return [Finding(about, "sizing", "ok", f"the compute is {size}, and it can be written down")] if size else []
