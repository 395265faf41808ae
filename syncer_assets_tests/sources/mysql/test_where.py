"""`where` on MySQL: the same rows in the lake, in the warehouse and in the comparison, invisible columns among them."""

from collections import Counter
from dataclasses import replace

import pytest

from syncer_assets.model.table import TableSpec
from syncer_assets.sync.checksum import compare
from syncer_assets.sync.reconcile import reconcile
from syncer_assets_tests.sources.mysql.rig import MariaRig
from syncer_assets_tests.sync.tables import check, spec_of

WHERE = "Status <> \"it's 100% off?\" AND at >= '2024-01-02' AND (`id` % 5 <> 0 OR status IS NULL)"
BY_ID = spec_of("orders", ["id"], where=WHERE, deletes="hard", max_shrink=1.0)
WHOLE = spec_of("orders", [], load="replace", where=WHERE, max_shrink=1.0)


@pytest.mark.parametrize("spec", [BY_ID, WHOLE], ids=["chunks", "whole"])
def test_only_these_rows_are_read_counted_compared_and_repaired(maria_rig: MariaRig, spec: TableSpec) -> None:
    maria_rig.maria.execute(
        "CREATE TABLE orders (id int AUTO_INCREMENT PRIMARY KEY, status varchar(30),"
        " at datetime NOT NULL DEFAULT now() INVISIBLE)"
    )
    maria_rig.maria.execute(
        "INSERT INTO orders (status, at) SELECT ELT(1 + seq % 3, 'new', 'it''s 100% off?', NULL),"
        " IF(seq % 7, '2024-03-01', '2024-01-01') FROM seq_1_to_300"
    )

    def wanted() -> Counter[tuple]:
        found = Counter(maria_rig.maria.execute(f"SELECT id, status FROM orders WHERE {WHERE}"))
        assert found.total() > 50
        return found

    report = maria_rig.sync(spec)
    maria_rig.load(spec)
    assert maria_rig.in_lake(spec, "id", "status") == maria_rig.in_warehouse("id", "status") == wanted()
    assert check(report, "row_count").passed
    compared = compare(maria_rig.source, maria_rig.warehouse, spec, maria_rig.target)
    assert (compared.equal, compared.buckets_different, compared.rows_source) == (True, 0, wanted().total())
    maria_rig.maria.execute("UPDATE orders SET status = 'other' WHERE id = 3")
    maria_rig.maria.execute("UPDATE orders SET at = '2024-01-01' WHERE id IN (6, 9)")
    if spec is BY_ID:
        found = reconcile(maria_rig.source, maria_rig.warehouse, spec, maria_rig.target, lake=maria_rig.lake)
        assert (found.rows_repaired, found.rows_deleted, found.equal) == (1, 2, True)
    else:
        maria_rig.sync(spec)
        maria_rig.load(replace(spec, allow_empty=True))
    assert maria_rig.in_warehouse("id", "status") == wanted()
