"""The YAML of warehouse sizing: what reaches the engine, and what is told with its line."""

from datetime import timedelta
from pathlib import Path

import pytest

from syncer_assets.assets.sizes import SIZES
from syncer_assets.components.deployment import load_deployment
from syncer_assets.model.errors import ConfigError
from syncer_assets.model.sizing import Size, SizeRules, SizeStep
from syncer_assets_tests.components.deployments import CONNECTIONS, write_defs

TABLES = "- {table: public.items, cursor: id}"
POSTGRES = "    analytics: {type: postgres, dsn_env: TEST_ANALYTICS_DSN}\n"
SHOP = "shop: {type: postgres, dsn_env: TEST_SHOP_DSN}"
assert POSTGRES in CONNECTIONS and SHOP in CONNECTIONS


def connections(type: str, sizing: str, options: str = "{}") -> str:
    entry = f"    analytics:\n      type: {type}\n      dsn_env: TEST_ANALYTICS_DSN\n      options: {options}\n"
    return CONNECTIONS.replace(POSTGRES, f"{entry}      sizing: {sizing}\n")


def test_every_field_reaches_the_engine(tmp_path: Path) -> None:
    text = "{sizes: [{up_to_mb: 100, size: XSMALL}, {size: LARGE}], acceleration: 4, restore_after: 5m}"
    deployment = load_deployment(write_defs(tmp_path / "defs", TABLES, connections=connections("snowflake", text)))
    resource = deployment.warehouse("analytics")
    rules = SizeRules((SizeStep("XSMALL", 100.0), SizeStep("LARGE")), 4, timedelta(minutes=5))
    assert SizeRules.from_json(resource.sizing) == rules
    assert rules.size_for(100 * 2**20) == Size("XSMALL", 4) and rules.size_for(100 * 2**20 + 1) == Size("LARGE", 4)
    assert SIZES in [sensor.name for sensor in deployment.definitions.get_repository_def().sensor_defs]


def of_source(type: str, sizing: str) -> str:
    entry = f"shop: {{type: {type}, dsn_env: TEST_SHOP_DSN, sizing: {sizing}}}"
    return CONNECTIONS.replace(SHOP, entry)


def test_a_source_has_a_size_too(tmp_path: Path) -> None:
    text = "{sizes: [{size: LARGE}], book: OPS}"
    deployment = load_deployment(write_defs(tmp_path / "defs", TABLES, connections=of_source("snowflake", text)))
    assert SizeRules.from_json(deployment.source("shop").sizing) == SizeRules((SizeStep("LARGE"),), book="OPS")
    sensor = deployment.definitions.get_repository_def().get_sensor_def(SIZES)
    assert sensor.required_resource_keys == {"source__shop"}


@pytest.mark.parametrize(
    ("type", "sizing", "told"),
    [
        ("postgres", "{sizes: [{size: LARGE}]}", "a postgres source is not resized.*remove `sizing`"),
        ("snowflake", "{sizes: [{size: HUGE}]}", "'HUGE' is no size.*XSMALL"),
    ],
)
def test_a_wrong_sizing_of_a_source_is_told(tmp_path: Path, type: str, sizing: str, told: str) -> None:
    folder = write_defs(tmp_path / "defs", TABLES, connections=of_source(type, sizing))
    with pytest.raises(ConfigError, match=f"(?s)sources.*{told}"):
        load_deployment(folder)


def test_without_sizing_there_is_no_sensor(tmp_path: Path) -> None:
    deployment = load_deployment(write_defs(tmp_path / "defs", TABLES))
    assert SIZES not in [sensor.name for sensor in deployment.definitions.get_repository_def().sensor_defs]


def test_above_the_last_step_its_size_is_taken() -> None:
    assert SizeRules((SizeStep("LARGE", 10), SizeStep("SMALL", 1))).size_for(2**40) == Size("LARGE")


@pytest.mark.parametrize(
    ("type", "options", "sizing", "told"),
    [
        ("postgres", "{}", "{sizes: [{size: LARGE}]}", "a postgres warehouse is not resized.*remove `sizing`"),
        ("snowflake", "{}", "{sizes: [{size: HUGE}]}", "'HUGE' is no size.*XSMALL"),
        ("snowflake", "{}", "{sizes: []}", "there are no sizes"),
        ("redshift", "{iam_role: default}", "{sizes: [{size: 16}]}", "a provisioned cluster.*workgroup"),
        ("redshift", "{workgroup: w}", "{sizes: [{size: LARGE}]}", "'LARGE' is no base capacity.*RPUs"),
        ("redshift", "{workgroup: w}", "{sizes: [{size: 16}], book: OPS}", "has no other database.*remove it"),
    ],
)
def test_a_wrong_sizing_is_told_with_its_place(tmp_path: Path, type: str, options: str, sizing: str, told: str) -> None:
    folder = write_defs(tmp_path / "defs", TABLES, connections=connections(type, sizing, options))
    with pytest.raises(ConfigError, match=f"(?s){told}") as raised:
        load_deployment(folder)
    assert "defs.yaml:" in str(raised.value)
