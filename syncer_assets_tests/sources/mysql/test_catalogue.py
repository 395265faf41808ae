"""What the catalogue says of a table, to a role that may see all of it, and to one that may not."""

from collections.abc import Callable

import pytest

from syncer_assets.model.errors import ConfigError
from syncer_assets.sources.mysql import MySQLSource
from syncer_assets.sync.rules import resolve
from syncer_assets_tests.mariadb import MariaDatabase
from syncer_assets_tests.sync.tables import spec_of

OpenSource = Callable[..., MySQLSource]


def test_keys_and_indexes(maria_db: MariaDatabase, source: MySQLSource) -> None:
    """Only an index that orders whole columns upwards serves a cursor; a key has no NULL."""
    maria_db.execute(
        "CREATE TABLE t (a int, b int NOT NULL, c varchar(99) NOT NULL, d int, e text, g point NOT NULL,"
        " PRIMARY KEY (b, a), UNIQUE u (c), UNIQUE n (d), UNIQUE cut (c(10)), KEY k (d, b), KEY cutkey (e(9), d),"
        " FULLTEXT f (e), SPATIAL INDEX s (g), UNIQUE h (b) USING HASH) ENGINE=InnoDB COMMENT 'what it is'"
    )
    facts = source.describe(f"{maria_db.name}.t")
    assert facts.primary_key == ("b", "a")
    assert facts.unique_keys == (("b",), ("c",))
    assert set(facts.indexes) == {("b", "a"), ("c",), ("d",), ("d", "b")}
    assert (facts.comment, facts.can_select, facts.unreadable) == ("what it is", True, ())


def test_hash_indexes_do_not_count(maria_db: MariaDatabase, source: MySQLSource) -> None:
    maria_db.execute("CREATE TABLE t (a int NOT NULL, KEY (a) USING HASH) ENGINE=MEMORY")
    assert source.describe("t").indexes == ()


def test_a_table_of_another_database_and_the_dsns_own(maria_db: MariaDatabase, source: MySQLSource) -> None:
    maria_db.execute("CREATE TABLE t (a int PRIMARY KEY)")
    assert source.describe("t").primary_key == source.describe(f"{maria_db.name}.t").primary_key == ("a",)
    assert source.tables() == [f"{maria_db.name}.t"]
    bare = MySQLSource("shop", maria_db.server.dsn())
    assert f"{maria_db.name}.t" in bare.tables() and "mysql.user" not in bare.tables()
    with pytest.raises(ConfigError, match=r"write `table: database\.t`"):
        bare.describe("t")
    bare.close()


def test_a_table_that_is_not_there_names_near_misses(maria_db: MariaDatabase, source: MySQLSource) -> None:
    maria_db.execute("CREATE TABLE orders (a int PRIMARY KEY)")
    with pytest.raises(ConfigError, match=rf"no such table.*did you mean {maria_db.name}\.orders\?"):
        source.describe("order")


def test_a_view_has_no_key(maria_db: MariaDatabase, source: MySQLSource) -> None:
    maria_db.script("CREATE TABLE t (a int PRIMARY KEY, b int); CREATE VIEW v AS SELECT * FROM t")
    facts = source.describe("v")
    assert (facts.primary_key, facts.indexes, len(facts.columns)) == ((), (), 2)
    assert source.tables() == [f"{maria_db.name}.t"]


def test_columns_that_the_role_may_not_read(maria_db: MariaDatabase, open_source: OpenSource) -> None:
    maria_db.execute("CREATE TABLE t (id int PRIMARY KEY, open int, hidden int)")
    partly = open_source("SELECT (id, open), UPDATE (hidden) ON {db}.t")
    facts = partly.describe("t")
    assert (facts.can_select, facts.unreadable) == (False, ("hidden",))
    with pytest.raises(ConfigError, match=r"may not SELECT the column 'hidden'.*GRANT SELECT \(hidden\)"):
        resolve(spec_of("t", ("id",)), facts)


def test_columns_that_the_server_hides_from_the_role(maria_db: MariaDatabase, open_source: OpenSource) -> None:
    maria_db.execute("CREATE TABLE t (id int PRIMARY KEY, open int, hidden int)")
    facts = open_source("SELECT (id, open) ON {db}.t").describe("t")
    assert not facts.can_select and [column.column.name for column in facts.columns] == ["id", "open"]


def test_the_data_keep_their_name_and_the_process_gets_a_new_one(maria_db: MariaDatabase, source: MySQLSource) -> None:
    first = source.identity()
    again = MySQLSource("shop", maria_db.dsn)
    assert again.identity() == first and maria_db.name in first.database
    again.close()


def test_the_option_identity_names_the_data(open_source: OpenSource, source: MySQLSource) -> None:
    """For servers that stand in for each other, whose own names differ."""
    named = open_source(identity="shop-cluster")
    assert named.identity().database.startswith("mysql:shop-cluster/")
    assert named.identity().server == source.identity().server


def test_two_readings_of_the_identity_never_differ(source: MySQLSource) -> None:
    """The time of start is told by two clocks that tick in the same statement."""
    assert len({source.identity() for _ in range(300)}) == 1
