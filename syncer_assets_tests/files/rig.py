"""Files in a folder, an embedded warehouse, and the load between them; no Dagster."""

import gzip
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from syncer_assets.model.file_pattern import FilePattern
from syncer_assets.model.files import CoreReport, CoreSpec, DocumentId, FileReport, FileSpec
from syncer_assets.model.table import Target
from syncer_assets.sources.json_lines import FileStore, open_store
from syncer_assets.sync.files import load_files, pending_files
from syncer_assets.warehouses.postgres.files import PostgresFiles
from syncer_assets_tests.servers import Database

RAW, REJECTS = Target("analytics", "stg", "members_raw"), "stg.members_rejects"


@dataclass
class Files:
    """Members as JSON lines in a folder. `spec` may be replaced, `written` counts what was put."""

    folder: Path
    database: Database
    spec: FileSpec = field(
        default_factory=lambda: FileSpec("evo", "members", FilePattern("**/*.*"), RAW, DocumentId(("id",)), workers=1)
    )
    written: int = 0

    @property
    def store(self) -> FileStore:
        return open_store(f"file://{self.folder}")

    @property
    def warehouse(self) -> PostgresFiles:
        return PostgresFiles("analytics", self.database.dsn)

    def change(self, **fields: Any) -> None:
        self.spec = replace(self.spec, **fields)

    def put(self, path: str, content: bytes | Iterable[object], modified: float | None = None) -> None:
        """Write a file: bytes as they are, documents as lines; packed by its suffix. Each has a time of its own."""
        self.written += 1
        if not isinstance(content, bytes):
            content = "".join(json.dumps(document) + "\n" for document in content).encode()
            content = gzip.compress(content) if path.endswith(".gz") else content
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        moment = 1_700_000_000 + self.written if modified is None else modified
        os.utime(file, ns=(int(moment * 1e9) + self.written, int(moment * 1e9) + self.written))

    def load(self, **options: Any) -> FileReport:
        return load_files(self.store, self.warehouse, self.spec, **options)

    def pending(self) -> list[str]:
        found = pending_files(self.store, self.warehouse, self.spec)
        return [file.path for partition in found for file in partition.files]

    def load_core(self, core: CoreSpec, *, full: bool = False) -> CoreReport:
        return self.warehouse.load_core(self.spec, core, full=full, run_id="run", emit=lambda event, **fields: None)

    def rows(self) -> dict[str, Any]:
        """Document by id."""
        return dict(self.database.execute("SELECT id, raw_data FROM stg.members_raw"))

    def rejects(self) -> list[tuple[str, int, str]]:
        return self.database.execute(f"SELECT file, line_number, reason FROM {REJECTS} ORDER BY 1, 2")

    def ledger(self) -> dict[str, tuple[int, int, int, int]]:
        """Lines, loaded, rejected, duplicates by path."""
        rows = self.database.execute("SELECT path, lines, loaded, rejected, duplicates FROM _syncer.files")
        return {row[0]: row[1:] for row in rows}
