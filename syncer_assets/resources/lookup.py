"""The resources of a run by what they are, typed; Dagster hands them out untyped, by key."""

from collections.abc import Mapping
from typing import Protocol, TypeVar

from .lake import LAKE_RESOURCE, LakeResource
from .source import SourceResource, source_resource
from .warehouse import WarehouseResource, warehouse_resource

T = TypeVar("T")


class HasResources(Protocol):
    """Any of Dagster's contexts: asset, check, sensor, schedule."""

    @property
    def resources(self) -> object: ...


def lake_of(context: HasResources) -> LakeResource:
    """The deployment's lake."""
    return _typed(context, LAKE_RESOURCE, LakeResource)


def source_of(context: HasResources, source: str) -> SourceResource:
    """The source of that name."""
    return _typed(context, source_resource(source), SourceResource)


def warehouse_of(context: HasResources, warehouse: str) -> WarehouseResource:
    """The warehouse of that name."""
    return _typed(context, warehouse_resource(warehouse), WarehouseResource)


def resources_by_key(
    lake: LakeResource, sources: Mapping[str, SourceResource], warehouses: Mapping[str, WarehouseResource]
) -> dict[str, object]:
    """What `Definitions(resources=...)` takes."""
    return {
        LAKE_RESOURCE: lake,
        **{source_resource(name): source for name, source in sources.items()},
        **{warehouse_resource(name): warehouse for name, warehouse in warehouses.items()},
    }


def _typed(context: HasResources, key: str, kind: type[T]) -> T:
    resource = getattr(context.resources, key)
    if not isinstance(resource, kind):
        raise TypeError(f"resource {key!r} is a {type(resource).__name__}, not a {kind.__name__}")
    return resource
