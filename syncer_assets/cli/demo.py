"""`syncer demo`: the whole job on an embedded PostgreSQL, and then the UI on what it made."""

import argparse
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .command import Commands, Outcome, UsageError, subcommand
from .outcomes import RunOutcome, TableOutcome
from .reconcile import body_of, reconcile_tables, show_reconciliations
from .run import report, sync
from .screen import Screen, mark, seconds

if TYPE_CHECKING:
    from ..components.deployment import Deployment
    from ..demo.run import Ceiling, DemoFolder
    from ..demo.shop import Shop
    from .execution import RunOptions

BUSY = "orders"
REVIEWS = "feedback/reviews"


def add(commands: Commands) -> None:
    parser = subcommand(
        commands,
        "demo",
        "sync a demo shop from an embedded PostgreSQL, then serve the UI",
        "Start an embedded PostgreSQL in ./.demo, fill a shop of five tables (3.1 million rows), sync all of it\n"
        "into a lake and a warehouse, read an API's pages into files and these into tables, sync again while orders\n"
        "keep coming, and compare both sides. Then serve Dagster's UI.",
        "examples:\n  syncer demo\n  syncer demo --scale 0.1 --no-ui --json",
    )
    parser.add_argument("--no-ui", action="store_true", help="end after the comparison")
    parser.add_argument("--scale", type=float, default=1.0, metavar="N", help="size of the shop (default: 1)")
    parser.add_argument("--workers", type=int, choices=(1, 2, 4), default=2, help="tables at once (default: 2)")
    parser.add_argument("--port", type=int, default=3000, metavar="P", help="port of the UI (default: 3000)")
    parser.set_defaults(run=run)


@dataclass
class _Demo:
    """What the demo found out, step by step."""

    rounds: dict[str, RunOutcome] = field(default_factory=dict)
    ceiling: "Ceiling | None" = None
    reviews: "_Reviews | None" = None
    comparison: list[dict[str, object]] = field(default_factory=list)
    ok: bool = True


@dataclass(frozen=True)
class _Reviews:
    """How many reviews there are at each step of their way."""

    told_by_api: int
    in_files: int
    in_raw: int
    in_core: int

    @property
    def held(self) -> bool:
        """True if none was lost, and none doubled."""
        return self.told_by_api == self.in_files == self.in_raw == self.in_core > 0


def run(arguments: argparse.Namespace, screen: Screen) -> Outcome:
    """The rounds, the comparison, and unless --no-ui the UI."""
    from ..components.deployment import load_deployment
    from ..demo import FOLDER
    from ..demo.run import open_demo

    if arguments.select:
        raise UsageError("the demo syncs the whole shop", fix="leave --select out; `syncer run` takes it")
    if arguments.scale <= 0:
        raise UsageError("--scale must be above 0", fix="0.1 is a shop of 310,000 rows, 1 one of 3.1 million")
    began = time.monotonic()

    def tell(step: str) -> None:
        screen.line(f"{seconds(time.monotonic() - began):>7}  {step}", style="dim")

    with open_demo(Path(FOLDER), arguments.scale, tell) as (folder, shop):
        demo = _rounds(load_deployment(arguments.defs), shop, arguments, screen)
        took = time.monotonic() - began
        verdict = "all is well" if demo.ok else "something went wrong"
        screen.line(f"{verdict}, in {took:.0f} s", style="bold green" if demo.ok else "bold red")
        _say_where(folder, screen)
        body = _body(demo, took)
        if not arguments.no_ui and demo.ok:
            from .ui import serve

            screen.finish({"ok": demo.ok, **body})
            return Outcome(serve(folder.root, arguments.port, screen), silent=True)
        return Outcome(demo.ok, body)


def _rounds(deployment: "Deployment", shop: "Shop", arguments: argparse.Namespace, screen: Screen) -> _Demo:
    from .execution import RunOptions
    from .work import all_work

    demo, options = _Demo(), RunOptions(verbose=arguments.verbose)
    screen.line("Round 1: everything, from the beginning", style="bold")
    demo.rounds["first"] = sync(deployment, all_work(deployment), options, arguments.workers, screen)
    report(demo.rounds["first"], screen)
    demo.reviews = _reviews(demo.rounds["first"])
    _say_reviews(demo.reviews, screen)
    screen.line("Round 2: what is new, while a thousand orders a second keep coming", style="bold")
    demo.rounds["busy"], demo.ceiling = _busy_round(deployment, shop, options, screen)
    report(demo.rounds["busy"], screen)
    _say_ceiling(demo.ceiling, screen)
    screen.line()
    screen.line("Round 3: the orders that came meanwhile", style="bold")
    demo.rounds["quiet"] = sync(deployment, deployment.select([BUSY]), options, 1, screen)
    report(demo.rounds["quiet"], screen)
    screen.line("Source and warehouse, row by row", style="bold")
    found, errors = reconcile_tables(deployment, deployment.tables)
    show_reconciliations(found, screen)
    for error in errors:
        screen.problem(error)
    demo.comparison = [body_of(title, each) for title, each in found.items()]
    equal = all(each.equal and not each.before.rows_pending for each in found.values())
    demo.ok = equal and not errors and demo.ceiling.held and demo.reviews.held
    demo.ok &= all(each.ok for each in demo.rounds.values())
    return demo


def _reviews(outcome: RunOutcome) -> _Reviews:
    assets = [asset for table in outcome.tables for asset in table.assets if asset.key.endswith(f"/{REVIEWS}")]

    def total(place: str, name: str) -> int:
        return sum(int(asset.number(name)) for asset in assets if asset.key == f"{place}/{REVIEWS}")

    return _Reviews(total("api", "total"), total("api", "rows"), total("raw", "rows"), total("core", "rows_in_core"))


def _say_reviews(reviews: _Reviews, screen: Screen) -> None:
    sign, style = ("✓", "green") if reviews.held else ("✗", "bold red")
    screen.line(
        f"{sign} the API tells of {reviews.told_by_api:,} reviews: {reviews.in_files:,} are in files, "
        f"{reviews.in_raw:,} in stg.reviews_raw, {reviews.in_core:,} in core.reviews",
        style=style,
    )
    screen.line()


def _busy_round(
    deployment: "Deployment", shop: "Shop", options: "RunOptions", screen: Screen
) -> "tuple[RunOutcome, Ceiling]":
    """Sync the busy table alone: its ceiling is fixed at the start, so that it ends however many rows come."""
    from ..demo.run import Ceiling, busy_orders, rows_above

    tables = deployment.select([BUSY])
    with busy_orders(shop) as writer:
        before = writer.inserted
        outcome = sync(deployment, tables, options, 1, screen)
        meanwhile, busy = writer.inserted - before, writer.running
        lake = [asset for asset in outcome.tables[0].assets if asset.key.startswith("lake/")]
        ceiling = str(lake[-1].metadata.get("ceiling", "")) if lake else ""
        above = rows_above(shop.shop_dsn, ceiling) if ceiling else 0
    return outcome, Ceiling(ceiling, int(outcome.tables[0].total("rows", "lake")), meanwhile, above, busy)


def _say_ceiling(ceiling: "Ceiling", screen: Screen) -> None:
    sign, style = ("✓", "green") if ceiling.held else ("✗", "bold red")
    screen.line(
        f"{sign} it ended at its ceiling {mark(ceiling.ceiling)}: {ceiling.rows_committed_meanwhile:,} orders came "
        f"while it ran, {ceiling.rows_above:,} lie above it and come with the next sync",
        style=style,
    )


def _say_where(folder: "DemoFolder", screen: Screen) -> None:
    screen.line(f"lake {folder.lake}, runs and checks {folder.home}", style="dim")


def _body(demo: _Demo, took: float) -> dict[str, object]:
    return {
        "seconds": round(took, 1),
        "tables": [_summary(table) for table in demo.rounds["first"].tables],
        "rounds": {name: outcome.to_json() for name, outcome in demo.rounds.items()},
        "ceiling": {**asdict(demo.ceiling), "held": demo.ceiling.held} if demo.ceiling else None,
        "reviews": {**asdict(demo.reviews), "held": demo.reviews.held} if demo.reviews else None,
        "comparison": demo.comparison,
    }


def _summary(table: TableOutcome) -> dict[str, object]:
    rows = table.read("rows")
    return {
        "table": table.table,
        "partitions": table.partitions,
        "rows": rows,
        "files": table.read("files"),
        "queries": table.read("queries") or table.read("requests"),
        "seconds": table.seconds,
        "rows_per_second": round(rows / table.seconds) if table.seconds else 0,
        "checks": {"passed": sum(check.passed for check in table.checks), "made": len(table.checks)},
        "ok": table.ok,
    }
