"""A source and its warehouse have one checksum, down to the last digit; and a difference is found down to its key."""

import math
import random
import struct
from collections.abc import Sequence

import pytest

from syncer_assets.model.errors import SyncError
from syncer_assets.sync.checksum import compare
from syncer_assets_tests.sources.mysql.rig import MariaRig
from syncer_assets_tests.sources.mysql.types import load_and_compare, whole
from syncer_assets_tests.sync.tables import spec_of

SMALLEST = [
    # type, a value, its smallest change
    ("double", "0.1", "{} + 1e-16"),
    ("float", "0.1", "0.10000001"),
    ("decimal(65,30)", "0", "{} + 0.000000000000000000000000000001"),
    ("decimal(15,2)", "0", "{} + 0.01"),
    ("bigint unsigned", "18446744073709551614", "{} + 1"),
    ("datetime(6)", "'2024-01-01'", "{} + INTERVAL 1 MICROSECOND"),
    ("timestamp(6)", "'2024-01-01'", "{} + INTERVAL 1 MICROSECOND"),
    ("time(6)", "'-838:59:58'", "ADDTIME({}, '00:00:00.000001')"),
    ("date", "'2024-01-01'", "{} + INTERVAL 1 DAY"),
    ("varchar(9)", "'0'", "CONCAT({}, ' ')"),
    ("varchar(9) collate utf8mb4_general_ci", "'ab'", "UPPER({})"),
    ("varchar(9) character set latin1", "'ab'", "CONCAT({}, '€')"),
    ("varbinary(9)", "'0'", "CONCAT({}, x'00')"),
    ("bit(8)", "b'0'", "{} ^ 1"),
    ("enum('0','a')", "'0'", "'a'"),
    ("point", "POINT(1, 2)", "POINT(1, 2.0000000000000004)"),
]


def test_the_checksum_sees_the_smallest_change(maria_rig: MariaRig) -> None:
    """Row n differs in column n alone."""
    declared = ", ".join(f"c{number} {kind}" for number, (kind, *_) in enumerate(SMALLEST))
    maria_rig.maria.execute(f"CREATE TABLE orders (id int PRIMARY KEY, {declared})")
    values = ", ".join(value for _, value, _ in SMALLEST)
    maria_rig.maria.execute(f"INSERT INTO orders SELECT seq, {values} FROM seq_0_to_{len(SMALLEST)}")
    spec = whole()
    load_and_compare(maria_rig, spec)
    for number, (_, _, change) in enumerate(SMALLEST):
        column = f"c{number}"
        maria_rig.maria.execute(f"UPDATE orders SET {column} = {change.format(column)} WHERE id = {number}")
    found = compare(maria_rig.source, maria_rig.warehouse, spec, maria_rig.target)
    assert (found.rows_changed, found.rows_missing, found.rows_extra) == (len(SMALLEST), 0, 0)


def test_doubles_have_one_text_on_both_servers(maria_rig: MariaRig) -> None:
    """Shortest digits, exponents and ties: 5e22 is 4.9999999999999996e+22 to PostgreSQL."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    numbers = doubles(random.Random(seed), 20_000)
    maria_rig.maria.execute("CREATE TABLE orders (id int PRIMARY KEY, d double, f float)")
    for start in range(0, len(numbers), 5000):
        rows = [(n, number, single(number)) for n, number in enumerate(numbers[start : start + 5000], start)]
        values = ", ".join(f"({n}, {number!r}, {one!r})" for n, number, one in rows)
        maria_rig.maria.execute(f"INSERT INTO orders VALUES {values}")
    load_and_compare(maria_rig, whole())


def doubles(rng: random.Random, count: int) -> list[float]:
    """Of all magnitudes: any bits, decimals of few digits, integers beyond 2^53, powers of ten."""
    kinds = [
        lambda: struct.unpack("<d", rng.randbytes(8))[0],
        lambda: rng.uniform(-1e-3, 1e-3) * 10.0 ** rng.randint(-20, 3),
        lambda: round(rng.uniform(-1e6, 1e6), rng.randint(0, 6)),
        lambda: float(rng.randint(-(10 ** rng.randint(1, 24)), 10 ** rng.randint(1, 24))),
        lambda: rng.choice([1, -5, 9.999]) * 10.0 ** rng.randint(-30, 30),
    ]
    found = [number for number in (rng.choice(kinds)() for _ in range(count)) if math.isfinite(number)]
    return [0.0, 5e-324, 1.7976931348623157e308, 1e15, 999999999999999.9, 1e-4, 9.9999e-5, 5e22, 1e23, *found]


def single(number: float) -> float:
    """The nearest float that is neither too large for MariaDB's FLOAT nor too small for a normal one."""
    inside = 1.2e-38 < abs(number) < 3e38
    return struct.unpack("<f", struct.pack("<f", number))[0] if inside else 0.0


KEYS: dict[str, Sequence[str]] = {
    "varchar(9) collate utf8mb4_nopad_bin": ("'a'", "'a '", "'A'", "'ä'", "''"),
    "varchar(9) character set latin1": ("'ä'", "'b'", "'€'", "'c'", "''"),
    "varbinary(9)": ("x'00'", "x'0000'", "x'ff'", "x'80'", "''"),
    "bigint unsigned": ("18446744073709551615", "0", "1", "2", "3"),
    "decimal(40,2)": ("-0.10", "0.10", "10.00", "1", "0"),
    "date": ("'0001-01-01'", "'9999-12-31'", "'2024-02-29'", "'2024-03-01'", "'2024-01-01'"),
    "datetime(3)": ("'2024-01-01 00:00:00.001'", "'2024-01-01'", "'2023-01-01'", "'2022-01-01'", "'2021-01-01'"),
    "uuid": tuple(f"'0000000{n}-0000-0000-0000-00000000000f'" for n in range(5)),
    "double": ("0.00001", "1e15", "5e22", "-0.5", "0"),
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_difference_is_found_down_to_a_key_of_any_type(maria_rig: MariaRig, kind: str) -> None:
    """Rows above what is loaded are pending: their cursors are asked for by the keys' texts."""
    maria_rig.maria.execute(f"CREATE TABLE orders (k {kind} PRIMARY KEY, n int AUTO_INCREMENT UNIQUE, v int)")
    first, second, third, fourth, fifth = KEYS[kind]
    for key in (first, second, third, fourth):
        maria_rig.maria.execute(f"INSERT INTO orders (k, v) VALUES ({key}, 1)")
    spec = spec_of("orders", ["n"], key=("k",))
    load_and_compare(maria_rig, spec)
    maria_rig.maria.execute(f"UPDATE orders SET v = 2 WHERE k = {first}")
    maria_rig.maria.execute(f"DELETE FROM orders WHERE k = {second}")
    maria_rig.maria.execute(f"INSERT INTO orders (k, v) VALUES ({fifth}, 3)")
    found = compare(maria_rig.source, maria_rig.warehouse, spec, maria_rig.target)
    assert (found.rows_changed, found.rows_extra, found.rows_missing, found.rows_pending) == (1, 1, 0, 1)


def test_a_timestamp_cursor_tells_what_is_pending(maria_rig: MariaRig) -> None:
    maria_rig.maria.execute("CREATE TABLE orders (id int PRIMARY KEY, at timestamp(6) NOT NULL, KEY (at))")
    maria_rig.maria.execute("INSERT INTO orders VALUES (1, '2024-01-01 00:00:00.5'), (2, '2024-01-02')")
    spec = spec_of("orders", ["at"])
    load_and_compare(maria_rig, spec)
    maria_rig.maria.execute("INSERT INTO orders VALUES (3, '2024-01-02 00:00:00.000001'), (4, '2024-01-01 12:00:00')")
    found = compare(maria_rig.source, maria_rig.warehouse, spec, maria_rig.target)
    assert (found.rows_pending, found.rows_missing) == (1, 1)


def test_columns_of_several_character_sets_and_collations_hash_as_utf_8(maria_rig: MariaRig) -> None:
    kinds = ["latin1", "utf8mb3", "utf8mb4 collate utf8mb4_unicode_ci", "utf16", "ascii", "cp1251"]
    declared = ", ".join(f"c{number} varchar(9) character set {kind}" for number, kind in enumerate(kinds))
    maria_rig.maria.execute(f"CREATE TABLE orders (id int PRIMARY KEY, {declared}, b blob, e enum('é','ü'))")
    maria_rig.maria.execute("INSERT INTO orders VALUES (1, 'é€', 'ü', '😀 ', '😀', 'x', 'Ж', 'Ж', 'ü')")
    load_and_compare(maria_rig, whole())


def test_a_row_too_long_to_be_hashed_is_an_error_and_never_equal(maria_rig: MariaRig) -> None:
    maria_rig.maria.execute("CREATE TABLE orders (id int PRIMARY KEY, b longblob)")
    maria_rig.maria.execute("INSERT INTO orders VALUES (1, REPEAT('x', 9000000)), (2, 'x')")
    before = maria_rig.maria.scalar("SELECT @@global.max_allowed_packet")
    spec = whole()
    load_and_compare(maria_rig, spec)
    maria_rig.maria.execute("SET GLOBAL max_allowed_packet = 16777216")
    try:
        maria_rig.source.close()
        with pytest.raises(SyncError, match=r"orders: a row's text is longer than .*Fix: raise max_allowed_packet"):
            compare(maria_rig.source, maria_rig.warehouse, spec, maria_rig.target)
    finally:
        maria_rig.maria.execute(f"SET GLOBAL max_allowed_packet = {before}")
