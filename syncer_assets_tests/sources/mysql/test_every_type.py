"""Every type of MariaDB arrives in PostgreSQL as it is, as PostgreSQL itself shows it."""

from syncer_assets.sync.checksum import compare
from syncer_assets_tests.mariadb import MariaDatabase
from syncer_assets_tests.sources.mysql.rig import MariaRig
from syncer_assets_tests.sources.mysql.types import load_and_compare, shown, whole

SAME = None
"""The expected text is the literal's own."""

VALUES: dict[str, tuple[str, list[tuple[str, str | None]]]] = {
    # type: (the warehouse's type, [(literal, the text that PostgreSQL shows)])
    "tinyint(1)": ("smallint", [("5", SAME), ("-128", SAME), ("0", SAME)]),
    "tinyint": ("smallint", [("-128", SAME), ("127", SAME)]),
    "tinyint unsigned": ("smallint", [("255", SAME)]),
    "smallint": ("smallint", [("-32768", SAME), ("32767", SAME)]),
    "smallint unsigned": ("integer", [("65535", SAME)]),
    "mediumint": ("integer", [("-8388608", SAME), ("8388607", SAME)]),
    "mediumint unsigned": ("bigint", [("16777215", SAME)]),
    "int": ("integer", [("-2147483648", SAME), ("2147483647", SAME)]),
    "int unsigned": ("bigint", [("4294967295", SAME)]),
    "int(5) zerofill": ("bigint", [("42", SAME)]),
    "bigint": ("bigint", [("-9223372036854775808", SAME), ("9223372036854775807", SAME)]),
    "bigint unsigned": ("numeric(20,0)", [("18446744073709551615", SAME), ("0", SAME)]),
    "decimal(15,2)": ("numeric(15,2)", [("-9999999999999.99", SAME), ("0.00", SAME), ("1.10", SAME)]),
    "decimal(8,2) unsigned zerofill": ("numeric(8,2)", [("42.00", SAME)]),
    "decimal(28,10)": ("numeric(28,10)", [("-999999999999999999.9999999999", SAME)]),
    "decimal(19,0)": ("numeric(19,0)", [("9999999999999999999", SAME), ("-1", SAME)]),
    "decimal(15,11)": ("numeric(15,11)", [("9999.99999999999", SAME), ("0.00000000001", SAME)]),
    "decimal(38,10)": ("numeric(38,10)", [("9999999999999999999999999999.9999999999", SAME)]),
    "decimal(38,38)": ("numeric(38,38)", [("0.99999999999999999999999999999999999999", SAME)]),
    "decimal(39,0)": ("numeric(39,0)", [("9" * 39, SAME)]),
    "decimal(65,30)": ("numeric(65,30)", [("-" + "9" * 35 + "." + "9" * 30, SAME), ("0." + "0" * 29 + "1", SAME)]),
    "float": (
        "real",
        [
            *(("0.1", SAME), ("3.4028233e38", "3.4028233e+38"), ("1.17549435e-38", "1.1754944e-38")),
            *(("16777216", "1.6777216e+07"), ("123456.789", "123456.79"), ("1e-45", "1e-45")),
        ],
    ),
    "float(7,2)": ("real", [("12345.67", SAME)]),
    "double": (
        "double precision",
        [
            *(("0.1", SAME), ("1.7976931348623157e308", "1.7976931348623157e+308"), ("5e-324", SAME)),
            *(("1e15", "1e+15"), ("0.00001", "1e-05"), ("5e22", "4.9999999999999996e+22")),
            ("-1351266474392105.5", "-1.3512664743921055e+15"),
        ],
    ),
    "double unsigned": ("double precision", [("1.5", SAME)]),
    "bit(1)": ("bit(1)", [("b'1'", "1"), ("b'0'", "0")]),
    "bit(8)": ("bit(8)", [("b'10000001'", "10000001"), ("b'1'", "00000001")]),
    "bit(64)": ("bit(64)", [("b'" + "1" * 64 + "'", "1" * 64), ("0", "0" * 64)]),
    "year": ("smallint", [("1901", SAME), ("2155", SAME), ("0", SAME)]),
    "date": ("date", [("'9999-12-31'", SAME), ("'2024-02-29'", SAME), ("'0000-01-01'", "0001-01-01 BC")]),
    "datetime": ("timestamp without time zone", [("'9999-12-31 23:59:59'", SAME), ("'0001-01-01 00:00:00'", SAME)]),
    "datetime(3)": ("timestamp without time zone", [("'2024-03-31 02:30:00.123'", SAME)]),
    "datetime(6)": (
        "timestamp without time zone",
        [("'1969-12-31 23:59:59.999999'", SAME), ("'0000-12-31 23:59:59.5'", "0001-12-31 23:59:59.5 BC")],
    ),
    "timestamp": ("timestamp with time zone", [("'2024-03-31 02:30:00'", "2024-03-31 02:30:00+00")]),
    "timestamp(6)": (
        "timestamp with time zone",
        [
            ("'1970-01-01 00:00:01.000001'", "1970-01-01 00:00:01.000001+00"),
            ("'2038-01-19 03:14:07.999999'", "2038-01-19 03:14:07.999999+00"),
        ],
    ),
    "time": ("interval", [("'838:59:59'", SAME), ("'-838:59:59'", SAME), ("'-00:00:01'", SAME), ("'00:00:00'", SAME)]),
    "time(6)": ("interval", [("'24:00:00.500000'", "24:00:00.5"), ("'-00:00:00.000001'", SAME), ("'100:00:00'", SAME)]),
    "char(5)": ("text", [("'ab'", "ab"), ("''", ""), ("'ä😀'", "ä😀")]),
    "varchar(20)": ("text", [("'ab '", "ab "), ("'it''s \"x\" `y` \\\\'", "it's \"x\" `y` \\"), ("'%s {}'", "%s {}")]),
    "varchar(5) character set latin1": ("text", [("'äß€'", "äß€")]),
    "varchar(5) character set sjis": ("text", [("'漢字ｱ'", "漢字ｱ")]),
    "varchar(5) character set utf16": ("text", [("'a😀'", "a😀")]),
    "varchar(5) collate utf8mb4_bin": ("text", [("'A'", "A")]),
    "tinytext": ("text", [("'x'", "x")]),
    "text": ("text", [("''", ""), ("REPEAT('x', 60000)", "x" * 60000)]),
    "mediumtext": ("text", [("REPEAT('ü', 20000)", "ü" * 20000)]),
    "longtext": ("text", [("'x'", "x")]),
    "text compressed": ("text", [("REPEAT('x', 1000)", "x" * 1000)]),
    "json": ("json", [('\'{"a": 1.10, "a": 2,  "b": null}\'', '{"a": 1.10, "a": 2,  "b": null}'), ("'null'", "null")]),
    "enum('a','B b','it''s','')": ("text", [("'a'", "a"), ("'B b'", "B b"), ("'it''s'", "it's"), ("''", "")]),
    "set('a','b','c')": ("text", [("'c,a'", "a,c"), ("''", "")]),
    "binary(4)": ("bytea", [("x'00ff'", "\\x00ff0000")]),
    "varbinary(10)": ("bytea", [("x'00ff00'", "\\x00ff00"), ("''", "\\x")]),
    "tinyblob": ("bytea", [("x'80'", "\\x80")]),
    "blob": ("bytea", [("REPEAT(x'0001ff', 5000)", "\\x" + "0001ff" * 5000)]),
    "mediumblob": ("bytea", [("x''", "\\x")]),
    "longblob": ("bytea", [("x'00'", "\\x00")]),
    "geometry": ("bytea", [("POINT(1, 2)", "\\x0101000000000000000000f03f0000000000000040")]),
    "point": (
        "bytea",
        [("ST_GeomFromText('POINT(3 4)', 4326)", "\\x0101000020e610000000000000000008400000000000001040")],
    ),
    "linestring": (
        "bytea",
        [("ST_GeomFromText('LINESTRING(0 0,1 1)')", f"\\x010200000002000000{'00' * 16}{'000000000000f03f' * 2}")],
    ),
    "geometrycollection": (
        "bytea",
        [("ST_GeomFromText('GEOMETRYCOLLECTION(POINT(0 0))')", f"\\x0107000000010000000101000000{'00' * 16}")],
    ),
    "uuid": ("uuid", [("'A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")]),
    "inet6": (
        "inet",
        [
            *(("'2001:db8::1'", "2001:db8::1/128"), ("'::ffff:1.2.3.4'", "::ffff:1.2.3.4/128")),
            ("'1:0:2:3:4:5:6:7'", "1:0:2:3:4:5:6:7/128"),
        ],
    ),
    "inet4": ("inet", [("'10.0.0.1'", "10.0.0.1/32")]),
}  # fmt: skip

ROWS = max(len(values) for _, values in VALUES.values())


def make_every_type(database: MariaDatabase) -> str:
    """A column of each type; row n has its n-th value, beginning again where they end; the last row is NULL."""
    columns = {f"c{number}": kind for number, kind in enumerate(VALUES)}
    declared = ", ".join(f"{name} {kind} NULL" for name, kind in columns.items())
    database.execute(f"CREATE TABLE orders (id bigint AUTO_INCREMENT PRIMARY KEY, {declared})")
    for row in range(ROWS):
        picked = ", ".join(values[row % len(values)][0] for _, values in VALUES.values())
        database.execute(f"INSERT INTO orders ({', '.join(columns)}) VALUES ({picked})")
    database.execute("INSERT INTO orders () VALUES ()")
    return ", ".join(columns)


def test_every_type_arrives_as_it_is(maria_rig: MariaRig) -> None:
    make_every_type(maria_rig.maria)
    load_and_compare(maria_rig, whole())
    types = {column.name: column.type for column in maria_rig.warehouse.table_columns(maria_rig.target)}
    for number, (kind, (target, values)) in enumerate(VALUES.items()):
        expected = [values[row % len(values)] for row in range(ROWS)]
        texts = [literal.strip("'") if text is SAME else text for literal, text in expected]
        assert (kind, types[f"c{number}"]) == (kind, target)
        assert (kind, shown(maria_rig, f"c{number}")) == (kind, [*texts, None])


def test_the_checksum_sees_a_change_of_each_type(maria_rig: MariaRig) -> None:
    """Row n differs in column n alone."""
    names = make_every_type(maria_rig.maria)
    for _ in range(4):
        maria_rig.maria.execute(f"INSERT INTO orders ({names}) SELECT {names} FROM orders WHERE c1 IS NOT NULL")
    spec = whole()
    load_and_compare(maria_rig, spec)
    ids = [row[0] for row in maria_rig.maria.execute("SELECT id FROM orders WHERE c1 IS NOT NULL ORDER BY id")]
    for number, row in zip(range(len(VALUES)), ids, strict=False):
        maria_rig.maria.execute(f"UPDATE orders SET c{number} = NULL WHERE id = {row}")
    found = compare(maria_rig.source, maria_rig.warehouse, spec, maria_rig.target)
    assert (found.rows_changed, found.rows_missing, found.rows_extra) == (len(VALUES), 0, 0)
