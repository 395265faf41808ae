"""Secrets are read when a connection opens, and are nowhere else."""

import pytest

from syncer_assets.model.errors import ConfigError
from syncer_assets.resources.environment import secret
from syncer_assets.resources.source import SourceResource
from syncer_assets.resources.warehouse import WarehouseResource

DSN = "postgresql://u:canary@localhost/nowhere"


@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_variable_is_named_with_who_needs_it(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    if value is None:
        monkeypatch.delenv("TEST_DSN", raising=False)
    else:
        monkeypatch.setenv("TEST_DSN", value)
    with pytest.raises(ConfigError, match="variable TEST_DSN is not set, which source 'shop' needs"):
        secret("TEST_DSN", "source 'shop'")


@pytest.mark.parametrize("resource", [SourceResource, WarehouseResource])
def test_a_resource_holds_the_variables_name_only(
    monkeypatch: pytest.MonkeyPatch, resource: type[SourceResource] | type[WarehouseResource]
) -> None:
    monkeypatch.setenv("TEST_DSN", DSN)
    made = resource(name="shop", type="postgres", dsn_env="TEST_DSN")
    with made.open() as opened:
        assert opened.name == "shop"
        assert "canary" not in repr(opened)
    assert "canary" not in repr(made) + str(made.model_dump())


@pytest.mark.parametrize("resource", [SourceResource, WarehouseResource])
def test_what_was_opened_is_closed(
    monkeypatch: pytest.MonkeyPatch, resource: type[SourceResource] | type[WarehouseResource]
) -> None:
    monkeypatch.setenv("TEST_DSN", DSN)
    closed = []
    with pytest.raises(ZeroDivisionError), resource(name="shop", type="postgres", dsn_env="TEST_DSN").open() as opened:
        monkeypatch.setattr(type(opened), "close", lambda self: closed.append(self.name))
        raise ZeroDivisionError
    assert closed == ["shop"]


def test_a_type_that_nobody_knows_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_DSN", DSN)
    with (
        pytest.raises(ConfigError, match="'shop' has the unknown type 'oracle'"),
        SourceResource(name="shop", type="oracle", dsn_env="TEST_DSN").open(),
    ):
        pass
