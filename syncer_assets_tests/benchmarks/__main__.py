"""`make bench`: our engine and its peers in turn on real servers, held against the targets.

`python -m syncer_assets_tests.benchmarks [--scale S] [--runs N] [--only NAME ..] [--no-peers] [--out FOLDER]`
"""

import argparse
import json
import shutil
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from . import files, hops, keyed, load, promises, reconcile, refresh
from .contest import Bench, Outcome, hold
from .data import fill_mariadb, fill_postgres, fill_sparse, first_rows, generate
from .measure import RunFailed
from .runners import tidy
from .servers import Servers, peers_python
from .table import as_json, machine, markdown

ROWS = {
    make.__name__: make
    for make in (
        hops.mysql_to_parquet,
        hops.postgres_to_parquet,
        hops.parquet_to_postgres,
        hops.parquet_to_remote_postgres,
        hops.mysql_to_postgres,
        hops.small_sync,
        promises.merge_unchanged,
        refresh.refresh,
        reconcile.reconcile,
        reconcile.reconcile_differences,
        reconcile.reconcile_mysql,
        reconcile.reconcile_large,
        promises.sparse,
        promises.id_distributions,
        promises.memory,
        promises.memory_mysql,
        files.files,
        files.files_remote,
        files.files_memory,
        files.raw_to_core,
        keyed.keyed_update,
        load.scale_out,
        load.load_many,
        load.load_soak,
    )
}
LARGER = 6


def main() -> None:
    """Writes bench.md and bench.json below --out, and the table to the terminal."""
    asked = _arguments()
    peers = None if asked.no_peers else peers_python().absolute()
    if peers is not None and not peers.exists():
        raise SystemExit(f"{peers} is missing: `make bench` makes it, or give --no-peers")
    shutil.rmtree(asked.out / "runs", ignore_errors=True)
    (asked.out / "runs").mkdir(parents=True)
    outcomes: list[Outcome] = []
    started = time.monotonic()
    with ExitStack() as stack:
        servers = stack.enter_context(Servers(fsync=asked.fsync))
        wanted = [name for name in asked.only or ROWS if servers.mariadb or "mysql" not in name]
        if not servers.mariadb:
            _say("MariaDB is not installed (apt-get install mariadb-server): the rows of MySQL are left out")
        bench = Bench(servers, (asked.out / "runs").resolve(), asked.runs, {}, peers, stack)
        _fill(bench, asked.out.resolve() / "data", asked.scale, wanted)
        for name in wanted:
            _say(f"{name}")
            try:
                outcomes.append(hold(ROWS[name](bench), bench, _say))
            except RunFailed as error:
                _say(f"  cannot be prepared: {error}")
            tidy(bench)
            _write(asked, bench, outcomes, time.monotonic() - started)
    print((asked.out / "bench.md").read_text() if outcomes else "nothing was measured")


def _write(asked: argparse.Namespace, bench: Bench, outcomes: list[Outcome], seconds: float) -> None:
    """After each row, so that a bench that is broken off leaves what it has."""
    settings = {"scale": asked.scale, "runs": asked.runs, "peers": bench.peers is not None, "rows": bench.rows}
    title = (
        f"{asked.runs} runs in turn, {bench.rows['lineitem']:,} rows of lineitem, {machine()}, {seconds:.0f} s in all."
    )
    (asked.out / "bench.md").write_text(markdown(outcomes, title))
    (asked.out / "bench.json").write_text(json.dumps(as_json(outcomes, settings), indent=1))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--scale", type=float, default=1 / LARGER, help="of TPC-H; 1/6 is a million rows of lineitem")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=ROWS, metavar="NAME", help=", ".join(ROWS))
    parser.add_argument("--no-peers", action="store_true", help="only our engine and the servers' own clients")
    parser.add_argument("--fsync", action="store_true", help="PostgreSQL syncs each commit to disk, as in production")
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    return parser.parse_args()


def _fill(bench: Bench, folder: Path, scale: float, wanted: list[str]) -> None:
    """The tables that the wanted rows need, in the servers that need them."""
    _say("making the data")
    csv, rows, mysql = generate(folder, scale), {}, any("mysql" in name for name in wanted)
    rows["lineitem"] = fill_postgres(bench.servers, "lineitem", csv)
    if mysql:
        fill_mariadb(bench.servers, "lineitem", csv)
    if "small_sync" in wanted:
        rows["small"] = fill_postgres(bench.servers, "small", first_rows(csv, hops.SMALL_SYNC_ROWS))
    if "sparse" in wanted:
        rows["sparse"] = fill_sparse(bench.servers)
    if {"memory", "memory_mysql"} & set(wanted):
        csv = generate(folder, LARGER * scale)
        rows["large"] = fill_postgres(bench.servers, "large", csv)
        if "memory_mysql" in wanted:
            fill_mariadb(bench.servers, "large", csv)
    bench.rows = rows


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
