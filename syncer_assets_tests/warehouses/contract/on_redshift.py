"""The contract on the double of Redshift, over a lake in SeaweedFS."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from syncer_assets.sync.lake import open_lake
from syncer_assets.warehouses.redshift import RedshiftWarehouse
from syncer_assets_tests.doubles.redshift import RedshiftDouble
from syncer_assets_tests.doubles.redshift.server import Cut
from syncer_assets_tests.servers import Bucket, Database
from syncer_assets_tests.warehouses.contract.under_test import WarehouseUnderTest


@contextmanager
def opened(request: pytest.FixtureRequest) -> Iterator[WarehouseUnderTest]:
    database: Database = request.getfixturevalue("database")
    bucket: Bucket = request.getfixturevalue("s3")
    with pytest.MonkeyPatch.context() as patch, RedshiftDouble(database, bucket) as double:
        for name, value in bucket.env.items():
            patch.setenv(name, value)
        yield under_test(double)


def under_test(double: RedshiftDouble) -> WarehouseUnderTest:
    """The double, its lake in its bucket."""
    return WarehouseUnderTest(
        name="redshift",
        lake=open_lake(f"{double.bucket.url}/lake"),
        open=lambda: RedshiftWarehouse("w", double.dsn, iam_role="default"),
        query=double.database.execute,
        kill_sessions=double.kill_sessions,
        lost_commit=lambda committed: _lost_commit(double, committed),
    )


@contextmanager
def _lost_commit(double: RedshiftDouble, committed: bool) -> Iterator[None]:
    """The load's COMMIT is the second one: the first ends the transaction that takes the epoch."""
    real = double.cut_at
    seen: list[str] = []

    def cut_at(statement: str) -> Cut | None:
        if statement != "COMMIT":
            return None
        seen.append(statement)
        return ("after" if committed else "before") if len(seen) == 2 else None

    double.cut_at = cut_at
    try:
        yield
    finally:
        double.cut_at = real
    assert len(seen) > 2, "the COMMIT of the load was not cut"
