"""Our side of a benchmark: the real engine with its default settings, as a process. Prints its reports as JSON.

`python -m syncer_assets_tests.benchmarks.ours extract|load|sync|reread|reconcile --table T --lake URL [--engine E]`;
the DSNs are in $BENCH_SOURCE_DSN and $BENCH_WAREHOUSE_DSN.
"""

import argparse
import json
import os
from dataclasses import asdict, replace
from typing import Any

from syncer_assets.model.report import LoadReport, SyncReport
from syncer_assets.model.table import TableSpec, Target
from syncer_assets.sources.registry import open_source
from syncer_assets.sync import extract, load
from syncer_assets.sync.lake import Lake, open_lake
from syncer_assets.warehouses.registry import open_warehouse

TARGET_SCHEMA = "ours"


def main() -> None:
    """`sync` extracts and loads; `reread` does so again with every row read anew."""
    parser = argparse.ArgumentParser()
    parser.add_argument("job", choices=("extract", "load", "sync", "reread", "reconcile"))
    parser.add_argument("--repair", action="store_true", help="reconcile: what differs")
    parser.add_argument("--engine", default="postgres")
    parser.add_argument("--table", required=True)
    parser.add_argument("--lake", required=True)
    asked = parser.parse_args()
    table = asked.table if asked.engine == "postgres" else asked.table.rpartition(".")[2]
    spec = TableSpec(source="bench", table=table, key=("id",), cursor=("id",))
    lake = open_lake(asked.lake)
    if asked.job == "reconcile":
        print(json.dumps({"reconcile": _reconcile(asked, replace(spec, deletes="hard"), lake)}))
        return
    facts: dict[str, dict[str, Any]] = {}
    if asked.job != "load":
        source = open_source("bench", asked.engine, os.environ["BENCH_SOURCE_DSN"])
        report = extract(source, lake, spec, mode="full" if asked.job == "reread" else "auto")
        source.close()
        facts["extract"] = _plain(report)
    if asked.job != "extract":
        warehouse = open_warehouse("bench", "postgres", os.environ["BENCH_WAREHOUSE_DSN"])
        report = load(lake, warehouse, spec, Target("bench", TARGET_SCHEMA, spec.name))
        warehouse.close()
        facts["load"] = _plain(report)
    if red := [check for part in facts.values() for check in part["red"]]:
        raise SystemExit(f"checks failed: {red}")
    print(json.dumps(facts))


def _reconcile(asked: argparse.Namespace, spec: TableSpec, lake: Lake) -> dict[str, Any]:
    from syncer_assets.sync.reconcile import reconcile  # it imports polars, which no other job needs

    source = open_source("bench", asked.engine, os.environ["BENCH_SOURCE_DSN"])
    warehouse = open_warehouse("bench", "postgres", os.environ["BENCH_WAREHOUSE_DSN"])
    target = Target("bench", TARGET_SCHEMA, spec.name)
    done = reconcile(source, warehouse, spec, target, lake=lake if asked.repair else None)
    source.close()
    warehouse.close()
    left = done.result.rows_missing + done.result.rows_changed + done.result.rows_extra
    return asdict(done.before) | {"left": left, "rows_repaired": done.rows_repaired, "rows_deleted": done.rows_deleted}


def _plain(report: SyncReport | LoadReport) -> dict[str, Any]:
    numbers = {name: value for name, value in vars(report).items() if isinstance(value, int | float | str)}
    return numbers | {"red": [check.name for check in report.checks if not check.passed and check.severity == "ERROR"]}


if __name__ == "__main__":
    main()
