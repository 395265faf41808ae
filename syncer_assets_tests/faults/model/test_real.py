"""The state machine on a real source and a real warehouse: few examples, other ones by each seed."""

import hypothesis
import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from syncer_assets_tests.faults.model.real import RealProtocol
from syncer_assets_tests.faults.model.test_model import BUDGET
from syncer_assets_tests.servers import Database

FEW = settings(BUDGET, max_examples=3, stateful_step_count=14, derandomize=False)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_protocol_holds_on_real_servers(seed: int, source_db: Database, warehouse_db: Database) -> None:
    print("seed", seed)

    class Here(RealProtocol):
        pass

    Here.source_db, Here.warehouse_db = source_db, warehouse_db
    warehouse_db.grant("CREATE ON DATABASE")  # each example begins without the schemas
    run_state_machine_as_test(hypothesis.seed(seed)(Here), settings=FEW)
