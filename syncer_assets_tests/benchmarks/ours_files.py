"""Our side of the rows about files: `ours_files raw|core FOLDER [--workers N]`, DSN in $BENCH_WAREHOUSE_DSN.

`core` makes the core table of a raw one that is loaded already.
"""

import argparse
import json
import os

from syncer_assets.model.file_pattern import FilePattern
from syncer_assets.model.files import CoreColumn, CoreSpec, DocumentId, FileSpec
from syncer_assets.model.table import Target
from syncer_assets.sources.json_lines import open_store
from syncer_assets.sync.files import load_files
from syncer_assets.sync.progress import peak_memory_mb
from syncer_assets.warehouses.registry import open_file_warehouse

RAW, CORE = Target("bench", "ours", "members_raw"), Target("bench", "ours", "members")
COLUMNS = (
    CoreColumn("branch_id", ("idBranch",), "integer", required=True),
    CoreColumn("first_name", ("firstName",), "text"),
    CoreColumn("last_name", ("lastName",), "text"),
    CoreColumn("email", ("email",), "text"),
    CoreColumn("registered_at", ("registerDate",), "timestamp"),
    CoreColumn("status", ("status",), "text"),
    CoreColumn("balance", ("balance",), "numeric(12,2)"),
    CoreColumn("zip", ("address", "zip"), "text"),
)


def main() -> None:
    """Prints the report as JSON; a check that failed is a failed run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("job", choices=("raw", "core"))
    parser.add_argument("folder")
    parser.add_argument("--workers", type=int, default=FileSpec.workers)
    asked = parser.parse_args()
    pattern = FilePattern("*.jsonl.gz")
    spec = FileSpec("bench", "members", pattern, RAW, DocumentId(("id",)), workers=asked.workers)
    warehouse = open_file_warehouse("bench", "postgres", os.environ["BENCH_WAREHOUSE_DSN"])
    if asked.job == "raw":
        report = load_files(open_store(f"file://{asked.folder}"), warehouse, spec)
    else:
        core = CoreSpec(CORE, COLUMNS)
        report = warehouse.load_core(spec, core, full=False, run_id="bench", emit=lambda event, **fields: None)
    if red := [check.name for check in report.checks if not check.passed]:
        raise SystemExit(f"checks failed: {red}")
    facts = {name: value for name, value in vars(report).items() if isinstance(value, int | float | str)}
    print(json.dumps(facts | {"peak_memory_mb": peak_memory_mb()}))


if __name__ == "__main__":
    main()
