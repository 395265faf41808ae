"""The connection is lost at each statement of a load in turn: nothing is lost, and nothing is applied twice."""

from dataclasses import dataclass, replace

import pytest

from syncer_assets.model.errors import DbError, SyncError
from syncer_assets.warehouses.base import LoadPlan
from syncer_assets_tests.doubles.redshift import RedshiftDouble
from syncer_assets_tests.doubles.redshift.server import Cut
from syncer_assets_tests.servers import poll
from syncer_assets_tests.warehouses.contract.under_test import Extraction, Loads


@dataclass
class Round:
    """One load that is cut at the statement of this number, and loaded again until it is done."""

    orders: Loads
    double: RedshiftDouble
    number: int
    cut: Cut
    came: int = 0
    at: str = ""
    lost: int = 0
    found_in_ledger: int = 0

    def run(self, plan: LoadPlan) -> None:
        uncut, self.double.cut_at = self.double.cut_at, self._cut_at
        plan = replace(plan, emit=self._hear)
        poll(lambda: self._loaded(plan), deadline_seconds=60)
        self.double.cut_at = uncut

    def _cut_at(self, statement: str) -> Cut | None:
        self.came += 1
        if self.came != self.number:
            return None
        self.at = statement
        return self.cut

    def _hear(self, event: str, **fields: object) -> None:
        self.found_in_ledger += event == "COMMIT took effect, the ledger says"

    def _loaded(self, plan: LoadPlan) -> bool:
        try:
            self.orders.warehouse.load(plan)
        except SyncError as error:
            assert isinstance(error, DbError) and error.retryable, (self.at, error)
            self.lost += 1
            return False
        return True


@pytest.mark.slow
@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_load_that_is_cut_at_any_statement_converges(orders: Loads, double: RedshiftDouble, cut: Cut) -> None:
    orders.load([(1, "a"), (2, "a"), (3, "a")])
    rounds: list[Round] = []
    while not rounds or rounds[-1].came >= rounds[-1].number:
        number = len(rounds) + 1
        version, before = f"{cut} {number}", len(orders.warehouse.ledger(orders.target))
        plan = orders.plan([Extraction([(1, version)]), Extraction([(2, version), (number + 9, "new")])])
        rounds.append(Round(orders, double, number, cut))
        rounds[-1].run(plan)
        rows = dict(orders.rows("id", "status"))
        assert (rows[1], rows[2], rows[3], rows[number + 9]) == (version, version, "a", "new"), rounds[-1].at
        ledger = orders.warehouse.ledger(orders.target)[before:]
        assert len(ledger) == 2 and sum(row.rows_in for row in ledger) == 3, rounds[-1].at
    *cuts, whole = rounds
    assert len(cuts) > 40 and not whole.at
    assert sum(each.lost for each in cuts) >= len(cuts) - 1
    assert sum(each.found_in_ledger for each in cuts) == (1 if cut == "after" else 0)
