"""Where the marks of many partitions stand, remembered between the ticks of a sensor: one listing an open partition.

A manifest is never written again (DESIGN 6), so that the object's stamp in a listing tells that it is the one that was
read before, and the listing may begin there, however many manifests a partition has.
"""

import time
from dataclasses import dataclass

from ..model.manifest import Manifest
from ..model.marks import CursorColumn, Mark
from .lake import Lake, Place

REMEMBERED_MOST = 200_000
CLOSED_SECONDS = 600.0
"""A closed partition is looked at so seldom: only a person's re-read or a repair can change it."""


@dataclass(frozen=True)
class Head:
    """What a partition's last manifest says of its marks, and the first column that they are of."""

    seq: int
    safe: Mark | None
    high: Mark | None
    closed: bool
    cursor: CursorColumn | None = None


_known: dict[tuple[str, str], tuple[str, Head, float]] = {}
"""By lake and partition: the stamp of the last manifest, its marks, and when they were looked at. Of this process."""


def head_of(lake: Lake, place: Place) -> Head | None:
    """The marks of a partition, None where it was never read; the manifest is fetched if it is another than before.

    Raises LakeCorrupt where a manifest is missing, ObjectStoreError.
    """
    key = (lake.url, place.folder)
    stamp, head, looked = _known.get(key, ("", None, 0.0))
    now = time.monotonic()
    if head and head.closed and now - looked < CLOSED_SECONDS:
        return head
    last = lake.last(place, since=head.seq if head else 1)
    if last is None:
        _known.pop(key, None)
        return None
    seq, found = last
    if head is None or found != stamp:
        head = _head(lake.manifest(place, seq))
    if len(_known) >= REMEMBERED_MOST:
        _known.clear()
    _known[key] = (found, head, now)
    return head


def _head(manifest: Manifest) -> Head:
    cursor = manifest.order[0] if manifest.cursor else None
    return Head(manifest.seq, manifest.safe, manifest.high, manifest.closed, cursor)
