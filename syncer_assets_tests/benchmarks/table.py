"""What was measured as Markdown and as JSON."""

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import psutil

from .contest import Outcome, Result

MEASURED = {True: "met", False: "missed", None: "not measured"}


def markdown(outcomes: Sequence[Outcome], title: str) -> str:
    """The targets first, then each contest's runs."""
    lines = [title, "", "| row | target | measured | |", "|---|---|---|---|"]
    for outcome in outcomes:
        lines += [
            f"| {outcome.contest.title} | {verdict.target} | {verdict.measured} | {MEASURED[verdict.met]} |"
            for verdict in outcome.verdicts
        ]
    for outcome in outcomes:
        lines += ["", f"**{outcome.contest.title}**" + (f" ({outcome.contest.note})" if outcome.contest.note else "")]
        columns = outcome.contest.columns
        titles = "".join(f" {name.replace('_', ' ')} |" for name in columns)
        lines += [
            "",
            "| | rows | wall s (min) | rows/s | client CPU s | server CPU s | peak MB | longest query s |" + titles,
            "|---|--:|--:|--:|--:|--:|--:|--:|" + "--:|" * len(columns),
        ]
        lines += [_line(result, columns) for result in outcome.results.values()]
    return "\n".join(lines) + "\n"


def as_json(outcomes: Sequence[Outcome], settings: dict[str, Any]) -> dict[str, Any]:
    """Every run of every contestant."""
    return {
        "settings": settings,
        "machine": machine(),
        "rows": [
            {
                "name": outcome.contest.name,
                "title": outcome.contest.title,
                "verdicts": [asdict(verdict) for verdict in outcome.verdicts],
                "results": [
                    {"name": result.name, "rows": result.rows, "failed": result.failed}
                    | {"samples": [asdict(sample) for sample in result.samples]}
                    for result in outcome.results.values()
                ],
            }
            for outcome in outcomes
        ],
    }


def machine() -> str:
    """The class of this machine, in general words."""
    memory = psutil.virtual_memory().total / 2**30
    return f"{os.cpu_count()} cores {platform.machine()}, {memory:.0f} GB"


def _line(result: Result, columns: Sequence[str]) -> str:
    name = f"{result.name} (limit)" if result.limit else result.name
    if not result.samples:
        return f"| {name} | {result.rows:,} | failed: {result.failed.replace('|', '/')[:120]} | | | | | |" + " |" * len(
            columns
        )
    wall = f"{result.median('wall_seconds'):.2f} ({result.least('wall_seconds'):.2f})"
    return (
        f"| {name} | {result.rows:,} | {wall} | {result.rows_per_second:,.0f}"
        f" | {result.median('client_cpu_seconds'):.2f} | {result.median('server_cpu_seconds'):.2f}"
        f" | {result.most('peak_mb'):.0f} | {result.most('longest_query_seconds'):.2f} |"
        + "".join(f" {_fact(statistics.median(sample.facts[name] for sample in result.samples))} |" for name in columns)
    )


def _fact(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.3g}"
