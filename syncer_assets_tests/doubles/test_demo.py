"""The demo of the doubles: its definitions load. That it ends well is seen by `make demo-doubles`."""

from pathlib import Path

import pytest

from syncer_assets.components.deployment import load_deployment
from syncer_assets_tests.doubles.demo import DOUBLES, deploy


@pytest.mark.parametrize(
    ("warehouse", "lake", "options"),
    [("redshift", "s3://bucket/lake", ", options: {iam_role: default}"), ("snowflake", "file://./lake", "")],
)
def test_its_definitions_load(warehouse: str, lake: str, options: str, tmp_path: Path) -> None:
    assert warehouse in DOUBLES
    deploy(tmp_path, warehouse, lake, options)
    deployment = load_deployment(tmp_path / "defs")
    assert {table.warehouse_type for table in deployment.tables} == {warehouse}
    assert len(deployment.tables) == 5
