"""How far each partition of a list is: what its last manifest says."""

from dataclasses import dataclass
from datetime import datetime

from ...model.api import Endpoint
from ..lake import Lake, Place
from .extract import head_of, is_closed


@dataclass(frozen=True)
class ListPartition:
    """One partition that was read."""

    partition: str
    seq: int
    rows: int
    files: int
    bytes: int
    total: int | None
    duplicates: int | None
    complete: bool
    closed: bool
    captured_at: datetime


def list_status(lake: Lake, source: str, endpoint: Endpoint) -> list[ListPartition]:
    """The partitions that were read, in the order of their keys."""
    found = []
    for key in lake.partitions(source, endpoint.entity):
        head = head_of(lake, Place(source, endpoint.entity, key))
        if head is not None:
            found.append(
                ListPartition(
                    key,
                    head.seq,
                    head.rows,
                    len(head.files),
                    sum(file.bytes for file in head.files),
                    head.total,
                    head.duplicates,
                    head.complete,
                    is_closed(endpoint, head),
                    head.captured_at,
                )
            )
    return found
