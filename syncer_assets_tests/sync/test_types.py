"""Every type of PostgreSQL goes from source to warehouse as it is: by the checksum, and by an independent SELECT."""

from dataclasses import replace
from typing import Any

import pytest
from psycopg import sql

from syncer_assets.model.errors import ConfigError, SyncError
from syncer_assets.model.table import TableSpec
from syncer_assets.sync.checksum import compare
from syncer_assets_tests.servers import Database
from syncer_assets_tests.sync.tables import Rig, spec_of

SETUP = """
CREATE EXTENSION citext;
CREATE EXTENSION hstore;
CREATE EXTENSION ltree;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s "fine"');
CREATE DOMAIN percent AS numeric(5,2) CHECK (VALUE BETWEEN 0 AND 100);
CREATE DOMAIN short AS varchar(5);
CREATE DOMAIN moods AS mood[];
CREATE TYPE pair AS (a int, b text);
"""

VALUES: dict[str, list[str]] = {
    "boolean": ["true", "false"],
    "smallint": ["-32768", "32767"],
    "integer": ["-2147483648", "2147483647"],
    "bigint": ["-9223372036854775808", "9223372036854775807"],
    "real": ["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "1.17549435e-38", "3.4028235e38", "0.1"],
    "double precision": ["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "5e-324", "1.7976931348623157e308", "0.1"],
    "numeric": ["'NaN'", "'Infinity'", "1e-400", "repeat('9', 2000)::numeric", "1.10", "0", "-123456789.123456789"],
    "numeric(12,2)": ["-9999999999.99", "0.00", "1.10"],
    "numeric(38,10)": ["9999999999999999999999999999.9999999999", "-0.0000000001"],
    "numeric(60,30)": ["1.000000000000000000000000000001", "'NaN'"],
    "numeric(5,-2)": ["123400", "-100"],
    "numeric(3,5)": ["0.00999", "-0.00001"],
    "money": ["'$1,234.56'", "'-$0.01'"],
    "text": ["''", "' '", "E'tab\\t newline\\n return\\r'", "'NULL'", "'\\N'", "'😀 Ünïcödé'", "repeat('x', 100000)"],
    "varchar(10)": ["''", "'ab '", "'0123456789'"],
    "char(5)": ["''", "'ab'", "'abcde'"],
    '"char"': ["'a'", "''"],
    "name": ["'a name'"],
    "citext": ["'MiXed'"],
    "hstore": ['\'"a" => "1", "b q" => NULL, "c" => ""\'', "''"],
    "ltree": ["'a.b.c'"],
    "bytea": ["''", "'\\x00'", "'\\x0001ff00'", "decode(repeat('ab', 5000), 'hex')"],
    "uuid": ["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-4fff-bfff-ffffffffffff'"],
    "json": ['\'{"a": 1.10, "a": 2,  "b": null}\'', "'null'", "'\"\\u00e9\"'", "' [ ]'"],
    "jsonb": ['\'{"b": 1.10, "a": [1, null, {}]}\'', "'null'", "'\"\"'", "'123456789012345678901234567890'"],
    "date": ["'infinity'", "'-infinity'", "'0044-03-15 BC'", "'0001-01-01'", "'9999-12-31'", "'5874897-12-31'"],
    "time": ["'24:00:00'", "'00:00:00'", "'23:59:59.999999'"],
    "time(0)": ["'12:34:56'"],
    "timetz": ["'24:00:00+00'", "'12:00:00.000001-15:59'", "'12:00+05:45'"],
    "timestamp": [
        "'infinity'",
        "'-infinity'",
        "'4713-01-01 BC'",
        "'294246-12-31 23:59:59.999999'",
        "'1969-12-31 23:59:59.5'",
    ],
    "timestamptz": ["'infinity'", "'-infinity'", "'4713-01-02 BC'", "'294246-12-31 00:00Z'", "'2024-03-31 02:30+02'"],
    "timestamptz(3)": ["'2024-01-01 00:00:00.1239Z'"],
    "interval": ["'1 year -2 mons 3 days -04:05:06.000007'", "'0'", "'178000000 years'", "'infinity'"],
    "interval day to second(2)": ["'1 day 00:00:01.23'"],
    "inet": ["'10.1.2.3/8'", "'::1'", "'10.1.2.3'"],
    "cidr": ["'10.0.0.0/8'"],
    "macaddr": ["'08:00:2b:01:02:03'"],
    "macaddr8": ["'08:00:2b:01:02:03:04:05'"],
    "bit(5)": ["B'10101'"],
    "bit varying": ["B''", "B'1'"],
    "point": ["'(1.5,-2)'", "'(NaN,Infinity)'"],
    "line": ["'{1,2,3}'"],
    "box": ["'(3,4),(1,2)'"],
    "path": ["'[(0,0),(1,1)]'"],
    "polygon": ["'((0,0),(1,1),(1,0))'"],
    "circle": ["'<(1,2),3>'"],
    "xml": ["NULL"],  # the embedded server is built without libxml
    "tsvector": ["'''it''''s'':1A fat:2 rat'"],
    "tsquery": ["'fat & (rat | !cat)'"],
    "int4range": ["'[1,5)'", "'empty'", "'(,)'"],
    "tstzrange": ["'[2024-01-01 00:00Z,infinity)'"],
    "nummultirange": ["'{[1.10,2),(5,)}'"],
    "int[]": ["'{}'", "'{1,NULL,3}'", "'{{1,2},{3,NULL}}'", "'[0:1]={5,6}'"],
    "text[]": ["'{}'", '\'{"",NULL,"NULL","a,b","q\\"uote","back\\\\slash"}\''],
    "timestamptz[]": ["ARRAY['2024-01-01 00:00Z'::timestamptz, 'infinity', NULL]"],
    "bytea[]": ["ARRAY['\\x00ff'::bytea, NULL, '']"],
    "float8[]": ["ARRAY['NaN'::float8, 0.1, NULL, '-Infinity']"],
    "numeric(10,2)[]": ["ARRAY[1.10::numeric, NULL]"],
    "jsonb[]": ["ARRAY['{\"a\": [1]}'::jsonb, NULL]"],
    "mood": ["'ok'", "'it''s \"fine\"'"],
    "mood[]": ["'{ok,NULL}'"],
    "moods": ["'{sad}'"],
    "percent": ["99.90"],
    "short": ["'ab'"],
    "pair": ["ROW(1, 'x, \"y\"')", "ROW(NULL, '')"],
    "pair[]": ["ARRAY[ROW(1, NULL)::pair]"],
    "oid": ["4294967295"],
    "regclass": ["'pg_class'"],
    "pg_lsn": ["'16/B374D848'"],
    "xid8": ["'18446744073709551615'"],
    "jsonpath": ["'$.a[*] ? (@ > 1)'"],
}


def load_and_compare(rig: Rig, columns: list[str], key: str = "id", cursor: str = "id") -> None:
    """Sync, load, and see that both sides have the same texts, by the checksum and by SELECT."""
    spec = spec_of(cursor=[cursor], key=(key,))
    rig.sync(spec)
    rig.load(spec)
    found = compare(rig.source, rig.warehouse, spec, rig.target)
    assert (found.equal, found.buckets_different, found.rows_source) == (True, 0, found.rows_target)
    there, here = (texts(db, name, key, columns) for db, name in ((rig.database, "public"), (rig.warehouse_db, "shop")))
    for row in range(len(there)):
        for column, one, other in zip(columns, there[row], here[row], strict=True):
            assert one == other, (row, column)
    assert len(there) == len(here) == found.rows_source


def texts(database: Database, schema: str, key: str, columns: list[str]) -> list[Any]:
    statement = sql.SQL("SELECT {} FROM {} ORDER BY {}").format(
        sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in columns),
        sql.Identifier(schema, "orders"),
        sql.Identifier(key),
    )
    with database.connect() as connection:
        connection.execute("SET timezone = 'UTC'; SET lc_monetary = 'C'")
        return connection.execute(statement).fetchall()


def test_a_wide_table_of_every_type(rig: Rig) -> None:
    rig.database.execute(SETUP)
    columns = {f"c{number}": kind for number, kind in enumerate(VALUES)}
    declared = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    rig.database.execute(f"CREATE TABLE orders (id bigserial PRIMARY KEY, {declared})")
    longest = max(len(values) for values in VALUES.values())
    for row in range(longest):
        picked = ", ".join(f"({VALUES[kind][row % len(VALUES[kind])]})::{kind}" for kind in columns.values())
        rig.database.execute(f"INSERT INTO orders ({', '.join(columns)}) VALUES ({picked})")
    rig.database.execute("INSERT INTO orders DEFAULT VALUES")
    load_and_compare(rig, ["id", *columns])


@pytest.mark.parametrize("kind", ["numeric(12,2)", "percent", "numeric(38,0)"])
def test_a_nan_is_refused_where_the_lake_has_a_decimal(rig: Rig, kind: str) -> None:
    rig.database.execute("CREATE DOMAIN percent AS numeric(5,2)")
    rig.database.execute(f"CREATE TABLE orders (id bigserial PRIMARY KEY, price {kind})")
    rig.database.execute("INSERT INTO orders (price) VALUES (1), ('NaN'), (NULL)")
    spec = spec_of(cursor=["id"])
    with pytest.raises(SyncError, match=r"public\.orders: .*price .*: NaN, which .*allow_lossy: \[price\]"):
        rig.sync(spec)
    assert rig.manifests(spec) == []
    with pytest.raises(SyncError, match="NaN, which"):
        rig.sync(replace(spec, cursor=(), load="replace"))
    allowed = replace(spec, allow_lossy=("price",))
    rig.sync(allowed)
    assert rig.in_lake(allowed, "price") == {(1,): 1, (None,): 2}
    rig.load(allowed)
    assert compare(rig.source, rig.warehouse, allowed, rig.target).equal
    rig.database.execute("UPDATE orders SET price = 2 WHERE id = 1")
    assert compare(rig.source, rig.warehouse, allowed, rig.target).rows_changed == 1


@pytest.mark.parametrize("spec", [spec_of(cursor=["price"], key=("id",)), spec_of(cursor=["id"], key=("price",))])
def test_a_key_or_cursor_may_lose_nothing(rig: Rig, spec: TableSpec) -> None:
    """Without what is lost, two rows could have one key."""
    rig.database.execute("CREATE TABLE orders (id bigserial PRIMARY KEY, price numeric(12,2) NOT NULL UNIQUE)")
    with pytest.raises(ConfigError, match=r"`allow_lossy` names 'price', by which rows are told apart"):
        rig.sync(replace(spec, allow_lossy=("price",)))


def test_generated_columns_are_read_as_values(rig: Rig) -> None:
    rig.database.execute(
        "CREATE TABLE orders (id bigserial PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED,"
        " thrice int GENERATED ALWAYS AS (a * 3) VIRTUAL)"
    )
    rig.database.execute("INSERT INTO orders (a) VALUES (1), (NULL), (-7)")
    load_and_compare(rig, ["id", "a", "twice", "thrice"])


NAMES = [
    "id",
    "Id",
    "ID",
    'quo"te',
    "it's",
    "per%cent",
    "%s",
    "do.t",
    "sp ace",
    "ümläut😀",
    "select",
    "c0",
    "guard",
    "a" * 63,
    "a" * 62 + "b",
    "semi;colon--",
    "$1",
    "{}",
    "back\\slash",
]


def test_names_of_any_kind(rig: Rig) -> None:
    """Two that differ by case, quotes, percent signs, dots, 63 bytes; as key and cursor as well."""
    rig.warehouse_db.grant("CREATE ON DATABASE")  # a schema a key
    for key in ("ID", 'quo"te', "per%cent", "a" * 63):
        with rig.database.connect() as connection:
            connection.execute("DROP TABLE IF EXISTS orders")
            columns = [sql.SQL("{} numeric(5,2)").format(sql.Identifier(name)) for name in NAMES if name != key]
            columns.append(sql.SQL("{} bigint PRIMARY KEY").format(sql.Identifier(key)))
            connection.execute(sql.SQL("CREATE TABLE orders ({})").format(sql.SQL(", ").join(columns)))
            numbers = sql.SQL(", ").join(sql.Literal(number) for number in range(len(NAMES)))
            connection.execute(sql.SQL("INSERT INTO orders VALUES ({})").format(numbers))
        rig.target = replace(rig.target, schema=f"shop_{len(key)}_{ord(key[0])}")
        spec = replace(spec_of(cursor=[key], key=(key,)), source=f"shop{len(key)}{ord(key[0])}")
        rig.sync(spec)
        rig.load(spec)
        assert rig.in_warehouse(*NAMES) == rig.in_source(spec, *NAMES)
        assert compare(rig.source, rig.warehouse, spec, rig.target).equal


@pytest.mark.parametrize("table", ["Orders", "or.ders", "or\"der's", "per%cent", "t" * 63, "naïve 😀"])
def test_tables_of_any_name(rig: Rig, table: str) -> None:
    with rig.database.connect() as connection:
        name = sql.Identifier(table)
        connection.execute(sql.SQL("CREATE TABLE {} (id bigserial PRIMARY KEY, v text)").format(name))
        connection.execute(sql.SQL("INSERT INTO {} (v) VALUES ('x')").format(name))
    spec = spec_of(f"public.{table}", ["id"])
    rig.target = replace(rig.target, table=table)
    rig.sync(spec)
    rig.load(spec)
    assert rig.in_lake(spec, "v") == {("x",): 1}
    assert compare(rig.source, rig.warehouse, spec, rig.target).equal


def test_three_hundred_columns(rig: Rig) -> None:
    columns = [f"column_{number}" for number in range(300)]
    rig.database.execute(
        f"CREATE TABLE orders (id bigserial PRIMARY KEY, {', '.join(f'{name} text' for name in columns)})"
    )
    rig.database.execute(
        f"INSERT INTO orders ({', '.join(columns)}) SELECT {', '.join(f'g || {n}::text' for n in range(300))}"
        " FROM generate_series(1, 20) g"
    )
    load_and_compare(rig, ["id", *columns])
