"""From an attempt's steps to files of the right size, and from a manifest to files that people see.

Files get their names, `<partition>/<seq>-<part>.jsonl.gz`, after the manifest that names them was put: what a
listing shows was committed. A run that is killed in between is made good by the next run of the partition.
"""

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import BinaryIO

from ...model.api import ApiFile, ApiManifest
from ...model.errors import AssertionFailed, LakeCorrupt, ObjectStoreError
from ..lake import Lake, Place
from .attempt import Attempt, attempts_folder


@dataclass(frozen=True)
class Packed:
    """What an attempt's steps became: `content_sha256` is that of the records, one a line."""

    files: tuple[ApiFile, ...]
    rows: int
    content_sha256: str


def pack(attempt: Attempt, target_mb: float) -> Packed:
    """The attempt's records as files of about `target_mb`, still below the attempt. Their lines are counted anew.

    The gzip members of the steps are put behind one another (RFC 1952, 2.2). Raises AssertionFailed for a step whose
    records are not those that were received.
    """
    files: list[ApiFile] = []
    content, rows, paths = hashlib.sha256(), 0, attempt.step_paths()
    while paths:
        with TemporaryFile(prefix="syncer-") as file:
            digest, part_rows = hashlib.sha256(), 0
            while paths and (file.tell() == 0 or file.tell() < target_mb * 1024 * 1024):
                step, packed = attempt.step(paths.pop(0))
                lines = zlib.decompress(packed, wbits=31)
                if lines.count(b"\n") != step.rows:
                    raise AssertionFailed(
                        f"step {step.number} has {lines.count(bytes([10])):,} records, {step.rows:,} were received",
                        table=attempt.place.table,
                        partition=attempt.place.partition,
                        fix="read the partition again with `mode: full`",
                    )
                content.update(lines)
                if lines:
                    digest.update(packed)
                    file.write(packed)
                    part_rows += step.rows
            if part_rows:
                files.append(_put(attempt, len(files), file, part_rows, digest.hexdigest()))
                rows += part_rows
    return Packed(tuple(files), rows, content.hexdigest())


def publish(lake: Lake, place: Place, manifest: ApiManifest) -> int:
    """Give the manifest's files their names; how many had none yet. Another run may do the same at the same time.

    Raises LakeCorrupt if a file is nowhere.
    """
    there = set(lake.paths(place.folder)) if manifest.files else set()
    missing = [file for file in manifest.files if file.path not in there]
    for file in missing:
        part = part_path(place, manifest.attempt, manifest.files.index(file))
        try:
            if part not in there:
                raise LakeCorrupt(
                    f"object {file.path} is missing",
                    table=place.table,
                    partition=place.partition,
                    fix="restore it from a backup, or read the partition again with `mode: full`",
                )
            lake.copy(part, file.path)
        except (LakeCorrupt, ObjectStoreError):
            if file.path not in lake.paths(place.folder):
                raise
    return len(missing)


def part_path(place: Place, attempt: str, number: int) -> str:
    """A packed file before its manifest is there."""
    return f"{attempts_folder(place)}/{attempt}/{number:05d}.part"


def final_path(place: Place, seq: int, number: int) -> str:
    """The same file afterwards."""
    return f"{place.folder}/{seq:08d}-{number:05d}.jsonl.gz"


def same_files(head: ApiManifest | None, packed: Packed) -> Sequence[ApiFile] | None:
    """The files of the manifest before, if they hold just these records; None if they do not."""
    return head.files if head is not None and head.content_sha256 == packed.content_sha256 else None


def _put(attempt: Attempt, number: int, file: BinaryIO, rows: int, sha256: str) -> ApiFile:
    size = file.tell()
    file.seek(0)
    attempt.lake.put_file(part_path(attempt.place, attempt.name, number), file)
    return ApiFile(final_path(attempt.place, attempt.seq, number), rows, size, sha256)
