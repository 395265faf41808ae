"""The manifest: the JSON object that commits a sync to the lake (DESIGN 6)."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from .capture import Capture
from .columns import Column
from .errors import LakeCorrupt
from .marks import CursorColumn, Mark, decode, encode

VERSION = 1
ManifestMode = Literal["append", "replace", "repair"]


@dataclass(frozen=True)
class DataFile:
    """A Parquet file of a manifest. `path` is relative to the lake's root; `min` and `max` are encoded cursor values.

    A provisional file holds rows above `safe`, which the next manifest of the partition brings again. While a writer
    pins `safe` for longer than the limit, it names the file itself again: `carried_from` is the manifest that read it,
    `captured_at` when.
    """

    path: str
    rows: int
    bytes: int
    sha256: str
    min: str | None = None
    max: str | None = None
    provisional: bool = False
    carried_from: int | None = None
    captured_at: str | None = None

    def to_json(self) -> dict[str, object]:
        row: dict[str, object] = {
            "path": self.path,
            "rows": self.rows,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "min": self.min,
            "max": self.max,
            "provisional": self.provisional,
        }
        if self.carried_from is not None:
            row |= {"carried_from": self.carried_from, "captured_at": self.captured_at}
        return row


@dataclass(frozen=True)
class Manifest:
    """What one commit brought: the rows of the window `(low, high]`, final up to `safe`, stamped `captured_at`.

    `order` are the order columns that the marks are prefixes of; `scheme` is the partition scheme's fingerprint.
    `deletes` are files of keys whose rows are gone at the source, with the `_syncer_captured_at` of the target's row
    that was judged: see `LoadPlan`. Only a `repair` has them.
    """

    seq: int
    mode: ManifestMode
    source: str
    engine: str
    source_identity: str
    table: str
    partition: str
    low: Mark | None
    safe: Mark | None
    high: Mark | None
    proof: str
    captures: tuple[Capture, ...]
    captured_at: datetime
    key: tuple[str, ...]
    cursor: tuple[str, ...]
    order: tuple[CursorColumn, ...]
    columns: tuple[Column, ...]
    files: tuple[DataFile, ...]
    rows: int
    scheme: str
    closed: bool = False
    run_id: str = ""
    code_version: str = ""
    metrics: tuple[tuple[str, float], ...] = ()
    deletes: tuple[DataFile, ...] = ()

    def to_bytes(self) -> bytes:
        """The object's body; equal manifests have equal bytes, so a lost reply is recognised by its hash."""
        body: dict[str, object] = {
            "version": VERSION,
            "seq": self.seq,
            "mode": self.mode,
            "source": self.source,
            "engine": self.engine,
            "source_identity": self.source_identity,
            "table": self.table,
            "partition": self.partition,
            "low": encode(self.low),
            "safe": encode(self.safe),
            "high": encode(self.high),
            "proof": self.proof,
            "captures": [capture.to_json() for capture in self.captures],
            "captured_at": self.captured_at.isoformat(timespec="microseconds"),
            "key": list(self.key),
            "cursor": list(self.cursor),
            "order": [{"name": column.name, "kind": column.kind} for column in self.order],
            "columns": [column.to_json() for column in self.columns],
            "files": [file.to_json() for file in self.files],
            "rows": self.rows,
            "scheme": self.scheme,
            "closed": self.closed,
            "run_id": self.run_id,
            "code_version": self.code_version,
            "metrics": dict(self.metrics),
        }
        if self.deletes:
            body["deletes"] = [file.to_json() for file in self.deletes]
        return json.dumps(body, ensure_ascii=False, indent=1).encode()

    @property
    def sha256(self) -> str:
        """The hash of the object's body, kept in the ledger."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @classmethod
    def from_bytes(cls, body: bytes, path: str) -> "Manifest":
        """The inverse of `to_bytes`. Raises LakeCorrupt where the object is no manifest of a known version."""
        try:
            row = json.loads(body)
            if row["version"] != VERSION:
                raise LakeCorrupt(f"manifest {path} has version {row['version']}", fix="use the release that wrote it")
            order = tuple(CursorColumn(**column) for column in row["order"])
            return cls(
                seq=row["seq"],
                mode=row["mode"],
                source=row["source"],
                engine=row["engine"],
                source_identity=row["source_identity"],
                table=row["table"],
                partition=row["partition"],
                low=decode(row["low"], order),
                safe=decode(row["safe"], order),
                high=decode(row["high"], order),
                proof=row["proof"],
                captures=tuple(Capture.from_json(capture, order) for capture in row["captures"]),
                captured_at=datetime.fromisoformat(row["captured_at"]),
                key=tuple(row["key"]),
                cursor=tuple(row["cursor"]),
                order=order,
                columns=tuple(Column.from_json(column) for column in row["columns"]),
                files=tuple(DataFile(**file) for file in row["files"]),
                rows=row["rows"],
                scheme=row["scheme"],
                closed=row["closed"],
                run_id=row["run_id"],
                code_version=row["code_version"],
                metrics=tuple(row["metrics"].items()),
                deletes=tuple(DataFile(**file) for file in row.get("deletes", ())),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise LakeCorrupt(
                f"manifest {path} cannot be read ({type(error).__name__})", fix="restore the object from a backup"
            ) from None
