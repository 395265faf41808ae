"""Reads one partition of an endpoint into files: pages, steps, proof, manifest, names (docs/apis.md)."""

import gzip
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

from ... import __version__
from ...model.api import Api, ApiManifest, ApiReport, Endpoint
from ...model.errors import AssertionFailed, LakeCorrupt
from ...model.report import CheckResult, Emit, silent
from ...sources.rest import ApiError, Client, RateLimiter, ids_of
from ..lake import Lake, Place, lost_race
from ..progress import Progress, ProgressMeter, peak_memory_mb
from .attempt import Attempt, has_attempts, open_attempt, remove_attempts
from .fetch import Fetcher
from .files import Packed, pack, publish, same_files
from .streams import Reading, Stream, open_streams
from .verdict import Verdict, judge

Mode = Literal["auto", "continue", "full"]

READS_MOST = 3
"""How often a list that changes under the pages is read, in all."""
EXPIRED = (400, 404, 410, 422)
"""What APIs answer to a cursor that they know no longer."""


def extract_pages(
    lake: Lake,
    api: Api,
    endpoint: Endpoint,
    partition: str,
    *,
    base_url: str,
    secrets: Mapping[str, str],
    run_id: str,
    mode: Mode = "auto",
    asked_by_person: bool = False,
    emit: Emit = silent,
    progress: Callable[[Progress], None] | None = None,
) -> ApiReport:
    """Read a partition, unless it is closed and nobody asked. `lake` is the store of the files, `full` reads afresh.

    Raises ApiError, ConfigError, ObjectStoreError, LakeCorrupt, LostRace, and AssertionFailed where the list is not
    whole; nothing is committed then, and what was received of a page is gone on with by the next run.
    """
    started = time.monotonic()
    place = Place(api.name, endpoint.entity, partition)
    endpoint.span(partition)
    head = head_of(lake, place)
    is_whole = head is None or _make_good(lake, place, head, mode, emit)
    report = ApiReport(endpoint.entity, partition, uri=lake.uri(place), seq=head.seq if head else 0)
    if (
        head is not None
        and is_closed(endpoint, head)
        and (mode == "continue" or (mode == "auto" and not asked_by_person))
    ):
        return replace(_of_head(report, head), closed=True, unchanged=True)
    client = Client(api, base_url, secrets)
    try:
        fetcher = Fetcher(client, endpoint, RateLimiter(api.limits.requests_per_second), api.page_backoff)
        attempt, verdict = _read(lake, place, fetcher, report, mode, emit, progress)
    except ApiError as error:
        raise error.at(endpoint.entity, partition) from None
    finally:
        client.close()
    report.requests, report.retries = fetcher.requests, fetcher.retries
    packed = _packed(attempt, endpoint, verdict)
    manifest = _commit(attempt, head if is_whole else None, packed, verdict, report, run_id)
    publish(lake, place, manifest)
    remove_attempts(lake, place, upto=manifest.seq)
    report.seconds = round(time.monotonic() - started, 3)
    report.peak_memory_mb = peak_memory_mb()
    report = replace(_of_head(report, manifest), closed=is_closed(endpoint, manifest))
    report.checks = _checks(report, verdict)
    emit(
        "pages committed", rows=report.rows, pages=report.pages, files=report.files, seq=report.seq, total=report.total
    )
    return report


def head_of(lake: Lake, place: Place) -> ApiManifest | None:
    """The last manifest of a partition, or None."""
    last = max(lake.seqs(place), default=0)
    return manifest_at(lake, place, last) if last else None


def manifest_at(lake: Lake, place: Place, seq: int) -> ApiManifest:
    """One manifest of a partition. Raises LakeCorrupt."""
    path = place.manifest(seq)
    return ApiManifest.from_bytes(lake.get(path), path)


def is_closed(endpoint: Endpoint, head: ApiManifest) -> bool:
    """Whether a partition was read late enough after its end for it to be final."""
    span = endpoint.span(head.partition)
    return (
        span is not None and head.fingerprint == endpoint.fingerprint and head.captured_at >= span.end + endpoint.late
    )


def due_partitions(lake: Lake, source: str, endpoint: Endpoint, now: datetime | None = None) -> list[str]:
    """The partitions up to now that are not closed, or that a run which was killed has left half done."""
    there = set(lake.partitions(source, endpoint.entity))
    due = []
    for key in endpoint.partitions.keys(None, now or datetime.now(UTC)):
        head = head_of(lake, Place(source, endpoint.entity, key)) if key in there else None
        if head is None or not is_closed(endpoint, head) or _is_half_done(lake, head):
            due.append(key)
    return due


def _make_good(lake: Lake, place: Place, head: ApiManifest, mode: Mode, emit: Emit) -> bool:
    """Do what a run that was killed after its manifest had left. False if files are gone, which `full` reads anew."""
    try:
        if files := publish(lake, place, head):
            emit("files named that a killed run had committed", files=files, seq=head.seq)
    except LakeCorrupt as error:
        if mode != "full":
            raise
        emit("files of an earlier read are gone", why=error.message)
        return False
    remove_attempts(lake, place, upto=head.seq)
    return True


def _is_half_done(lake: Lake, head: ApiManifest) -> bool:
    return has_attempts(lake, Place(head.source, head.entity, head.partition), upto=head.seq)


def _read(
    lake: Lake,
    place: Place,
    fetcher: Fetcher,
    report: ApiReport,
    mode: Mode,
    emit: Emit,
    progress: Callable[[Progress], None] | None,
) -> tuple[Attempt, Verdict]:
    """An attempt that was read to the end, as often as it takes for the list to keep still."""
    endpoint, seq = fetcher.endpoint, report.seq + 1
    afresh = mode == "full"
    while True:
        attempt = open_attempt(lake, place, seq, endpoint, afresh=afresh)
        streams = open_streams(endpoint, place.partition)
        if attempt.resumed:
            report.pages_resumed = _resume(attempt, endpoint, streams)
            emit("pages of an earlier run found", pages=report.pages_resumed, started_at=attempt.started_at.isoformat())
        reading = _reading(fetcher, attempt, streams, emit, progress)
        try:
            reading.run()
        except ApiError as error:
            if not (attempt.resumed and error.code in EXPIRED):
                raise
            emit("cursor of an earlier run expired", status=error.code)
            afresh, report.pages_resumed = True, 0
            fetcher.limiter = RateLimiter(fetcher.client.api.limits.requests_per_second)
            continue
        report.bytes_received += reading.bytes_received
        report.pages = reading.pages
        verdict = judge(endpoint, streams)
        if verdict.complete or not verdict.may_help or report.attempts >= READS_MOST:
            return _accepted(endpoint, place, attempt, verdict), verdict
        emit("list changed while it was read", why=verdict.description, read=report.attempts)
        report.attempts, report.pages_resumed, afresh = report.attempts + 1, 0, True


def _resume(attempt: Attempt, endpoint: Endpoint, streams: list[Stream]) -> int:
    """Bring the streams to where the attempt's steps end; the pages that need not be read again."""
    for path in attempt.step_paths():
        step, packed = attempt.step(path)
        streams[step.span].resume(step, ids_of(gzip.decompress(packed), endpoint) if endpoint.id else [])
    return sum(stream.pages for stream in streams)


def _reading(
    fetcher: Fetcher,
    attempt: Attempt,
    streams: list[Stream],
    emit: Emit,
    progress: Callable[[Progress], None] | None,
) -> Reading:
    meter = ProgressMeter(progress, None, None)

    def told(reading: Reading) -> None:
        emit("pages read", pages=reading.pages, rows=reading.rows, total=reading.total, retries=fetcher.retries)
        meter.at(reading.rows, reading.total or 0)

    limits = fetcher.client.api.limits
    return Reading(fetcher, fetcher.endpoint, attempt, streams, limits.concurrency, limits.pages, told)


def _accepted(endpoint: Endpoint, place: Place, attempt: Attempt, verdict: Verdict) -> Attempt:
    if not verdict.complete and endpoint.unstable == "fail":
        attempt.remove()
        raise AssertionFailed(
            f"the list is not whole: {verdict.description}; nothing was committed",
            table=place.table,
            partition=place.partition,
            fix="read a span that is over (`partitions`), use a cursor if the API has one, or `unstable: warn`",
        )
    return attempt


def _packed(attempt: Attempt, endpoint: Endpoint, verdict: Verdict) -> Packed:
    """The files, with as many records as were received. Another run that won the number has removed the steps."""
    place = attempt.place
    try:
        packed = pack(attempt, endpoint.target_mb)
        if packed.rows != verdict.rows:
            raise AssertionFailed(
                f"{packed.rows:,} records were written, {verdict.rows:,} received; nothing was committed",
                table=place.table,
                partition=place.partition,
                fix="read the partition again with `mode: full`",
            )
    except (AssertionFailed, LakeCorrupt):
        if attempt.is_overtaken:
            attempt.remove()
            raise lost_race(place, attempt.seq) from None
        raise
    return packed


def _commit(
    attempt: Attempt,
    head: ApiManifest | None,
    packed: Packed,
    verdict: Verdict,
    report: ApiReport,
    run_id: str,
) -> ApiManifest:
    """Put the manifest: the one commit point. Raises LostRace if another run has its number."""
    place, same = attempt.place, same_files(head, packed)
    report.unchanged = same is not None
    manifest = ApiManifest(
        seq=attempt.seq,
        source=place.source,
        entity=place.table,
        partition=place.partition,
        attempt=attempt.name,
        captured_at=attempt.started_at,
        files=tuple(packed.files if same is None else same),
        rows=packed.rows,
        pages=report.pages,
        duplicates=verdict.duplicates,
        total=verdict.total,
        complete=verdict.complete,
        content_sha256=packed.content_sha256,
        fingerprint=attempt.fingerprint,
        run_id=run_id,
        code_version=__version__,
    )
    path, body = place.manifest(attempt.seq), manifest.to_bytes()
    if not attempt.lake.put_if_absent(path, body) and attempt.lake.get(path) != body:
        attempt.remove()
        raise lost_race(place, attempt.seq)
    return manifest


def _of_head(report: ApiReport, manifest: ApiManifest) -> ApiReport:
    return replace(
        report,
        rows=manifest.rows,
        pages=manifest.pages,
        files=len(manifest.files),
        bytes=sum(file.bytes for file in manifest.files),
        total=manifest.total,
        duplicates=manifest.duplicates,
        seq=manifest.seq,
    )


def _checks(report: ApiReport, verdict: Verdict) -> list[CheckResult]:
    counted = f"{report.rows:,} records were received on {report.pages:,} pages, and are in {report.files:,} files"
    numbers = {"rows": report.rows, "total": verdict.total, "duplicates": verdict.duplicates}
    return [
        CheckResult("row_count", True, description=counted, metadata={"rows": report.rows, "pages": report.pages}),
        CheckResult(
            "complete",
            verdict.complete,
            severity="WARN",  # an incomplete list that was committed is one with `unstable: warn`
            description=verdict.description,
            metadata={name: number for name, number in numbers.items() if number is not None},
        ),
    ]
