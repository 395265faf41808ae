"""`python -m syncer_assets_tests.audit`: whether a pinned dependency has a known vulnerability, as `make lint` asks.

Ends with 1 where one has, unless IGNORED gives the reason why that is no danger here. Where the index does not answer
within SECONDS, or knows nothing of vulnerabilities, it says "not audited" and ends with 0: lint needs no network.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
SECONDS = 30
PROBE = "dagster=="
"""One package is asked for first, so that a mirror that knows nothing is not asked for all of them."""

IGNORED: Mapping[str, str] = {}
"""Identifiers of vulnerabilities, each with the reason why it is no danger here."""


@dataclass(frozen=True)
class Verdict:
    """`lines` say what was found; `passed` is false where something has to be done."""

    passed: bool
    lines: tuple[str, ...]


class NotAudited(Exception):
    """Why nothing is known."""


def main() -> int:
    """Print the verdict; 0 if nothing has to be done."""
    pinned = [line for line in CONSTRAINTS.read_text().splitlines() if "==" in line and not line.startswith("#")]
    try:
        known = asked([line for line in pinned if line.startswith(PROBE)])
        if not audited(known):
            raise NotAudited("the index does not tell of vulnerabilities")
        verdict = judged(asked(pinned), IGNORED)
    except NotAudited as why:
        print(f"dependencies: not audited: {why}")
        return 0
    print("\n".join(verdict.lines))
    return 0 if verdict.passed else 1


def asked(pinned: list[str], seconds: float = SECONDS) -> dict:
    """What pip-audit says of these packages. Raises NotAudited where it gets no answer."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
        requirements.write("\n".join(pinned))
        requirements.flush()
        arguments = ["--requirement", requirements.name, "--no-deps", "--disable-pip", "--progress-spinner", "off"]
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pip_audit", *arguments, "--format", "json"],
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise NotAudited(f"no answer within {seconds:g} s") from None
    if "No module named" in done.stderr:
        raise NotAudited("pip-audit is not installed: make setup")
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        raise NotAudited("no network") from None


def audited(report: Mapping) -> list[dict]:
    """The packages of which the index knows something."""
    return [package for package in report["dependencies"] if "vulns" in package]


def judged(report: Mapping, ignored: Mapping[str, str]) -> Verdict:
    """What has to be done about a report of pip-audit."""
    lines, open_ones, seen = [], 0, set()
    for package in audited(report):
        for found in package["vulns"]:
            names = {found["id"], *found.get("aliases", ())}
            seen |= names
            reason = next((ignored[name] for name in names if name in ignored), None)
            fixed = f"fixed in {', '.join(found['fix_versions'])}" if found.get("fix_versions") else "no fix yet"
            open_ones += reason is None
            told = f"{package['name']} {package['version']}: {found['id']} ({fixed})"
            lines.append(f"{told}: ignored: {reason}" if reason else f"{told}: raise it, or give a reason in IGNORED")
    lines += [f"{name} is in IGNORED, and is found no more: remove it" for name in ignored if name not in seen]
    unknown = len(report["dependencies"]) - len(audited(report))
    told = f"{len(audited(report))} dependencies audited, {open_ones} vulnerabilities to see to"
    lines.append(f"{told}; {unknown} that the index does not know" if unknown else told)
    return Verdict(not open_ones, tuple(lines))


if __name__ == "__main__":
    sys.exit(main())
