"""What is wrong in the YAML of files is told with file, line, entity, field and fix."""

from pathlib import Path

import pytest

from syncer_assets.components.loading import load_definitions
from syncer_assets.model.errors import ConfigError
from syncer_assets_tests.files.deployed import HEAD, write_defs

LINE = len(HEAD.splitlines()) + 1
"""Of an entity that is written in one line."""


def error_of(folder: Path, entities: str) -> str:
    with pytest.raises(ConfigError) as raised:
        load_definitions(write_defs(folder / "defs", entities))
    return str(raised.value)


@pytest.mark.parametrize(
    ("entity", "field", "message", "fix"),
    [
        ("{entity: m, pattern: 'm/*.json', idd: x}", "idd", "`idd` is not a field", "did you mean id"),
        ("{entity: m}", "pattern", "`pattern` is missing", "The files below the url"),
        ("{entity: m, pattern: '/m/*.json'}", "pattern", "is no pattern of paths", "members/*.jsonl"),
        ("{entity: m, pattern: 'm/{day}/*.json'}", "pattern", "is no pattern of paths", "{date:%Y/%m/%d}"),
        ("{entity: m, pattern: 'm/{date:%y}/*.json'}", "pattern", "is no date in a path", "%Y"),
        ("{entity: m, pattern: '{prefix}/{date:%Y}/*'}", "pattern", "names a partition twice", "members"),
        ("{entity: m, pattern: 'm/{prefix}/*.json'}", "pattern", "no partitions by it", "add them"),
        ("{entity: 'm-n', pattern: 'm/*'}", "entity", "cannot be a name", "letters"),
        ("{entity: m, pattern: 'm/*', id: a..b}", "id", "a step of the path is empty", "[customer, id]"),
        ("{entity: m, pattern: 'm/*', reject_limit: 2}", "reject_limit", "2.0 is no share", "0 to 1"),
        ("{entity: m, pattern: 'm/*', workers: 0}", "workers", "0 is no number of workers", "1 to 16"),
        ("{entity: m, pattern: 'm/*', max_ratio: 0}", "max_ratio", "too small", "above 0"),
        ("{entity: m, pattern: 'm/*', newest: id}", "newest", "'modified' or 'path'", "Which file wins"),
        (
            "{entity: m, pattern: 'm/*', partitions: {by: time, start: '2024-01-01'}}",
            "pattern",
            "partitions by time need {date:..}",
            "members/{date",
        ),
        (
            "{entity: m, pattern: 'm/{date:%Y/%m}/*', partitions: {by: time, every: month}}",
            "partitions.start",
            "partitions by time need `start`",
            "2024-01-01",
        ),
        (
            "{entity: m, pattern: 'm/*', partitions: {by: prefix}}",
            "pattern",
            "partitions by prefix need {prefix}",
            "{prefix}",
        ),
        ("{entity: m, pattern: 'm/*', core: {}}", "core.columns", "either `columns` or a `query`", "one of the two"),
        ("{entity: m, pattern: 'm/*', core: {query: x.sql}}", "core.query", "there is no file 'x.sql'", "correct"),
        (
            "{entity: m, pattern: 'm/*', core: {columns: {id: {type: text}}}}",
            "core.columns.id",
            "has a column 'id' of ours",
            "another name",
        ),
        (
            "{entity: m, pattern: 'm/*', core: {columns: {a: {type: 'int); DROP'}}}}",
            "core.columns.a",
            "is no type",
            "numeric(12,2)",
        ),
    ],
)
def test_a_wrong_entity_names_line_entity_field_and_fix(
    tmp_path: Path, entity: str, field: str, message: str, fix: str
) -> None:
    text = error_of(tmp_path, f"    - {entity}\n")
    name = "m-n" if "m-n" in entity else "m"
    assert f"evo/defs.yaml:{LINE}: entity {name}, field {field}" in text, text
    assert message in text and fix in text, text


def test_a_warehouse_that_takes_no_files_is_told(tmp_path: Path) -> None:
    folder = write_defs(tmp_path / "defs", "    - {entity: m, pattern: 'm/*'}\n")
    connections = folder / "connections" / "defs.yaml"
    connections.write_text(connections.read_text().replace("type: postgres", "type: snowflake"))
    with pytest.raises(ConfigError, match="files cannot be loaded into a warehouse of type 'snowflake'"):
        load_definitions(folder)


def test_two_entities_of_one_table_are_told(tmp_path: Path) -> None:
    text = error_of(tmp_path, "    - {entity: m, pattern: 'm/*'}\n    - {entity: m, pattern: 'n/*'}\n")
    assert f"evo/defs.yaml:{LINE + 1}: entity m, field entity" in text
    assert "another entity is loaded into analytics.stg.m_raw too" in text
