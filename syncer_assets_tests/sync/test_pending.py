"""What the sensor asks: which partitions have something to read (rule 7)."""

from datetime import timedelta

from syncer_assets.model.partition import PartitionScheme
from syncer_assets.sync.pending import partition_keys, pending
from syncer_assets_tests.sync.tables import ORDERS, Rig, spec_of, transaction

INSERT = "INSERT INTO orders (status) VALUES ('x')"
BY_ID = spec_of(cursor=["id"])


def reasons(rig: Rig, *specs: object) -> dict[str, str]:
    return {found.partition: found.reason for found in pending(rig.source, rig.lake, specs)}  # type: ignore[arg-type]  # specs


def test_a_table_is_pending_until_everything_is_read_and_final(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    assert reasons(rig, BY_ID) == {}
    rig.database.execute(INSERT)
    assert reasons(rig, BY_ID) == {"all": "never read"}
    rig.sync(BY_ID)
    assert reasons(rig, BY_ID) == {}
    with transaction(rig.database, INSERT) as writer:
        rig.database.execute(INSERT)
        assert reasons(rig, BY_ID) == {"all": "new rows"}
        rig.sync(BY_ID, writers_open=True)
        assert reasons(rig, BY_ID) == {"all": "rows not final yet"}
        writer.commit()
    rig.sync(BY_ID)
    assert reasons(rig, BY_ID) == {}


def test_a_quiet_table_becomes_final_once_the_lag_has_passed(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    rig.database.execute(INSERT)
    rig.sync(spec_of(late_commit_lag=timedelta(minutes=5)))
    assert reasons(rig, spec_of()) == {"all": "rows not final yet"}
    rig.sync(spec_of())
    assert reasons(rig, spec_of()) == {}


def test_the_same_state_has_the_same_fingerprint(rig: Rig) -> None:
    """So that a request is made once, and again when there is more, or what was there was read but is not final."""
    rig.database.execute(ORDERS)
    rig.database.execute(INSERT)

    def fingerprint() -> str:
        return pending(rig.source, rig.lake, [BY_ID])[0].fingerprint

    seen = [fingerprint()]
    assert fingerprint() == seen[0]
    with transaction(rig.database, INSERT):
        rig.database.execute(INSERT)
        seen.append(fingerprint())
        rig.sync(BY_ID, writers_open=True)
        seen.append(fingerprint())
    assert len(set(seen)) == 3


def test_only_partitions_with_something_to_read_are_asked_for(rig: Rig) -> None:
    spec = spec_of(cursor=["id"], partitions=PartitionScheme(by="id", size=10))
    rig.database.execute(ORDERS)
    rig.database.execute("INSERT INTO orders (status) SELECT 'x' FROM generate_series(1, 25)")
    first, second, third = partition_keys(rig.source, spec)
    assert list(reasons(rig, spec)) == [first, second, third]
    for key in (first, third):
        rig.sync(spec, key)
    assert reasons(rig, spec) == {second: "never read"}
    rig.sync(spec, second)
    rig.database.execute(INSERT)
    assert reasons(rig, spec) == {third: "new rows"}


def test_time_partitions_up_to_now_exist_and_an_older_one_stays_pending_until_it_is_closed(rig: Rig) -> None:
    spec = spec_of(partitions=PartitionScheme(by="time", every="month", start="2024-01-01"))
    rig.database.execute(ORDERS)
    rig.database.execute("INSERT INTO orders (status, updated_at) VALUES ('x', '2024-01-05')")
    assert partition_keys(rig.source, spec)[:2] == ["2024-01-01", "2024-02-01"]
    rig.sync(spec, "2024-01-01")
    assert reasons(rig, spec) == {}
    assert not rig.head(spec, "2024-01-01").closed, "its maximum has not reached the end"
    rig.database.execute("INSERT INTO orders (status, updated_at) VALUES ('x', '2024-02-05')")
    assert reasons(rig, spec) == {"2024-01-01": "new rows", "2024-02-01": "never read"}
    rig.sync(spec, "2024-01-01")
    assert rig.head(spec, "2024-01-01").closed
    assert reasons(rig, spec) == {"2024-02-01": "never read"}


def test_prefixes_come_from_the_list_or_from_the_column(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    rig.database.execute("INSERT INTO orders (status) VALUES ('abc'), ('abd'), ('x'), (NULL)")
    listed = spec_of(partitions=PartitionScheme(by="prefix", column="status", prefixes=("a", "x")))
    found = spec_of(partitions=PartitionScheme(by="prefix", column="status", length=2))
    assert partition_keys(rig.source, listed) == ["a", "x"]
    assert partition_keys(rig.source, found) == ["ab", "x"]
