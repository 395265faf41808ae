"""Statements for people: in the database's own words and quotes."""

from syncer_assets.sources.advice import MYSQL, POSTGRES
from syncer_assets_tests.mariadb import MariaDatabase
from syncer_assets_tests.servers import Database


def test_names_are_quoted() -> None:
    assert POSTGRES.analyze('public.Odd "one"') == 'ANALYZE "public"."Odd ""one"""'
    assert POSTGRES.analyze("orders") == 'ANALYZE "orders"'
    assert MYSQL.grant_select("shop.a`b.c") == "GRANT SELECT ON `shop`.`a``b.c`"


def test_postgresql_takes_what_is_advised(database: Database) -> None:
    database.execute('CREATE TABLE "Odd one" (id int PRIMARY KEY, "when" int)')
    with database.connect() as connection:
        connection.execute(POSTGRES.create_index("public.Odd one", ["when", "id"]).encode())
        connection.execute(POSTGRES.analyze("public.Odd one").encode())
    assert database.scalar("SELECT count(*) FROM pg_indexes WHERE tablename = 'Odd one'") == 2


def test_mariadb_takes_what_is_advised(maria_db: MariaDatabase) -> None:
    maria_db.execute("CREATE TABLE `Odd one` (id int PRIMARY KEY, `when` int)")
    maria_db.execute(MYSQL.create_index(f"{maria_db.name}.Odd one", ["when", "id"]))
    maria_db.execute(MYSQL.analyze(f"{maria_db.name}.Odd one"))
    assert len(maria_db.execute("SHOW INDEX FROM `Odd one`")) == 3
