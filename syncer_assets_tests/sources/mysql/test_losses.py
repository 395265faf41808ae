"""A value that the way would lose stops the sync, names its column, and is lost only where that is allowed."""

import pytest

from syncer_assets.model.errors import ConfigError, SyncError
from syncer_assets.sync.plan import plan
from syncer_assets_tests.sources.mysql.rig import MariaRig
from syncer_assets_tests.sources.mysql.types import execute_anything, load_and_compare, shown, whole
from syncer_assets_tests.sync.tables import spec_of

LOSSY = [
    # type, a value that is refused, what it is, the warehouse's text when it is allowed
    ("date", "'0000-00-00'", "a date that does not exist", None),
    ("date NOT NULL", "'0000-00-00'", "a date that does not exist", None),
    ("date", "'2024-00-15'", "a date that does not exist", None),
    ("date", "'2023-02-29'", "a date that does not exist", None),
    ("datetime(6)", "'0000-00-00'", "a date that does not exist", None),
    ("datetime(6) NOT NULL", "'0000-00-00'", "a date that does not exist", None),
    ("datetime", "'2024-02-31 10:00:00'", "a date that does not exist", None),
    ("timestamp(6)", "'0000-00-00'", "a date that does not exist", None),
    ("varchar(5)", "'a\\0b'", "the character U\\+0000", "ab"),
    ("longtext", "'\\0'", "the character U\\+0000", ""),
    ("varchar(5) character set latin1", "'ä\\0'", "the character U\\+0000", "ä"),
]


@pytest.mark.parametrize(("kind", "value", "what", "allowed"), LOSSY)
def test_a_value_that_would_be_lost_stops_the_sync(
    maria_rig: MariaRig, kind: str, value: str, what: str, allowed: str | None
) -> None:
    maria_rig.maria.execute(
        f"CREATE TABLE orders (id int AUTO_INCREMENT PRIMARY KEY, `a b` {kind}, note text, day date)"
    )
    good = "'2024-01-01'" if allowed is None else "'x'"
    execute_anything(maria_rig, f"INSERT INTO orders (`a b`) VALUES ({good}), ({value}), ({good})")
    for spec in (whole(), spec_of("orders", ["id"])):
        with pytest.raises(SyncError, match=rf"orders: .*can have one: a b \(.*\): {what}.*allow_lossy: \[a b\]"):
            maria_rig.sync(spec)
        assert maria_rig.manifests(spec) == []
    spec = whole(allow_lossy=("a b",))
    assert {c.name: c.note for c in plan(maria_rig.source, None, spec).columns}["a b"].startswith("lossy: ")
    assert {c.name: c.note for c in plan(maria_rig.source, None, whole()).columns}["a b"].startswith("refused: ")
    load_and_compare(maria_rig, spec)
    first = "2024-01-01" if allowed is None else "x"
    texts = [text and text[:10] for text in shown(maria_rig, "a b")]
    assert texts == [first, allowed, first]
    assert maria_rig.manifests(spec)[0].columns[1].transform == "lossy"


def test_the_one_column_of_several_that_has_such_a_value_is_named(maria_rig: MariaRig) -> None:
    maria_rig.maria.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, d date, e datetime, f date NOT NULL, s text, t text)"
    )
    maria_rig.maria.execute(
        "INSERT INTO orders VALUES (1, NULL, NULL, '2024-01-01', NULL, 'x'),"
        " (2, '2024-01-01', NULL, '2024-01-01', '', 'x')"
    )
    maria_rig.sync(whole())
    for column, value in (("f", "0000-00-00"), ("d", "0000-00-00"), ("t", "\0")):
        execute_anything(maria_rig, f"UPDATE orders SET {column} = %s WHERE id = 2", (value,))
        with pytest.raises(SyncError, match=rf"allow_lossy: \[{column}\]"):
            maria_rig.sync(whole())
        maria_rig.maria.execute(f"UPDATE orders SET {column} = '2024-01-01' WHERE id = 2")


def test_allowing_the_loss_of_what_cannot_be_lost_is_an_error(maria_rig: MariaRig) -> None:
    maria_rig.maria.execute("CREATE TABLE orders (id int PRIMARY KEY, n bigint)")
    with pytest.raises(ConfigError, match=r"`allow_lossy` names the column 'n' \(bigint.*remove it"):
        maria_rig.sync(whole(allow_lossy=("n",)))
