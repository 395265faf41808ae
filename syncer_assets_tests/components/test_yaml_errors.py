"""What is wrong in the YAML is told with file, line, table, field and fix."""

from pathlib import Path

import pytest

from syncer_assets.components.deployment import load_connections
from syncer_assets.components.loading import load_definitions
from syncer_assets.components.yaml_shape import refuse_repeated
from syncer_assets.model.errors import ConfigError
from syncer_assets_tests.components.deployments import CONNECTIONS, write_defs

FIRST_TABLE_LINE = 6


def error_of(folder: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        load_definitions(folder)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    return str(raised.value)


@pytest.mark.parametrize(
    ("entry", "field", "message", "fix"),
    [
        ("{table: t, cursr: id}", "cursr", "`cursr` is not a field", "did you mean cursor"),
        ("{table: t, cursor: id, chunk: {row: 1}}", "chunk.row", "`row` is not a field", "did you mean rows?"),
        ("{cursor: id}", "table", "`table` is missing", "The table in the source"),
        ("{table: t, cursor: 5}", "cursor", "should be a valid string", "[updated_at, id]"),
        ("{table: t, cursor: id, load: upsrt}", "load", "'upsert', 'append' or 'replace'", "How rows enter"),
        ("{table: t, cursor: id, late_commit_lag: 5 min}", "late_commit_lag", "'5 min' is no duration", "5m"),
        ("{table: t, cursor: id, freshness: 1}", "freshness", "should be a valid string", "beyond this lag"),
        ("{table: t, cursor: id, chunk: {rows: 0}}", "chunk.rows", "0 is too small", "above 0"),
        ("{table: t, cursor: id, workers: 17}", "workers", "17 is no number of workers", "from 1 to 16"),
        ("{table: t, cursor: id, workers: 0}", "workers", "0 is no number of workers", "from 1 to 16"),
        ("{table: t, cursor: [at, id], workers: 2}", "workers", "need one integer cursor", "remove `workers`"),
        ("{table: t, cursor: id, strategy: fast}", "strategy", "'auto', 'keyset' or 'range'", "ranges of ids"),
        ("{table: t, cursor: [at, id], strategy: range}", "strategy", "needs one integer cursor", "keyset"),
        ("{table: t, cursor: id, profile: tiny}", "profile", "'standard' or 'small'", "128 MB"),
        (
            "{table: t, cursor: id, sparse: {efficiency_threshold: 10}}",
            "sparse.efficiency_threshold",
            "10.0 is no share",
            "from 0 to 1",
        ),
        ("{table: t, cursor: id, sparse: {limit: 2}}", "sparse.limit", "`limit` is not a field", "known are enabled"),
        ("{table: t, cursor: id, sizes: {parallel_mb: 0}}", "sizes.parallel_mb", "0.0 is too small", "above 0"),
        (
            "{table: t, cursor: id, files: {min_rows: 9, max_rows: 5}}",
            "files.min_rows",
            "`min_rows` is above `max_rows`",
            "make it smaller",
        ),
        ("{table: t, cursor: id, columns: {truncate: {a: 0}}}", "columns.truncate.a", "0 is too small", "above 0"),
        (
            "{table: t, cursor: id, columns: {mask: {a: {}}, hash: [a]}}",
            "columns.mask",
            "'a' has another rule too",
            "keep it in one",
        ),
        (
            "{table: t, cursor: id, columns: {mask: {a: 4}}}",
            "columns.mask.a",
            "a mask is a text or a block",
            'write "***"',
        ),
        (
            "{table: t, cursor: id, columns: {truncate: {id: 2}}}",
            "columns.truncate",
            "by 'id' rows are told apart",
            "use `columns.hash`",
        ),
        ("{table: t, cursor: id, max_shrink: 2}", "max_shrink", "2.0 is no share", "from 0 to 1"),
        ("{table: t, cursor: id, schedule: daily}", "schedule", "'daily' is no cron expression", "five fields"),
        (
            "{table: t, cursor: id, schedule: {cron: '0 2 * * *', timezone: Mars}}",
            "schedule.timezone",
            "'Mars' is no time zone",
            "Europe/Berlin",
        ),
        ("{table: t, cursor: id, cursor_zone: CETT}", "cursor_zone", "'CETT' is no time zone", "Europe/Berlin"),
        ("{table: t}", "load", "`load: upsert` needs a cursor", "use `load: replace`"),
        ("{table: t, load: append}", "load", "`load: append` needs a cursor", "use `load: replace`"),
        ("{table: t, cursor: id, deletes: sof}", "deletes", "'detect', 'soft' or 'hard'", "marks them"),
        ("{table: t, load: replace, deletes: soft}", "deletes", "deletes what a re-read does not", "`deletes: hard`"),
        (
            "{table: t, cursor: id, key: k, columns: {hash: [k]}, deletes: hard}",
            "deletes",
            "the key column 'k' is hashed",
            "leave the key plain",
        ),
        ("{table: t, cursor: id, reconcile: weekly}", "reconcile", "'weekly' is no cron expression", "five fields"),
        ("{table: t, cursor: id, reconcile: {repare: true}}", "reconcile.repare", "not a field", "did you mean repair"),
        (
            "{table: t, cursor: id, load: append, null_cursor: include}",
            "null_cursor",
            "`load: append` doubles them",
            "use `load: upsert`",
        ),
        ("{table: t, load: replace, partitions: {by: id}}", "partitions", "partitions need a cursor", "drop"),
        (
            "{table: t, cursor: at, partitions: {by: time}}",
            "partitions.start",
            "partitions by time need `start`",
            "2024-01-01",
        ),
        (
            "{table: t, cursor: at, partitions: {by: time, every: month, start: '2024-01-15'}}",
            "partitions.start",
            "is not the start of a month",
            "2024-01-01",
        ),
        (
            "{table: t, cursor: at, partitions: {by: time, start: soon}}",
            "partitions.start",
            "'soon' is no ISO date",
            "2024-01-01",
        ),
        (
            "{table: t, cursor: code, partitions: {by: prefix}}",
            "partitions",
            "need either `prefixes` or `length`",
            "one of the two",
        ),
        (
            "{table: t, cursor: id, partitions: {by: id, start: '2024-01-01'}}",
            "partitions.start",
            "`start` means nothing for `by: id`",
            "remove it",
        ),
        ("{table: t, cursor: id, partitions: {by: hash}}", "partitions.by", "'id', 'time', 'prefix' or 'none'", "cut"),
        ("{table: t, cursor: id, columns: {hash: [a], exclude: [a]}}", "columns.hash", "'a' is also excluded", "keep"),
        ("{table: t, key: a, cursor: id, columns: {exclude: [a]}}", "columns.exclude", "key column 'a'", "hash it"),
        ("{table: t, key: a, cursor: id, columns: {include: [b]}}", "columns.include", "'a' is left out", "include it"),
        (
            "{table: t, cursor: id, columns: {exclude: [a]}, indexes: [{columns: [a]}]}",
            "indexes",
            "'a' is excluded",
            "index another",
        ),
        (
            "{table: t, cursor: id, indexes: [{columns: [a], expression: lower(a)}]}",
            "indexes",
            "either `columns` or an `expression`",
            "one of the two",
        ),
        ("{table: t, cursor: id, indexes: [{unique: true}]}", "indexes", "either `columns` or", "one of the two"),
        ("{table: t, cursor: id, storage: {fillfactor: 5}}", "storage.fillfactor", "5 is out of range", "10 to 100"),
        ("{table: t, cursor: id, storage: {oids: true}}", "storage.oids", "`oids` is not a field", "fillfactor"),
        ("{table: t, cursor: id, bloat: {warn: {percent: 30}}}", "bloat.warn.mb", "`mb` is missing", "Megabytes"),
        (
            "{table: t, cursor: id, bloat: {act: {percent: 101, mb: 1}}}",
            "bloat.act.percent",
            "101.0 is out of range",
            "0 to 100",
        ),
        (
            "{table: t, cursor: id, bloat: {warn: {percent: 60, mb: 100}}}",
            "bloat",
            "reached before a lower one",
            "warn <= act <= error",
        ),
        ("{table: t, cursor: id, repair: {window: '1-5'}}", "repair.window", "'1-5' is no window", "01:00-05:00"),
        (
            "{table: t, cursor: id, repair: {window: '05:00-05:00'}}",
            "repair.window",
            "is no window",
            "two different times",
        ),
        ("{table: t, cursor: id, repair: {free_space_mb: 0}}", "repair.free_space_mb", "0.0 is too small", "above 0"),
        ("{table: t, cursor: id, name: a-b}", "name", "'a-b' cannot be a name", "letters, digits"),
        ("{table: t, cursor: id, owners: [somebody]}", "owners", "'somebody' is no owner", "team:name"),
    ],
)
def test_a_wrong_entry_is_told_with_its_line_field_and_fix(
    tmp_path: Path, entry: str, field: str, message: str, fix: str
) -> None:
    folder = write_defs(tmp_path / "defs", f"- {{table: public.good, cursor: id}}\n- {entry}\n")
    error = error_of(folder)
    table = "table t" if "table: t" in entry else "table number 2"
    assert error.startswith(f"{folder}/shop/defs.yaml:{FIRST_TABLE_LINE + 1}: {table}, field {field}: ")
    assert message in error
    assert fix in error.partition("Fix: ")[2]
    assert "\n" not in error


def test_the_line_is_the_fields_own_in_a_block(tmp_path: Path) -> None:
    folder = write_defs(tmp_path / "defs", "- table: public.orders\n  cursor: id\n  chunk:\n    rows: 10\n    row: 1\n")
    assert f"defs.yaml:{FIRST_TABLE_LINE + 4}: table public.orders, field chunk.row" in error_of(folder)


def test_every_problem_is_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    folder = write_defs(tmp_path / "defs", "- {table: a, cursr: id}\n- {table: b, cursor: id, lod: append}\n")
    lines = error_of(folder).splitlines()
    assert lines[0] == "2 problems in the YAML:"
    assert [line.split(": ")[1] for line in lines[1:]] == ["table a, field cursr", "table b, field lod"]


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ("- {table: t, cursor: id}\n- {table: t, cursor: id}\n", "the table is there twice"),
        ("- {table: a.t, cursor: id}\n- {table: b.t, cursor: id}\n", "loaded into analytics.shop.t too"),
        ("- {table: a, cursor: id}\n- {table: b, name: a, cursor: id}\n", "is named 'a' too"),
    ],
)
def test_tables_that_clash_are_told_at_the_later_one(tmp_path: Path, tables: str, message: str) -> None:
    error = error_of(write_defs(tmp_path / "defs", tables))
    assert f":{FIRST_TABLE_LINE + 1}: " in error
    assert message in error


@pytest.mark.parametrize(("warehouse", "clash"), [("snowflake", True), ("postgres", False)])
def test_names_that_differ_in_capitals_are_one_table_in_snowflake(tmp_path: Path, warehouse: str, clash: bool) -> None:
    connections = CONNECTIONS.replace("analytics: {type: postgres", f"analytics: {{type: {warehouse}")
    folder = write_defs(tmp_path, "- {table: t, cursor: id}\n- {table: T, cursor: id}\n", connections=connections)
    if clash:
        assert "loaded into analytics.shop.T too" in error_of(folder)
    else:
        load_definitions(folder)


def test_tables_that_clash_are_found_across_files(tmp_path: Path) -> None:
    folder = write_defs(tmp_path / "defs", "- {table: t, cursor: id}\n")
    (folder / "more").mkdir()
    (folder / "more" / "defs.yaml").write_text((folder / "shop" / "defs.yaml").read_text())
    assert "the table is there twice" in error_of(folder)


@pytest.mark.parametrize(
    ("change", "line", "message"),
    [
        (
            ("source: shop", "source: shopp"),
            3,
            "the source 'shopp' is not among the connections. Fix: did you mean shop?",
        ),
        (("warehouse: analytics", "warehouse: other"), 4, "the warehouse 'other' is not among the connections"),
        (("source: shop", "source: shop\n  grop: x"), 4, "`grop` is not a field. Fix: did you mean group?"),
    ],
)
def test_a_wrong_field_of_the_component_is_told(
    tmp_path: Path, change: tuple[str, str], line: int, message: str
) -> None:
    folder = write_defs(tmp_path / "defs", "- {table: t, cursor: id}\n")
    file = folder / "shop" / "defs.yaml"
    file.write_text(file.read_text().replace(*change))
    error = error_of(folder)
    assert f"{file}:{line}: " in error
    assert message in error


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("type: postgres, dsn_env: TEST_SHOP_DSN", "type: oracel, dsn_env: X"), "the type 'oracel' is not known"),
        (("dsn_env: TEST_SHOP_DSN", "dsn_env: 'postgresql://u:canary-1@h/d'"), "no name of an environment variable"),
        (("dsn_env: TEST_SHOP_DSN", "dsn: 'postgresql://u:canary-1@h/d'"), "`dsn` is not a field. Fix: did you mean"),
        (("{{ env('TEST_LAKE', 'memory://lake') }}", "/data/lake"), "the lake's url is of no known kind"),
        (("    shop: {", "    my-shop: {"), "'my-shop' cannot be a name here"),
    ],
)
def test_a_wrong_connection_is_told_without_its_secret(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    changed = CONNECTIONS.replace(*change)
    assert changed != CONNECTIONS
    error = error_of(write_defs(tmp_path / "defs", "- {table: t, cursor: id}\n", connections=changed))
    assert "connections/defs.yaml:" in error
    assert message in error
    assert "canary-1" not in error


def test_no_connections_and_two_of_them_are_told(tmp_path: Path) -> None:
    folder = write_defs(tmp_path / "one", "- {table: t, cursor: id}\n")
    (folder / "more").mkdir()
    (folder / "more" / "defs.yaml").write_text(CONNECTIONS)
    assert "there are 2 syncer_assets.Connections. Fix: merge them into one" in error_of(folder)
    for file in (folder / "more" / "defs.yaml", folder / "connections" / "defs.yaml"):
        file.unlink()
    assert "there is no syncer_assets.Connections" in error_of(folder)


def test_what_is_no_yaml_is_told_with_its_line_and_without_quoting_it(tmp_path: Path) -> None:
    folder = write_defs(tmp_path / "defs", "- {table: t, cursor: id}\n")
    file = folder / "shop" / "defs.yaml"
    file.write_text(file.read_text() + "   password: canary-1\n")
    error = error_of(folder)
    assert f"{file}:{FIRST_TABLE_LINE + 1}: this is no YAML" in error
    assert "canary-1" not in error


def test_an_unknown_component_is_told(tmp_path: Path) -> None:
    folder = write_defs(tmp_path / "defs", "- {table: t, cursor: id}\n")
    file = folder / "shop" / "defs.yaml"
    file.write_text(file.read_text().replace("TableSync", "TabelSync"))
    assert f"{file}:1: field type: `syncer_assets.TabelSync` is no component. Fix: did you mean TableSync?" in error_of(
        folder
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("syncer_assets.", "syncer_asets."), ":1: field type: `syncer_asets.TableSync` is no component that is ins"),
        (("syncer_assets.", ""), ":1: field type: `TableSync` is no component that is installed. Fix: did you mean sy"),
        (("type: syncer_assets.TableSync\n", ""), ":1: field type: `type` is missing"),
        (
            ("attributes:", "atributes:"),
            ":2: field atributes: `atributes` is not a field. Fix: did you mean attributes?",
        ),
        (
            ("cursor: id}", "cursor: id, chunk: 5}"),
            "field chunk: a block of fields belongs here. Fix: write fields: rows",
        ),
        (
            ("cursor: id}", "cursor: id, indexes: [a]}"),
            "field indexes: a block of fields belongs here. Fix: write field",
        ),
        (("{table: t, cursor: id}", "t"), f":{FIRST_TABLE_LINE}: a block of fields belongs here. Fix: write table: .."),
        (("cursor: id}", "cursor: id, cursor: at}"), f":{FIRST_TABLE_LINE}: `cursor` is there twice, first in line 6"),
        (("  source: shop\n", "  source: shop\n  source: shop\n"), ":4: `source` is there twice, first in line 3"),
    ],
)
def test_what_surrounds_the_fields_is_told_as_well(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    folder = write_defs(tmp_path / "defs", "- {table: t, cursor: id}\n")
    file = folder / "shop" / "defs.yaml"
    changed = file.read_text().replace(*change)
    assert changed != file.read_text()
    file.write_text(changed)
    assert said in error_of(folder)


def test_two_connections_of_one_name_are_refused_and_not_merged(tmp_path: Path) -> None:
    twice = CONNECTIONS.replace("  warehouses:", "    shop: {type: mysql, dsn_env: TEST_OTHER_DSN}\n  warehouses:")
    folder = write_defs(tmp_path / "defs", "- {table: t, cursor: id}\n", connections=twice)
    error = error_of(folder)
    assert f"{folder}/connections/defs.yaml:7: `shop` is there twice, first in line 6" in error
    with pytest.raises(ConfigError, match="is there twice"):
        load_connections(folder)


def test_a_merge_of_anchors_repeats_nothing(tmp_path: Path) -> None:
    text = "type: t\nattributes:\n  a: &a {x: 1}\n  b: {<<: *a, x: 2}\n  c: [{x: 1}, {x: 2}]\n"
    (tmp_path / "defs.yaml").write_text(text)
    refuse_repeated(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"# nothing yet\n", "the file is empty"),
        (b"hello\n", "a document is no component"),
        (b"- a\n- b\n", "a document is no component"),
        (b"type: \xe4\n", "this is no UTF-8"),
        (b"type: x\n\tattributes: {}\n", "this is no YAML"),
    ],
)
def test_a_file_that_is_no_component_is_told(tmp_path: Path, content: bytes, said: str) -> None:
    folder = write_defs(tmp_path / "defs", "- {table: t, cursor: id}\n")
    (folder / "shop" / "defs.yaml").write_bytes(content)
    assert f"{folder}/shop/defs.yaml" in error_of(folder)
    assert said in error_of(folder)


def test_a_variable_without_a_default_is_told(tmp_path: Path) -> None:
    connections = CONNECTIONS.replace("env('TEST_LAKE', 'memory://lake')", "env('TEST_NOT_SET')")
    error = error_of(write_defs(tmp_path / "defs", "- {table: t, cursor: id}\n", connections=connections))
    assert "TEST_NOT_SET is not set" in error


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"there is no folder {tmp_path}/nowhere"):
        load_definitions(tmp_path / "nowhere")
