"""Plans as the servers print them. MySQL 8's are as its manual shows them, since only MariaDB is to be had here."""

import json

from syncer_assets.sources.base import QueryPlan
from syncer_assets.sources.mysql import explain

MANUAL_MYSQL_8_RANGE = {
    "query_block": {
        "select_id": 1,
        "cost_info": {"query_cost": "20.31"},
        "ordering_operation": {
            "using_filesort": False,
            "table": {
                "table_name": "t",
                "access_type": "range",
                "possible_keys": ["PRIMARY"],
                "key": "PRIMARY",
                "used_key_parts": ["id"],
                "key_length": "8",
                "rows_examined_per_scan": 100,
                "rows_produced_per_join": 100,
                "filtered": "100.00",
                "attached_condition": "(`shop`.`t`.`id` > 5)",
            },
        },
    }
}
"""The shape that MySQL's manual and 8.0 servers print (EXPLAIN FORMAT=JSON, explain_json_format_version 1)."""

MANUAL_MYSQL_8_SCAN = {
    "query_block": {
        "select_id": 1,
        "ordering_operation": {
            "using_filesort": True,
            "table": {"table_name": "t", "access_type": "ALL", "rows_examined_per_scan": 39812, "filtered": "33.33"},
        },
    }
}

MARIADB_SCAN = {
    "query_block": {
        "select_id": 1,
        "nested_loop": [
            {
                "read_sorted_file": {
                    "filesort": {
                        "sort_key": "t.at",
                        "table": {"table_name": "t", "access_type": "ALL", "rows": 39812, "filtered": 100},
                    }
                }
            }
        ],
    }
}


def test_a_recorded_range_of_mysql_8() -> None:
    assert explain.parse(json.dumps(MANUAL_MYSQL_8_RANGE)) == QueryPlan(rows=100, index="PRIMARY")


def test_a_recorded_scan_of_mysql_8() -> None:
    assert explain.parse(json.dumps(MANUAL_MYSQL_8_SCAN)) == QueryPlan(rows=39812, index=None)


def test_a_scan_of_mariadb() -> None:
    assert explain.parse(json.dumps(MARIADB_SCAN)) == QueryPlan(rows=39812, index=None)


def test_a_plan_without_a_table() -> None:
    impossible = {"query_block": {"select_id": 1, "message": "Impossible WHERE"}}
    assert explain.parse(json.dumps(impossible)) == QueryPlan(rows=0, index=None)
