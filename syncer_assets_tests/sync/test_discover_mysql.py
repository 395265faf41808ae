"""What is proposed for tables of MySQL and MariaDB, what a plan says of them, and in whose words."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from syncer_assets.model.partition import PartitionScheme
from syncer_assets.sources.mysql import MySQLSource
from syncer_assets.sync.discover import Proposal, propose
from syncer_assets.sync.doctor import examine_table
from syncer_assets.sync.plan import TablePlan, plan
from syncer_assets_tests.mariadb import MariaDatabase
from syncer_assets_tests.sync.tables import spec_of

TOUCHED = "timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)"
MANY_ROWS = 2_000_000


@pytest.fixture
def source(maria_db: MariaDatabase) -> Iterator[MySQLSource]:
    source = MySQLSource("shop", maria_db.dsn)
    yield source
    source.close()


class Shop:
    """One table `t` of a database. `rows` is what its statistics claim, where they may be overruled."""

    def __init__(self, database: MariaDatabase, source: MySQLSource):
        self.database, self.source, self.table = database, source, f"{database.name}.t"

    def create(self, columns: str, *statements: str, rows: int | None = None) -> "Shop":
        self.database.execute(f"CREATE TABLE t ({columns})")
        for statement in statements:
            self.database.execute(statement)
        if rows is not None:
            self.claim(rows)
        return self

    def claim(self, rows: int) -> None:
        facts = self.source.describe(self.table)
        self.source.describe = lambda table: replace(facts, rows_estimate=rows, bytes_estimate=rows * 100)

    def proposal(self) -> Proposal:
        return propose(self.source, self.table)

    def plan(self, *cursor: str, **fields: object) -> TablePlan:
        return plan(self.source, None, spec_of(self.table, cursor, **fields))

    def risks(self, *cursor: str, **fields: object) -> list[str]:
        return [risk.name for risk in self.plan(*cursor, **fields).risks]


@pytest.fixture
def shop(maria_db: MariaDatabase, source: MySQLSource) -> Shop:
    return Shop(maria_db, source)


def names(proposal: Proposal) -> list[str]:
    return [risk.name for risk in proposal.warnings]


def test_a_column_that_the_server_keeps_up_is_the_best_cursor_whatever_its_name(shop: Shop) -> None:
    found = shop.create(
        f"id int AUTO_INCREMENT PRIMARY KEY, updated_at timestamp NOT NULL, seen {TOUCHED}, KEY (updated_at)"
    ).proposal()
    assert (found.spec.key, found.spec.cursor, found.spec.load) == (("id",), ("seen",), "upsert")
    assert found.spec.cursor_zone is None
    assert names(found) == []


def test_an_updated_at_that_applications_write_comes_next(shop: Shop) -> None:
    found = shop.create("id int PRIMARY KEY, updated_at timestamp NOT NULL, created_at timestamp NOT NULL").proposal()
    assert found.spec.cursor == ("updated_at",)


def test_a_datetime_is_taken_as_utc_and_flagged(shop: Shop) -> None:
    found = shop.create("id int PRIMARY KEY, updated_at datetime(6) NOT NULL").proposal()
    assert (found.spec.cursor_zone, names(found)) == ("UTC", ["cursor_without_zone"])


@pytest.mark.parametrize(
    "ahead, flags",
    [("2 HOUR", ["cursor_without_zone", "cursor_in_future"]), ("-2 HOUR", ["cursor_without_zone"])],
)
def test_a_datetime_ahead_of_utc_is_not_in_utc(shop: Shop, ahead: str, flags: list[str]) -> None:
    insert = f"INSERT INTO t VALUES (1, UTC_TIMESTAMP() + INTERVAL {ahead})"
    found = shop.create("id int PRIMARY KEY, updated_at datetime NOT NULL", insert).proposal()
    assert names(found) == flags
    assert ("2.0 h ahead of UTC" in found.warnings[-1].text) == (ahead == "2 HOUR")


def test_a_small_table_without_updated_at_is_read_whole(shop: Shop) -> None:
    found = shop.create("id int AUTO_INCREMENT PRIMARY KEY, name text").proposal()
    assert (found.spec.cursor, found.spec.load) == ((), "replace")


def test_a_large_one_is_read_by_its_auto_increment(shop: Shop) -> None:
    found = shop.create("id bigint unsigned AUTO_INCREMENT PRIMARY KEY, name text", rows=MANY_ROWS).proposal()
    assert (found.spec.cursor, found.spec.load) == (("id",), "upsert")
    assert names(found) == ["inserts_only"]


def test_a_huge_one_is_cut_into_partitions(shop: Shop) -> None:
    found = shop.create(
        "id bigint unsigned AUTO_INCREMENT PRIMARY KEY, name text",
        "INSERT INTO t VALUES (95000000, 'last')",
        rows=60_000_000,
    ).proposal()
    assert found.spec.partitions == PartitionScheme(by="id", size=10_000_000)


def test_a_huge_one_with_times_is_cut_by_months(shop: Shop) -> None:
    found = shop.create(
        f"id int PRIMARY KEY, seen {TOUCHED}, KEY (seen)",
        "INSERT INTO t VALUES (1, '2023-03-17 12:00:00'), (2, '2024-11-02 12:00:00')",
        rows=60_000_000,
    ).proposal()
    assert found.spec.partitions == PartitionScheme(by="time", every="month", start="2023-03-01")


def test_the_advice_is_mysqls(shop: Shop) -> None:
    found = shop.create(f"id int PRIMARY KEY, seen {TOUCHED}", rows=MANY_ROWS).proposal()
    (risk,) = found.warnings
    assert risk.name == "cursor_without_index"
    assert risk.text.endswith(f"ALTER TABLE `{shop.database.name}`.`t` ADD INDEX (`seen`, `id`)")
    assert shop.plan("seen").risks[0].text.endswith(f"ALTER TABLE `{shop.database.name}`.`t` ADD INDEX (`seen`, `id`)")


def test_a_table_without_a_key_is_never_upserted(shop: Shop) -> None:
    found = shop.create(f"note text, seen {TOUCHED}").proposal()
    assert (found.spec.key, found.spec.load, names(found)) == ((), "replace", ["no_key"])


def test_a_plan_counts_rows_and_names_the_index(shop: Shop) -> None:
    shop.create(
        f"id int AUTO_INCREMENT PRIMARY KEY, seen {TOUCHED}, KEY by_time (seen)",
        "INSERT INTO t (seen) SELECT '2024-01-01' + INTERVAL seq MINUTE FROM seq_1_to_20000",
        "ANALYZE TABLE t",
    )
    (part,) = shop.plan("seen").partitions
    assert part.rows == pytest.approx(20_000, rel=0.1)
    assert (part.access, part.files) == ("index by_time", 1)
    assert shop.plan("id").partitions[0].access == "index PRIMARY"


@pytest.mark.parametrize(
    "columns, cursor, flags",
    [
        (f"id int AUTO_INCREMENT PRIMARY KEY, seen {TOUCHED}, KEY (seen)", "seen", []),
        ("id int AUTO_INCREMENT PRIMARY KEY", "id", ["inserts_only"]),
        ("id int PRIMARY KEY", "id", ["ids_from_elsewhere", "inserts_only"]),
        ("id int PRIMARY KEY, seen timestamp NULL, KEY (seen)", "seen", ["cursor_nullable"]),
        (f"id int, seen {TOUCHED}, KEY (seen)", "seen", ["no_key"]),
    ],
)
def test_each_risk_has_its_flag(shop: Shop, columns: str, cursor: str, flags: list[str]) -> None:
    shop.create(columns)
    assert shop.risks(cursor, load="append" if flags == ["no_key"] else "upsert") == flags


def test_ids_of_a_sequence_and_tables_without_transactions_are_risks(shop: Shop) -> None:
    shop.database.execute("CREATE SEQUENCE s CACHE 1000")
    shop.create("id bigint PRIMARY KEY DEFAULT NEXTVAL(s)")
    assert shop.risks("id") == ["ids_in_blocks", "inserts_only"]
    shop.database.execute("DROP TABLE t")
    shop.create(f"id int PRIMARY KEY, seen {TOUCHED}, KEY (seen)", "ALTER TABLE t ENGINE = MyISAM")
    assert shop.risks("seen") == ["not_transactional"]


def test_the_doctor_names_the_risk_of_a_table(shop: Shop) -> None:
    shop.create("id int PRIMARY KEY")
    found = examine_table(shop.source, spec_of(shop.table, ["id"]))
    assert [(finding.name, finding.level) for finding in found] == [
        ("ids_from_elsewhere", "warning"),
        ("inserts_only", "warning"),
    ]


def test_types_say_what_travels_as_text_and_what_is_refused(shop: Shop) -> None:
    shop.create("id int PRIMARY KEY, price decimal(65, 30), spent time, born date, name varchar(9)")
    notes = {column.name: (column.lake_type, column.note) for column in shop.plan(load="replace").columns}
    assert notes["id"] == ("int32", "")
    assert notes["price"] == ("string", "as the server's own text")
    assert notes["spent"] == ("string", "as the server's own text")
    assert notes["born"][1].startswith("refused: a date that does not exist")


def test_a_role_that_may_not_read_is_told_how_in_mysqls_words(shop: Shop, maria_db: MariaDatabase) -> None:
    shop.create("id int PRIMARY KEY, secret text")
    user = f"u_{maria_db.name[-10:]}"
    maria_db.execute(f"CREATE USER {user}@'127.0.0.1' IDENTIFIED BY 'pw'")
    try:
        maria_db.execute(f"GRANT INSERT ON t TO {user}@'127.0.0.1'")
        limited = MySQLSource("shop", maria_db.dsn_as(user, "pw"))
        try:
            found = propose(limited, shop.table)
        finally:
            limited.close()
        assert found.refused == f"the role may not read it: GRANT SELECT ON `{maria_db.name}`.`t`"
    finally:
        maria_db.execute(f"DROP USER {user}@'127.0.0.1'")
