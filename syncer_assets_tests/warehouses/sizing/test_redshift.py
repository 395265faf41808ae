"""Redshift Serverless: base capacity by a fake of boto3's client, holders in the double's `_syncer.sizing`."""

from collections.abc import Iterator
from typing import Any

import pytest

from syncer_assets.model.errors import ConfigError, DbError
from syncer_assets.model.report import silent
from syncer_assets.model.sizing import Size, SizeRules, SizeStep
from syncer_assets.warehouses.redshift import RedshiftWarehouse, sizes
from syncer_assets.warehouses.sizing.redshift import ServerlessCapacity
from syncer_assets_tests.doubles.redshift import RedshiftDouble
from syncer_assets_tests.servers import Bucket, Database

RULES = SizeRules((SizeStep("16", 1), SizeStep("64")))


class FakeServerless:
    """boto3's `redshift-serverless`: a workgroup that is busy for two questions after each change."""

    def __init__(self) -> None:
        self.capacity, self.busy = 8, 0
        self.changes: list[int] = []
        self.refuses = ""

    def get_workgroup(self, workgroupName: str) -> dict[str, Any]:  # noqa: N803 - boto3's spelling
        self.busy -= 1
        status = "MODIFYING" if self.busy > 0 else "AVAILABLE"
        return {"workgroup": {"workgroupName": workgroupName, "baseCapacity": self.capacity, "status": status}}

    def update_workgroup(self, workgroupName: str, baseCapacity: int) -> dict[str, Any]:  # noqa: N803
        from botocore.exceptions import ClientError

        if self.refuses:
            raise ClientError({"Error": {"Code": self.refuses, "Message": "canary-4711"}}, "UpdateWorkgroup")
        assert self.busy <= 0, "a workgroup that is being changed takes no other change"
        self.changes.append(baseCapacity)
        self.capacity, self.busy = baseCapacity, 3
        return {}


@pytest.fixture
def client() -> FakeServerless:
    return FakeServerless()


@pytest.fixture
def warehouse(
    client: FakeServerless, database: Database, s3: Bucket, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RedshiftWarehouse]:
    def capacity(workgroup: str, region: str | None) -> ServerlessCapacity:
        return ServerlessCapacity(workgroup, region, client, poll_seconds=0.001)

    monkeypatch.setattr(sizes, "ServerlessCapacity", capacity)
    with RedshiftDouble(database, s3) as double:
        opened = RedshiftWarehouse("w", double.dsn, iam_role="default", workgroup="analytics", sizing=RULES)
        yield opened
        opened.close()


def test_a_change_waits_until_the_workgroup_is_available(client: FakeServerless) -> None:
    capacity = ServerlessCapacity("w", client=client, poll_seconds=0.001)
    assert capacity.current() == Size("8")
    capacity.change(Size("64"))
    assert (client.busy, capacity.current()) == (0, Size("64"))
    capacity.change(Size("8"))
    assert client.changes == [64, 8]


@pytest.mark.parametrize(("code", "retryable"), [("AccessDeniedException", False), ("ThrottlingException", True)])
def test_a_refusal_is_told_by_its_code(client: FakeServerless, code: str, retryable: bool) -> None:
    client.refuses = code
    with pytest.raises(DbError, match=r"update_workgroup was refused.*UpdateWorkgroup") as raised:
        ServerlessCapacity("w", client=client, poll_seconds=0.001).change(Size("64"))
    assert (raised.value.code, raised.value.retryable) == (code, retryable)
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize("name", ["LARGE", "0", "3", ""])
def test_a_capacity_is_a_number_of_rpus(client: FakeServerless, name: str) -> None:
    with pytest.raises(ConfigError, match="no base capacity"):
        ServerlessCapacity("w", client=client).named(name)


@pytest.mark.server
def test_a_load_gets_its_capacity_and_the_last_one_restores_it(
    warehouse: RedshiftWarehouse, client: FakeServerless
) -> None:
    with warehouse.sized(10 * 2**20, run_id="first", emit=silent) as usage:
        assert client.capacity == 64
        with warehouse.sized(1, run_id="second", emit=silent):
            pass
        assert client.capacity == 64
    assert (client.capacity, client.changes) == (8, [64, 8])
    assert usage.facts()["size_found"] == "8"


@pytest.mark.server
def test_a_killed_runs_capacity_is_restored(warehouse: RedshiftWarehouse, client: FakeServerless) -> None:
    held = warehouse.sized(10 * 2**20, run_id="killed", emit=silent)
    held.__enter__()  # and nobody leaves
    assert client.capacity == 64
    assert warehouse.restore_size("killed", emit=silent)
    assert client.capacity == 8
    held.__exit__(None, None, None)
    assert client.changes == [64, 8]


def test_a_provisioned_cluster_is_not_resized() -> None:
    with pytest.raises(ConfigError, match="provisioned cluster"):
        RedshiftWarehouse("w", "postgresql://x", iam_role="default", sizing=RULES)
