"""Columns and tables of any name and number arrive under it."""

from dataclasses import replace

import pytest

from syncer_assets.model.errors import SyncError
from syncer_assets_tests.sources.mysql.rig import MariaRig
from syncer_assets_tests.sources.mysql.types import load_and_compare, shown, whole
from syncer_assets_tests.sync.tables import spec_of


def test_generated_and_invisible_columns_are_read_as_values(maria_rig: MariaRig) -> None:
    maria_rig.maria.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED,"
        " thrice int GENERATED ALWAYS AS (a * 3) VIRTUAL, hidden int INVISIBLE DEFAULT 9)"
    )
    maria_rig.maria.execute("INSERT INTO orders (id, a) VALUES (1, 1), (2, NULL), (3, -7)")
    load_and_compare(maria_rig, whole())
    assert shown(maria_rig, "twice") == ["2", None, "-14"] and shown(maria_rig, "thrice") == ["3", None, "-21"]
    assert shown(maria_rig, "hidden") == ["9"] * 3


NAMES = ["id", 'quo"te', "it's", "per%cent", "%s", "do.t", "sp ace", "ümläut", "select", "c0", "guard", "a" * 63]
NAMES += ["a" * 62 + "b", "semi;colon--", "$1", "{}", "back\\slash", "tick`", "{0}"]


def test_names_of_any_kind(maria_rig: MariaRig) -> None:
    """As columns, as key and as cursor; each with a date, whose expression names its column several times."""
    maria_rig.warehouse_db.grant("CREATE ON DATABASE")  # a schema a key
    for key in ("tick`", "per%cent", "{}"):
        names = [name for name in NAMES if name != key]
        quoted = {name: "`" + name.replace("`", "``") + "`" for name in NAMES}
        declared = ", ".join(f"{quoted[name]} date" for name in names)
        maria_rig.maria.execute("DROP TABLE IF EXISTS orders")
        maria_rig.maria.execute(f"CREATE TABLE orders ({declared}, {quoted[key]} bigint PRIMARY KEY)")
        days = [f"2024-01-{day:02}" for day in range(1, len(NAMES))]
        maria_rig.maria.execute(f"INSERT INTO orders VALUES ({', '.join(['%s'] * len(days))}, 7)", days)
        maria_rig.target = replace(maria_rig.target, schema=f"shop_{ord(key[0])}")
        spec = replace(spec_of("orders", [key]), source=f"shop{ord(key[0])}")
        load_and_compare(maria_rig, spec)
        found = maria_rig.in_warehouse(*names, key)
        assert [tuple(str(value) for value in row) for row in found] == [(*days, "7")]


@pytest.mark.parametrize("table", ["Orders", "or\"der's", "per%cent", "sp ace", "naïve", "tick`", "select"])
def test_tables_of_any_name(maria_rig: MariaRig, table: str) -> None:
    maria_rig.maria.execute(f"CREATE TABLE `{table.replace('`', '``')}` (id int AUTO_INCREMENT PRIMARY KEY, v text)")
    maria_rig.maria.execute(f"INSERT INTO `{table.replace('`', '``').replace('%', '%%')}` (v) VALUES (%s)", ("x",))
    spec = spec_of(table, ["id"])
    maria_rig.target = replace(maria_rig.target, table=table)
    load_and_compare(maria_rig, spec)
    assert maria_rig.in_lake(spec, "v") == {("x",): 1}


def test_names_that_differ_beyond_63_bytes_are_refused(maria_rig: MariaRig) -> None:
    long = "ä" * 31 + "x"
    maria_rig.maria.execute(f"CREATE TABLE orders (id int PRIMARY KEY, `{long}1` int, `{long}2` int)")
    maria_rig.sync(whole())
    with pytest.raises(SyncError, match="are the same in their first 63 bytes"):
        maria_rig.load(whole())


def test_three_hundred_columns(maria_rig: MariaRig) -> None:
    kinds = ["date", "varchar(9)", "decimal(9,2)", "datetime(6)", "int unsigned"]
    values = ["'2024-01-01'", "'x'", "1.10", "'2024-01-01'", "7"]
    declared = ", ".join(f"column_{n} {kinds[n % 5]}" for n in range(300))
    maria_rig.maria.execute(f"CREATE TABLE orders (id int PRIMARY KEY, {declared})")
    picked = ", ".join(values[n % 5] for n in range(300))
    maria_rig.maria.execute(f"INSERT INTO orders SELECT seq, {picked} FROM seq_1_to_20")
    load_and_compare(maria_rig, whole())
    assert shown(maria_rig, "column_299") == ["7"] * 20
