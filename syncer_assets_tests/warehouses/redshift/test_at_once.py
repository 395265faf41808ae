"""Two sessions that make the same table: IF NOT EXISTS looks, and does not lock."""

import threading

import psycopg
import pytest

from syncer_assets.model.errors import LostRace
from syncer_assets.model.sizing import SizeRules, SizeStep
from syncer_assets.warehouses.redshift import RedshiftWarehouse
from syncer_assets.warehouses.redshift.sizes import TABLE_SQL
from syncer_assets_tests.doubles.redshift import RedshiftDouble
from syncer_assets_tests.servers import poll
from syncer_assets_tests.warehouses.contract.under_test import Loads

WAITS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def test_a_table_whose_row_type_is_there_already_is_another_ones_and_tried_again(
    orders: Loads, double: RedshiftDouble
) -> None:
    double.database.execute("CREATE SCHEMA _syncer; CREATE TYPE _syncer.watermarks AS ENUM ()")
    with pytest.raises(LostRace, match="another process is making the ledger's tables"):
        orders.register()
    double.database.execute("DROP TYPE _syncer.watermarks")
    orders.register()


def test_a_book_that_another_load_makes_meanwhile_is_used(double: RedshiftDouble) -> None:
    rules = SizeRules((SizeStep("16"),))
    warehouse = RedshiftWarehouse("w", double.dsn, iam_role="default", workgroup="w", sizing=rules)
    book, failures = warehouse._sizer._book, []  # type: ignore[union-attr]  # it has a sizing

    def write() -> None:
        try:
            with book.locked() as page:
                page.clear_found()
        except BaseException as error:  # noqa: BLE001  # told to the test's own thread
            failures.append(error)

    double.database.execute("CREATE SCHEMA _syncer")
    with psycopg.connect(double.database.admin_dsn) as other:
        other.execute(TABLE_SQL.encode())
        thread = threading.Thread(target=write)
        thread.start()
        poll(lambda: double.database.scalar(WAITS) or not thread.is_alive(), deadline_seconds=60)
        other.commit()
        thread.join()
    assert failures == []
    assert double.database.scalar("SELECT count(*) FROM _syncer.sizing") == 1
    warehouse.close()
