"""The demo of the doubles, at a scale at which it ends in seconds: two rounds over a lake in S3, tables equal."""

from pathlib import Path

import pytest

from syncer_assets.components.deployment import load_deployment
from syncer_assets.demo.server import EmbeddedPostgres
from syncer_assets.demo.shop import fill
from syncer_assets_tests.doubles.demo import DOUBLES, deploy, run
from syncer_assets_tests.servers import Bucket, Database


@pytest.mark.parametrize(
    ("warehouse", "options"),
    [("redshift", ", options: {iam_role: default}"), ("snowflake", ", options: {stage: A.PUBLIC.LAKE}")],
)
def test_its_definitions_load(warehouse: str, options: str, tmp_path: Path) -> None:
    deploy(tmp_path, warehouse, "s3://bucket/lake", options)
    deployment = load_deployment(tmp_path / "defs")
    assert {table.warehouse_type for table in deployment.tables} == {warehouse}
    assert len(deployment.tables) == 5


@pytest.mark.server
@pytest.mark.timeout(300)
@pytest.mark.parametrize("warehouse", DOUBLES)
def test_two_rounds_end_and_the_tables_are_equal(
    warehouse: str,
    postgres: EmbeddedPostgres,
    source_db: Database,
    s3: Bucket,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    fill(source_db.admin_dsn, scale=0.001)
    assert run(warehouse, tmp_path, postgres, s3, source_db.dsn, "prealerts", source_db.admin_dsn) == 0
    lines = [line.split() for line in capfd.readouterr().out.splitlines() if line.startswith("shop.prealerts  ")]
    first, second, compared = lines
    assert (first[2], second[2], compared[1:6]) == ("50", "26", ["76", "76", "0", "0", "0"])
