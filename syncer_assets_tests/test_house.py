"""The house: data flows one way, the engine knows no Dagster, and the code location imports fast."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "syncer_assets"

FLOORS = {
    "model": set(),
    "drivers": {"model"},
    "sources": {"model", "drivers"},
    "warehouses": {"model", "drivers"},
    "sync": {"model", "sources", "warehouses"},
    "resources": {"model", "sync", "sources", "warehouses"},
    "assets": {"model", "sync", "sources", "warehouses", "resources"},
    "components": {"model", "sync", "sources", "warehouses", "resources", "assets"},
    "scale": {"model", "components"},
}
"""Which rooms a room may use (DESIGN 3): definitions -> components -> assets -> sync -> sources | warehouses."""

NO_DAGSTER = ("model", "drivers", "sources", "warehouses", "sync")
HEAVY = {
    "boto3",
    "duckdb",
    "httpx",
    "obstore",
    "pandas",
    "pgpq",
    "polars",
    "psycopg",
    "pymysql",
    "snowflake.connector",
    "dagster_snowflake",
}
IMPORT_SECONDS_MOST = 4.0


def imports_of(path: Path) -> set[str]:
    """The modules that a file imports anywhere, ours as `syncer_assets.room...`."""
    found: set[str] = set()
    parts = ("syncer_assets", *path.relative_to(PACKAGE).with_suffix("").parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(parts[: len(parts) - node.level]) if node.level else ""
            name = ".".join(part for part in (base, node.module) if part)
            found |= {name, *(f"{name}.{alias.name}" for alias in node.names)}
    return found


def rooms(imports: set[str]) -> set[str]:
    return {name.split(".")[1] for name in imports if name.startswith("syncer_assets.") and name.count(".")} & set(
        FLOORS
    )


@pytest.mark.parametrize("room", FLOORS)
def test_data_flows_one_way(room: str) -> None:
    for path in sorted((PACKAGE / room).rglob("*.py")):
        upward = rooms(imports_of(path)) - FLOORS[room] - {room}
        assert not upward, f"{path.relative_to(PACKAGE)} reaches up into {sorted(upward)}"


@pytest.mark.parametrize("room", NO_DAGSTER)
def test_the_engine_imports_no_dagster(room: str) -> None:
    for path in sorted((PACKAGE / room).rglob("*.py")):
        dagster = {name for name in imports_of(path) if name.split(".")[0].startswith("dagster")}
        assert not dagster, f"{path.relative_to(PACKAGE)} imports {sorted(dagster)}"


def test_the_engine_works_where_dagster_is_not_installed() -> None:
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0].startswith('dagster'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import syncer_assets.sync, syncer_assets.sources.registry, syncer_assets.warehouses.registry\n"
        "import syncer_assets.warehouses.postgres, syncer_assets.sources.postgres, syncer_assets.sources.mysql\n"
        "assert not any(name.startswith('dagster') for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=200)


def test_no_private_dagster_module_is_used() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        private = {name for name in imports_of(path) if name.startswith("dagster.") and "._" in name}
        assert not private, f"{path.relative_to(PACKAGE)} imports {sorted(private)}"


def test_the_definitions_load_fast_and_import_nothing_heavy() -> None:
    code = (
        "import sys, time\n"
        "started = time.process_time()\n"
        "from syncer_assets.definitions import defs\n"
        "loaded = defs() if callable(defs) else defs\n"
        "print(time.process_time() - started, ','.join(sorted(sys.modules)))\n"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120).stdout
    seconds, modules = out.splitlines()[-1].split(" ", 1)
    assert float(seconds) < IMPORT_SECONDS_MOST
    assert not HEAVY & set(modules.split(","))
