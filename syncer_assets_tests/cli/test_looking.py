"""Commands that only look: plan, status, watermarks, doctor, reconcile, discover, adopt."""

from pathlib import Path

import pytest
import yaml

from syncer_assets_tests.cli.conftest import Call
from syncer_assets_tests.cli.syncer import Syncer
from syncer_assets_tests.servers import Database

ORDERS = "{table: public.orders, cursor: updated_at, settle_seconds: 0, late_commit_lag: 0s}"


@pytest.fixture(autouse=True)
def shop(source_db: Database, syncer: Syncer) -> None:
    source_db.execute(
        "CREATE TABLE orders (id bigserial PRIMARY KEY, note text, updated_at timestamptz NOT NULL DEFAULT now());"
        "INSERT INTO orders (note) SELECT 'n' FROM generate_series(1, 500); ANALYZE orders"
    )
    syncer.declare(ORDERS)


def test_a_plan_says_what_would_be_read_and_writes_nothing(syncer: Syncer, call: Call) -> None:
    ended = call("plan", "--json")
    assert ended.code == 0, ended.stderr
    (planned,) = ended.result["tables"]
    (part,) = planned["partitions"]
    assert (part["rows"], part["chunks"], part["files"], part["low"]) == (500, 1, 1, None)
    assert part["sql"].startswith('SELECT t."id"')
    assert planned["risks"] == [], "so few rows are sorted in a moment"
    assert not (syncer.folder / "lake").exists()


def test_a_cursor_of_many_rows_wants_an_index(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncer_assets.sync.plan.SMALL_ROWS", 499)
    assert "! cursor without an index" in call("plan").stdout
    monkeypatch.setattr("syncer_assets.sync.plan.SMALL_ROWS", 500)
    assert "!" not in call("plan").stdout


def test_a_plan_after_a_run_begins_at_its_mark(call: Call, source_db: Database) -> None:
    assert call("run").code == 0
    assert call("plan", "--json").result["tables"][0]["partitions"] == []
    source_db.execute("INSERT INTO orders (note) VALUES ('new')")
    (part,) = call("plan", "--json").result["tables"][0]["partitions"]
    assert part["reason"] == "new rows"
    assert part["low"] is not None


def test_what_keeps_all_tables_from_a_plan_is_told_once(syncer: Syncer, call: Call) -> None:
    syncer.declare(f"{{table: public.nothing, load: replace}}\n{ORDERS}")
    ended = call("plan", "--json", TEST_SOURCE_DSN=None)
    assert (ended.code, len(ended.errors)) == (1, 1)
    assert ["TEST_SOURCE_DSN" in table["error"] for table in ended.result["tables"]] == [True, True]


def test_a_plan_names_a_table_that_cannot_be_read(syncer: Syncer, call: Call) -> None:
    syncer.declare(f"{{table: public.nothing, load: replace}}\n{ORDERS}")
    ended = call("plan", "--json")
    assert ended.code == 1
    assert "public.nothing" in ended.errors[0]
    assert len(ended.result["tables"]) == 2


def test_status_and_watermarks_before_and_after_a_run(syncer: Syncer, call: Call) -> None:
    assert "never synced" in call("status").stdout
    assert "never synced" in call("watermarks").stdout
    assert not (syncer.folder / "lake").exists()
    assert call("run").code == 0
    (part,) = call("status", "--json").result["partitions"]
    assert (part["rows"], part["pending_manifests"], part["red_checks"]) == (500, 0, [])
    (table,) = call("status", "--json").result["tables"]
    assert (table["table"], table["target"], table["rows"]) == ("shop.orders", "analytics.shop.orders", 500)
    assert (table["last_load_rows"], table["proofs"], table["dead_rows"]) == (500, ["writers_finished"], 0)
    assert table["rows_per_minute"] > 0 and table["bytes"] > 0 and table["bloat_percent"] is not None
    (marks,) = call("watermarks", "--json").result["watermarks"]
    assert (marks["seq"], marks["loaded_seq"], marks["proof"]) == (1, 1, "writers_finished")
    assert marks["safe"] == marks["high"]


def test_reconcile_finds_what_no_cursor_sees(call: Call, source_db: Database, warehouse_db: Database) -> None:
    assert call("run").code == 0
    assert call("reconcile").code == 0
    source_db.execute("DELETE FROM orders WHERE id = 7")
    warehouse_db.execute("UPDATE shop.orders SET note = 'changed behind its back' WHERE id = 9")
    ended = call("reconcile", "--json")
    (found,) = ended.result["tables"]
    assert ended.code == 1
    assert (found["rows_extra"], found["rows_changed"], found["rows_missing"]) == (1, 1, 0)
    assert found["keys"] == {}


def test_reconcile_repairs_what_it_is_told_to(
    syncer: Syncer, call: Call, source_db: Database, warehouse_db: Database
) -> None:
    assert call("run").code == 0
    source_db.execute("DELETE FROM orders WHERE id = 7")
    warehouse_db.execute("UPDATE shop.orders SET note = 'changed behind its back' WHERE id = 9")
    ended = call("reconcile", "--repair", "--keys", "5", "--json")
    (found,) = ended.result["tables"]
    assert ended.code == 1, "deletes: detect only names what is gone"
    assert (found["rows_repaired"], found["rows_deleted"], found["after"]["rows_extra"]) == (1, 0, 1)
    assert found["keys"] == {"missing": [], "changed": [["9"]], "extra": [["7"]]}
    assert "`deletes: soft` or `hard`" in ended.stderr
    syncer.declare(ORDERS.replace("}", ", deletes: hard}"))
    ended = call("reconcile", "--repair")
    assert ended.code == 0, ended.stderr
    assert "changed behind" not in ended.stdout
    assert warehouse_db.scalar("SELECT count(*) FROM shop.orders WHERE id = 7 OR note <> 'n'") == 0
    assert call("run").code == 0


def test_the_doctor_is_content_with_what_works(call: Call, home: str) -> None:
    ended = call("doctor", "--json", DAGSTER_HOME=home)
    assert ended.code == 0, ended.stdout
    assert {finding["about"].split()[0] for finding in ended.result["findings"]} == {
        "environment",
        "lake",
        "source",
        "shop.public.orders",
        "warehouse",
    }
    assert not [finding for finding in ended.result["findings"] if finding["level"] == "error"]


def test_the_doctor_advises_with_statements_and_lines_to_paste(
    syncer: Syncer, call: Call, source_db: Database, warehouse_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncer_assets.sync.plan.SMALL_ROWS", 0)
    assert call("run").code == 0
    connections = syncer.folder / "defs" / "connections" / "defs.yaml"
    limited = "{type: postgres, dsn_env: TEST_WAREHOUSE_DSN, server: {storage_gb: 0.02}, insecure: true}"
    connections.write_text(connections.read_text().replace("{type: postgres, dsn_env: TEST_WAREHOUSE_DSN}", limited))
    warehouse_db.execute(
        "UPDATE _syncer.loads SET loaded_at = now() - interval '11 days', wal_bytes = 5 * 1024::bigint ^ 3;"
        "INSERT INTO _syncer.loads (target_name, partition_key, seq, manifest_sha256, rows_in, rows_inserted,"
        " rows_updated, rows_unchanged, rows_stale, rows_deduplicated, how, run_id) VALUES"
        " ('shop.orders', 'all', 2, '', 500000, 500000, 0, 0, 0, 0, 'merge', 'r')"
    )
    ended = call("doctor", "--json")
    found = {(finding["about"], finding["name"]): finding for finding in ended.result["findings"]}
    assert ended.code == 0, "advice fails nothing"
    index = found["shop.public.orders", "cursor_without_index"]
    assert index["fix"] == 'CREATE INDEX CONCURRENTLY ON "public"."orders" ("updated_at", "id")'
    assert found["warehouse analytics", "max_wal_size"]["fix"].startswith("ALTER SYSTEM SET max_wal_size = '16GB'")
    assert "full in" in found["warehouse analytics", "headroom"]["text"]
    assert found["warehouse analytics", "headroom"]["level"] == "warning"
    assert "verify-full" in found["warehouse analytics", "TLS"]["text"] and ("source shop", "TLS") not in found
    assert "streaming from" in found["shop.public.orders", "growth"]["text"]
    for about in ("source shop", "warehouse analytics"):
        assert "lock_timeout" in found[about, "session"]["facts"]
    source_db.execute(index["fix"])
    again = call("doctor").stdout
    assert "cursor without an index" not in again
    assert "ALTER SYSTEM SET max_wal_size = '16GB'" in again


def test_the_doctor_names_each_error_with_its_fix(syncer: Syncer, call: Call) -> None:
    syncer.declare(
        "{table: public.orders, cursor: updated_at, columns: {hash: [note], hash_key_env: TEST_MISSING_KEY}}\n"
        "{table: public.nothing, load: replace}"
    )
    (syncer.folder / "file").write_text("no folder")
    ended = call(
        "doctor",
        "--json",
        TEST_WAREHOUSE_DSN="postgresql://nobody:s3cret@127.0.0.1:9/nowhere",
        TEST_LAKE=f"file://{syncer.folder / 'file' / 'lake'}",
        DAGSTER_HOME="/no/such/folder",
    )
    assert ended.code == 1
    errors = {finding["about"].split()[0]: finding["text"] for finding in ended.result["findings"]
              if finding["level"] == "error"}  # fmt: skip
    assert set(errors) == {"environment", "lake", "shop.public.nothing", "warehouse"}
    assert "s3cret" not in ended.stdout


def test_discover_prints_what_a_run_takes(syncer: Syncer, call: Call) -> None:
    ended = call("discover", "shop")
    assert ended.code == 0, ended.stderr
    document = yaml.safe_load(ended.stdout)
    assert document["type"] == "syncer_assets.TableSync"
    assert document["attributes"]["tables"] == [
        {"table": "public.orders", "key": ["id"], "cursor": "updated_at", "load": "upsert"}
    ]
    path = syncer.folder / "defs" / "shop" / "defs.yaml"
    assert "is there already" in call("discover", "shop", "--write").errors[0]
    assert call("discover", "shop", "--write", "--force", "--schema", "sales").code == 0
    assert yaml.safe_load(path.read_text())["attributes"]["schema"] == "sales"
    assert call("run").code == 0


def test_discover_selects_tables_and_knows_its_sources(call: Call, source_db: Database) -> None:
    source_db.execute("CREATE SCHEMA sales; CREATE TABLE sales.leads (id int PRIMARY KEY)")
    found = call("discover", "shop", "--json", "--select", "sales.*").result["tables"]
    assert [table["table"] for table in found] == ["sales.leads"]
    assert call("discover", "shop", "--select", "nothing").code == 2
    assert call("discover", "elsewhere").code == 2
    assert call("discover", "shop", "--warehouse", "elsewhere").code == 2


def test_another_source_is_refused_until_it_is_adopted(
    syncer: Syncer, call: Call, source_db: Database, warehouse_db: Database
) -> None:
    assert call("run").code == 0
    twin = f"{source_db.name}_twin"
    warehouse_db.execute(f"CREATE DATABASE {twin} TEMPLATE {source_db.name}")
    try:
        moved = source_db.server.dsn(twin, user=source_db.role)
        refused = call("run", TEST_SOURCE_DSN=moved)
        assert refused.code == 1
        assert "syncer adopt" in refused.errors[0]
        adopted = call("adopt", "orders", "--json", TEST_SOURCE_DSN=moved)
        assert adopted.code == 0, adopted.stderr
        assert adopted.result["source_identity"] not in adopted.result["earlier_identities"]
        assert call("run", TEST_SOURCE_DSN=moved).code == 0
    finally:
        source_db.server.drop_database(twin)
    assert call("adopt", "nothing").code == 2


def test_a_lake_that_was_lost_is_no_loss_after_a_full_run(
    syncer: Syncer, call: Call, source_db: Database, warehouse_db: Database
) -> None:
    assert call("run").code == 0
    (syncer.folder / "lake").rename(syncer.folder / "lost")
    refused = call("run")
    assert refused.code == 1
    assert "syncer run --full" in refused.errors[0]
    source_db.execute("INSERT INTO orders (note) VALUES ('meanwhile')")
    ended = call("run", "--full")
    assert ended.code == 0, ended.stderr
    assert warehouse_db.scalar("SELECT count(*) FROM shop.orders") == 501
    assert [table["rows"] for table in call("status", "--json").result["tables"]] == [501]
    assert call("reconcile").code == 0
    assert call("run").code == 0


def test_every_command_says_what_it_does(call: Call) -> None:
    listed = "demo run discover plan status watermarks report doctor reconcile adopt"
    for command in listed.split():
        ended = call(command, "--help")
        assert ended.code == 0
        assert all(option in ended.stdout for option in ("--defs", "--select", "--json"))


def test_definitions_that_are_wrong_are_one_line(syncer: Syncer, call: Call) -> None:
    syncer.declare("{table: public.orders, cursr: updated_at}")
    ended = call("run", "--json")
    assert ended.code == 1
    assert len(ended.errors) == 1 and "cursr" in ended.errors[0]
    assert "Traceback" not in ended.stderr
    missing = call("status", "--json")
    assert missing.result["ok"] is False


def test_a_folder_of_definitions_that_is_not_there(syncer: Syncer, call: Call, tmp_path: Path) -> None:
    (syncer.folder / "defs").rename(tmp_path / "elsewhere")
    assert "there is no folder" in call("run").errors[0]
