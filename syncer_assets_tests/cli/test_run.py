"""`syncer run`: what it says, what it leaves alone, and what it never says."""

import pytest

from syncer_assets_tests.cli.conftest import Call
from syncer_assets_tests.cli.syncer import Ended, Syncer
from syncer_assets_tests.servers import Database

ORDERS = "{table: public.orders, key: [id], cursor: id, settle_seconds: 0}"
SHOP = """
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text, amount numeric(10, 2));
INSERT INTO orders (email, amount) SELECT 'somebody' || i || '@example.com', i FROM generate_series(1, 1000) i;
CREATE TABLE countries (code text PRIMARY KEY, name text);
INSERT INTO countries VALUES ('DE', 'Germany'), ('FR', 'France');
"""


@pytest.fixture(autouse=True)
def shop(source_db: Database) -> None:
    source_db.execute(SHOP)


def lake(ended: Ended) -> dict[tuple[str, str | None], dict]:
    """The lake's assets of a run, by table and partition."""
    return {
        (asset["key"].split("/")[-1], asset["partition"]): asset
        for asset in ended.result["assets"]
        if asset["key"].startswith("lake/")
    }


def test_a_run_ends_with_one_json_object_that_keeps_the_contract(syncer: Syncer, warehouse_db: Database) -> None:
    syncer.declare(f"{ORDERS}\n{{table: public.countries, load: replace}}")
    ended = syncer("run", "--json")
    assert (ended.code, len(ended.stdout.splitlines())) == (0, 1), ended.stderr
    assert ended.result["ok"] is True
    orders = lake(ended)["orders", None]
    assert {name: orders[name] for name in ("rows", "files", "queries")} == {"rows": 1000, "files": 1, "queries": 2}
    assert orders["seconds"] > 0
    assert {check["name"] for check in orders["checks"]} >= {"row_count", "reached_ceiling"}
    assert all(check["passed"] is True for asset in ended.result["assets"] for check in asset["checks"])
    assert {asset["key"] for asset in ended.result["assets"]} >= {
        "lake/shop/orders",
        "analytics/shop/orders",
        "maintenance/analytics/shop/orders",
        "lake/shop/countries",
    }
    assert warehouse_db.scalar("SELECT count(*) FROM shop.orders") == 1000


def test_people_read_a_table_and_the_log_of_dagster_stays_out_of_it(syncer: Syncer, call: Call) -> None:
    syncer.declare(ORDERS)
    ended = call("run")
    assert ended.code == 0
    assert "shop.orders: done, 1,000 rows" in ended.stdout
    assert ended.stdout.splitlines()[1].split()[:3] == ["table", "parts", "rows"]
    assert ended.stderr == ""


def test_a_sparse_table_costs_three_queries_and_one_file(syncer: Syncer, call: Call, source_db: Database) -> None:
    source_db.execute("CREATE TABLE sparse (id bigint PRIMARY KEY, v text)")
    source_db.execute("INSERT INTO sparse SELECT i * 400, 'v' FROM generate_series(1, 50000) i")
    syncer.declare("{table: public.sparse, cursor: id, settle_seconds: 0}")
    found = lake(call("run", "--json"))["sparse", None]
    assert (found["rows"], found["files"], found["queries"] <= 3) == (50_000, 1, True)


def test_how_a_run_reads_can_be_said_on_the_command_line(syncer: Syncer, call: Call, source_db: Database) -> None:
    source_db.execute("CREATE TABLE many (id bigint PRIMARY KEY); INSERT INTO many SELECT generate_series(1, 4000)")
    source_db.execute("ANALYZE many")
    sizes = "sizes: {streaming_mb: 0.001, parallel_mb: 0.001, parallel_rows: 1}"
    syncer.declare(f"{{table: public.many, cursor: id, settle_seconds: 0, {sizes}}}")
    ended = call("run", "--json", "--chunk-rows", "500", "--strategy", "range", "--readers", "2")
    found = lake(ended)["many", None]
    assert (found["rows"], found["strategy"], found["workers"]) == (4000, "range", 2)
    ended = call("run", "--json", "--full", "--readers", "2", "--chunk-rows", "500", "--profile", "small")
    assert lake(ended)["many", None]["workers"] == 2, "what is said beside the profile wins"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--readers", "17"], "17 is too many: write a number from 1 to 16"),
        (["--readers", "0"], "'0' is no number of 1 or more"),
        (["--strategy", "fast"], "invalid choice: 'fast'"),
    ],
)
def test_a_wrong_way_of_reading_is_told(syncer: Syncer, call: Call, arguments: list[str], said: str) -> None:
    syncer.declare(ORDERS)
    ended = call("run", *arguments)
    assert ended.code == 2 and said in ended.stderr


def test_a_second_run_finds_nothing_new_and_says_so(syncer: Syncer, call: Call) -> None:
    syncer.declare(ORDERS)
    assert call("run").code == 0
    again = call("run", "--json")
    assert (again.code, lake(again)["orders", None]["rows"]) == (0, 0)
    assert "nothing new" in call("run").stdout


def test_one_table_fails_and_the_others_arrive(syncer: Syncer, call: Call, warehouse_db: Database) -> None:
    syncer.declare("{table: public.orders, cursor: upd}\n{table: public.customers, cursor: id}\n"
                   "{table: public.countries, load: replace}")  # fmt: skip
    ended = call("run", "--json")
    assert (ended.code, ended.result["ok"]) == (1, False)
    assert warehouse_db.scalar("SELECT count(*) FROM shop.countries") == 2
    first, second = ended.errors
    assert first.startswith("error: shop.orders: `cursor` names the column 'upd', which the table does not have. Fix: ")
    assert second.startswith("error: shop.customers: there is no such table in the source")
    assert [problem["kind"] for problem in ended.result["problems"]] == ["config", "config"]


@pytest.mark.parametrize("side", ["SOURCE", "WAREHOUSE"])
def test_a_wrong_password_is_one_line_without_it(
    syncer: Syncer, call: Call, source_db: Database, warehouse_db: Database, side: str
) -> None:
    database = source_db if side == "SOURCE" else warehouse_db
    role = f"reader_{database.name}"
    database.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'right'")
    if not database.execute("SELECT 1 FROM pg_roles WHERE rolname = 'password'", []):
        database.execute("CREATE ROLE password")
    database.execute(f"GRANT password TO {role}; GRANT CONNECT ON DATABASE {database.name} TO {role}")
    try:
        syncer.declare(ORDERS)
        ended = call("run", "--json", **{f"TEST_{side}_DSN": database.dsn_as(role, "s3cret-and-wrong")})
    finally:
        database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert ended.code == 1
    assert len(ended.errors) == 1
    assert "password authentication failed" in ended.errors[0] and "Fix: check the password" in ended.errors[0]
    assert "s3cret" not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_variable_that_is_not_set_is_named(syncer: Syncer, call: Call) -> None:
    syncer.declare(ORDERS)
    ended = call("run", TEST_SOURCE_DSN=None)
    assert ended.code == 1
    assert "TEST_SOURCE_DSN is not set" in ended.errors[0]


def test_a_lake_that_cannot_be_written_is_one_line(syncer: Syncer, call: Call) -> None:
    syncer.declare(ORDERS)
    (syncer.folder / "file").write_text("no folder")
    ended = call("run", TEST_LAKE=f"file://{syncer.folder / 'file' / 'lake'}")
    assert ended.code == 1
    assert len(ended.errors) == 1 and "Fix: " in ended.errors[0]


def test_what_was_read_is_loaded_by_the_next_run(syncer: Syncer, call: Call, warehouse_db: Database) -> None:
    syncer.declare("{table: public.orders, cursor: id, settle_seconds: 0, partitions: {by: id, size: 400}}")
    broken = call("run", "--json", TEST_WAREHOUSE_DSN="postgresql://nobody@/nowhere?host=/no/such/folder")
    assert broken.code == 1
    assert call("run").code == 0
    assert warehouse_db.scalar("SELECT count(*) FROM shop.orders") == 1000


def test_partitions_are_those_with_rows_and_one_can_be_asked_for(syncer: Syncer, call: Call) -> None:
    syncer.declare("{table: public.orders, cursor: id, settle_seconds: 0, partitions: {by: id, size: 400}}")
    keys = [f"{low:012d}-{low + 399:012d}" for low in (0, 400, 800)]
    assert [key for _, key in lake(call("run", "--json"))] == keys
    assert [key for _, key in lake(call("run", "--json"))] == keys[-1:]
    asked = call("run", "--json", "--partition", keys[1])
    assert {key: (asset["rows"], asset["mode"]) for (_, key), asset in lake(asked).items()} == {
        keys[1]: (400, "replace")
    }
    assert sum(asset["rows"] for asset in lake(call("run", "--json", "--full")).values()) == 1000


def test_a_partition_that_is_not_there_is_refused(syncer: Syncer, call: Call) -> None:
    syncer.declare("{table: public.orders, cursor: id, partitions: {by: id, size: 400}}")
    odd = call("run", "--partition", "2024-01-01")
    assert (odd.code, "there is none" in odd.stderr or "no table has a partition" in odd.stderr) == (2, True)
    beyond = call("run", "--partition", f"{4000:012d}-{4399:012d}")
    assert beyond.code == 1
    assert "there is no partition" in beyond.errors[0]


def test_a_table_that_is_not_there_is_wrong_usage(syncer: Syncer, call: Call) -> None:
    syncer.declare(ORDERS)
    ended = call("run", "--select", "order", "--json")
    assert (ended.code, ended.result["ok"]) == (2, False)
    assert "did you mean public.orders?" in ended.errors[0]


def test_without_tables_there_is_nothing_to_run(call: Call) -> None:
    ended = call("run", "--json")
    assert ended.code == 1
    assert "syncer discover" in ended.errors[0]


def test_wrong_options_are_wrong_usage(call: Call) -> None:
    assert call("run", "--chunk-rows", "0").code == 2
    assert call("demo", "--select", "orders").code == 2
    assert call("demo", "--scale", "0").code == 2
    assert call("walk").code == 2


def test_chunks_can_be_made_smaller(syncer: Syncer, call: Call) -> None:
    syncer.declare(ORDERS)
    assert lake(call("run", "--json", "--chunk-rows", "100"))["orders", None]["queries"] >= 10


def test_a_key_is_needed_to_hash_and_what_is_hashed_stays_out_of_sight(
    syncer: Syncer, call: Call, warehouse_db: Database
) -> None:
    syncer.declare(
        "{table: public.orders, cursor: id, settle_seconds: 0, columns: {hash: [email], hash_key_env: TEST_HASH_KEY}}"
    )
    assert "TEST_HASH_KEY" in call("run", TEST_HASH_KEY=None).errors[0]
    ended = call("run", "--json", "--verbose")
    assert ended.code == 0
    assert "@example.com" not in ended.stdout + ended.stderr
    assert warehouse_db.scalar("SELECT count(*) FROM shop.orders WHERE email ~ '^[0-9a-f]{64}$'") == 1000


@pytest.mark.slow
def test_workers_share_the_tables_and_the_instance(syncer: Syncer, home: str, warehouse_db: Database) -> None:
    syncer.declare(f"{ORDERS}\n{{table: public.countries, load: replace}}\n{{table: public.nothing, load: replace}}")
    parallel = Syncer(syncer.folder, {**syncer.env, "DAGSTER_HOME": home})
    ended = parallel("run", "--workers", "2", "--json")
    assert ended.code == 1
    assert {name for name, _ in lake(ended)} == {"orders", "countries"}
    assert len(ended.errors) == 1 and "shop.nothing" in ended.errors[0]
    assert warehouse_db.scalar("SELECT count(*) FROM shop.orders") == 1000


def test_red_checks_fail_the_run_and_are_remembered_by_partition(syncer: Syncer, call: Call, home: str) -> None:
    syncer.declare(
        "{table: public.orders, cursor: id, settle_seconds: 0, "
        "partitions: {by: prefix, column: email, prefixes: [somebody1, somebody2]}}"
    )
    ended = call("run", "--json", DAGSTER_HOME=home)
    assert ended.code == 1
    assert any("rows_outside_partitions" in line for line in ended.errors)
    seen = call("status", "--json", DAGSTER_HOME=home)
    red = {part["partition"]: part["red_checks"] for part in seen.result["partitions"]}
    assert red == {"somebody1": ["lake:rows_outside_partitions"], "somebody2": ["lake:rows_outside_partitions"]}
    assert "✗ 2 partitions" in call("status", DAGSTER_HOME=home).stdout


def test_a_pattern_selects_tables(syncer: Syncer, call: Call) -> None:
    syncer.declare(f"{ORDERS}\n{{table: public.countries, load: replace}}")
    assert [table["table"] for table in call("status", "--json", "--select", "shop.c*").result["tables"]] == [
        "shop.countries"
    ]
    assert call("status", "--json", "--select", "x*").code == 2


def test_a_home_that_dagster_would_refuse_is_told(syncer: Syncer, call: Call) -> None:
    syncer.declare(ORDERS)
    (syncer.folder / "home").mkdir()
    ended = call("run", DAGSTER_HOME="home")
    assert ended.errors == [
        f"error: DAGSTER_HOME=home is no absolute path. Fix: export DAGSTER_HOME={syncer.folder}/home"
    ]
