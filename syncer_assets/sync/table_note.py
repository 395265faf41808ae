"""`_table.json` of a table in the lake: how it is cut, and which sources a person has said to be the same."""

import json
from dataclasses import dataclass
from io import BytesIO

from ..model.errors import ConfigError, IdentityChanged
from ..model.manifest import Manifest
from ..model.table import WHERE, TableSpec
from .lake import Lake, Place


@dataclass(frozen=True)
class TableNote:
    """`scheme` is the partition scheme's fingerprint; marks may go over between the `identities`."""

    scheme: str
    identities: tuple[str, ...]

    def to_bytes(self) -> bytes:
        return json.dumps({"version": 1, "scheme": self.scheme, "identities": list(self.identities)}).encode()


def read(lake: Lake, place: Place, spec: TableSpec, identity: str) -> TableNote:
    """The note of a table, written now if this is its first sync."""
    lake.put_if_absent(_path(place), TableNote(spec.scheme, (identity,)).to_bytes())
    body = json.loads(lake.get(_path(place)))
    return TableNote(body["scheme"], tuple(body["identities"]))


def check_scheme(note: TableNote, spec: TableSpec, *, full: bool) -> None:
    """A changed partition scheme would leave rows between old and new partitions, a changed `where` rows of both:
    refused without `full`."""
    if note.scheme != spec.scheme and not full:
        field = "partitions" if note.scheme.partition(WHERE)[0] != spec.partitions.fingerprint() else "where"
        raise ConfigError(
            f"the {'partitions' if field == 'partitions' else 'rows'} changed from {note.scheme} to {spec.scheme}",
            table=spec.table,
            fix=f"restore `{field}`, or read the table anew with `syncer run --full`",
        )


def check_where(head: Manifest | None, spec: TableSpec) -> None:
    """Where one partition was read anew after `where` changed, the others have to be, too."""
    earlier = head.scheme.partition(WHERE)[2] if head else ""
    if head and earlier != (spec.where or ""):
        raise ConfigError(
            f"`where` changed since it was read, from {earlier or 'nothing'} to {spec.where or 'nothing'}",
            table=spec.table,
            partition=head.partition,
            fix="restore it, or read the partition anew with `syncer run --full`",
        )


def belongs(note: TableNote, head: Manifest | None, identity: str) -> bool:
    """True if the marks of `head` may be used against the source `identity`."""
    return head is None or head.source_identity == identity or {head.source_identity, identity} <= set(note.identities)


def check_identity(note: TableNote, head: Manifest | None, identity: str, *, full: bool) -> None:
    """Marks of another source mean nothing here: never silence, never "already loaded"."""
    if not full and not belongs(note, head, identity):
        assert head is not None
        raise IdentityChanged(
            f"the source is another database ({identity}) than the one that was read ({head.source_identity})",
            table=head.table,
            partition=head.partition,
            fix="`syncer run --full` reads it anew; `syncer adopt` says that it is the same data",
        )


def renew_scheme(lake: Lake, place: Place, note: TableNote, spec: TableSpec) -> None:
    """After a full read by a new scheme."""
    if note.scheme != spec.scheme:
        _write(lake, place, TableNote(spec.scheme, note.identities))


def adopt(lake: Lake, place: Place, spec: TableSpec, identity: str, earlier: str) -> None:
    """A person says that two source identities hold the same data."""
    note = read(lake, place, spec, identity)
    _write(lake, place, TableNote(note.scheme, tuple(dict.fromkeys((*note.identities, earlier, identity)))))


def _path(place: Place) -> str:
    return f"{place.table_folder}/_table.json"


def _write(lake: Lake, place: Place, note: TableNote) -> None:
    lake.put_file(_path(place), BytesIO(note.to_bytes()))
