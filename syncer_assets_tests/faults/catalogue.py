"""The forty faults and some more, each with the tests that do it; and which tests kill a seeded defect.

A test is named by its path below syncer_assets_tests and its function; `[text]` picks those parameters that contain it.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from syncer_assets_tests.faults.model.defects import DIRECTED, ENGINE, WEAK

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Fault:
    """`missing` says what of it no test does, and why."""

    number: int | str
    what: str
    tests: tuple[str, ...]
    missing: str = ""


FAULTS = (
    Fault(
        1,
        "kill -9 of the worker at every step, and at each kill point by seeds",
        (
            "faults/test_kill.py::test_a_killed_run_is_made_good_by_the_next",
            "faults/test_kill.py::test_kills_in_a_row_are_made_good_by_one_run",
            "faults/test_kill.py::test_a_row_that_was_committed_late_survives_a_kill",
            "faults/test_kill.py::test_a_kill_between_rounds_of_several_readers_keeps_the_rounds_before",
            "faults/test_kill_points.py::test_a_run_that_dies_at_a_kill_point_is_made_good",
            "faults/test_kill_points.py::test_maintenance_that_dies_leaves_rows_and_indexes_whole",
            "faults/test_reconcile.py::test_a_repair_that_was_killed_is_finished_by_the_next",
        ),
    ),
    Fault(
        2,
        "kill -9 between the last file and the manifest",
        (
            "faults/test_kill.py::test_a_killed_run_is_made_good_by_the_next[files_written]",
            "faults/test_races.py::test_files_of_a_sync_that_is_still_writing_are_left_alone",
        ),
    ),
    Fault(
        3,
        "the reply to the manifest's put is lost",
        (
            "integration/test_lake_s3.py::test_a_lost_reply_to_the_manifest_is_recognised",
            "faults/test_object_store.py::test_a_manifest_is_put_once_whatever_the_store_answers",
        ),
    ),
    Fault(
        4,
        "two workers put one manifest",
        (
            "faults/test_races.py::test_of_two_extractions_one_wins_each_number",
            "faults/test_races.py::test_who_lost_while_still_uploading_begins_anew",
            "integration/test_lake_s3.py::test_of_many_writers_of_a_manifest_one_wins_and_is_recognised",
        ),
    ),
    Fault(
        5,
        "the store answers 409 to the conditional put",
        (
            "faults/test_object_store.py::test_a_manifest_is_put_once_whatever_the_store_answers",
            "faults/test_object_store.py::test_a_conflict_that_stays_is_told",
        ),
    ),
    Fault(
        6,
        "a worker is stopped before COMMIT, overtaken, and goes on",
        (
            "faults/test_races.py::test_a_load_that_was_stopped_before_commit_is_ended_by_the_server",
            "faults/test_races.py::test_a_load_that_was_stopped_before_its_transaction_finds_its_work_done",
            "faults/test_races.py::test_a_load_that_was_overtaken_by_another_partition_is_fenced_off",
        ),
    ),
    Fault(
        7,
        "the reply to COMMIT is lost",
        ("faults/test_commit_unknown.py::test_a_lost_reply_to_commit_is_resolved_by_the_ledger[after]",),
    ),
    Fault(
        8,
        "the connection is cut before COMMIT reaches the server",
        (
            "faults/test_commit_unknown.py::test_a_lost_reply_to_commit_is_resolved_by_the_ledger[before]",
            "faults/test_commit_unknown.py::test_a_session_that_the_server_still_holds_is_waited_for",
        ),
    ),
    Fault(
        9,
        "pg_terminate_backend before each statement of a load, and at each step of a run",
        (
            "faults/test_ended_sessions.py::test_a_load_goes_on_whichever_statement_finds_its_session_ended",
            "faults/test_lost_servers.py::test_a_run_goes_on_when_its_sessions_are_ended",
        ),
    ),
    Fault(
        10,
        "pg_terminate_backend in COPY",
        (
            "faults/test_ended_sessions.py::test_a_load_goes_on_when_its_session_is_ended_in_copy",
            "warehouses/postgres/test_load.py::test_a_killed_backend_while_staging_is_worth_a_retry",
        ),
    ),
    Fault(
        11,
        "kill -9 of a backend of the target: the whole server recovers",
        ("faults/test_lost_servers.py::test_a_run_goes_on_after_the_server_crashed[warehouse]",),
    ),
    Fault(
        12,
        "kill -9 of the source in mid-stream, or its standby is promoted",
        (
            "faults/test_lost_servers.py::test_a_run_goes_on_after_the_server_crashed[source]",
            "faults/test_failover.py::test_the_source_fails_over_while_it_is_read",
        ),
    ),
    Fault(
        13,
        "the target's standby is promoted in mid-load, and lacks the last commits",
        (
            "faults/test_failover.py::test_the_warehouse_fails_over_while_it_is_loaded",
            "faults/test_failover.py::test_a_first_load_of_which_nothing_reached_the_standby_is_made_again",
        ),
    ),
    Fault(
        14,
        "of several hosts only the standby is up",
        (
            "faults/test_retries.py::test_only_the_standby_is_up_is_waited_for_and_then_told",
            "faults/test_retries.py::test_a_primary_that_comes_back_within_the_budget_is_used",
        ),
    ),
    Fault(
        15,
        "sessions to a primary that was demoted",
        ("faults/test_failover.py::test_sessions_that_were_left_with_a_demoted_primary_are_given_up",),
    ),
    Fault(
        16,
        "a standby's recovery ends the read",
        (
            "faults/test_standby.py::test_a_conflict_with_recovery_ends_a_query_and_not_the_sync",
            "sync/test_conflicts.py::test_five_conflicts_halve_the_chunk_five_times",
            "sync/test_conflicts.py::test_conflicts_that_no_chunk_is_small_enough_for_end_with_advice",
        ),
    ),
    Fault(
        17,
        "MariaDB becomes read only in mid-run",
        (
            "faults/test_mysql.py::test_a_server_that_is_made_read_only_meanwhile_is_read_on",
            "drivers/test_mysql.py::test_what_only_the_message_tells[1290]",
        ),
    ),
    Fault(
        18,
        "KILL and KILL QUERY while rows stream",
        (
            "faults/test_mysql.py::test_a_stream_that_breaks_off_never_gives_a_short_file[KILL]",
            "faults/test_mysql.py::test_a_kill_at_the_first_and_the_last_row_never_gives_a_short_file",
        ),
    ),
    Fault(
        19,
        "a consumer that is slower than net_write_timeout",
        ("faults/test_mysql.py::test_a_stream_that_breaks_off_never_gives_a_short_file[net_write_timeout]",),
    ),
    Fault(
        20,
        "MariaDB is killed in mid-stream and restarts",
        ("faults/test_mysql.py::test_a_run_goes_on_after_the_server_died",),
    ),
    Fault(
        21,
        "too many connections for a while",
        (
            "faults/test_retries.py::test_too_many_connections_are_waited_for",
            "faults/test_retries.py::test_too_many_connections_to_mariadb_are_waited_for",
            "faults/test_mysql.py::test_a_full_server_is_waited_for_until_a_connection_is_free",
        ),
    ),
    Fault(
        22,
        "deadlocks and serialization failures",
        ("faults/test_retries.py::test_a_transaction_is_tried_four_times_and_then_fails_with_its_code",),
    ),
    Fault(
        23,
        "wrong password, host, database, table, privilege, certificate",
        (
            "faults/test_retries.py::test_what_never_passes_fails_at_the_first_attempt_and_names_the_fix",
            "faults/test_secrets.py::test_no_connection_error_says_the_password",
            "faults/test_mysql.py::test_a_connection_that_fails_says_why_and_not_how",
            "sources/postgres/test_tls.py::test_a_certificate_that_is_not_the_servers_is_refused_at_the_first_attempt",
            "sources/mysql/test_tls.py::test_another_server_is_refused_at_once",
            "sources/mysql/test_tls.py::test_another_host_than_the_certificates_is_refused",
        ),
    ),
    Fault(
        24,
        "half-open: the network is gone",
        (
            "faults/test_silent_line.py::test_a_link_that_goes_down_is_noticed_and_the_read_goes_on",
            "faults/test_silent_line.py::test_every_connection_notices_a_dead_line_in_time",
        ),
    ),
    Fault(
        25,
        "half-open behind a proxy that goes on answering",
        (
            "faults/test_silent_line.py::test_rows_that_stop_behind_an_acknowledging_proxy_are_read_on",
            "faults/test_silent_line.py::test_a_load_that_hears_nothing_more_is_made_again",
        ),
    ),
    Fault(
        26,
        "200 ms of latency, 1 kB at a time",
        ("faults/test_bad_lines.py::test_a_slow_line_that_cuts_everything_small_is_only_slow",),
    ),
    Fault(
        27,
        "the connection is reset every 5 MB",
        ("faults/test_bad_lines.py::test_a_read_ends_though_the_line_is_reset_every_five_megabytes",),
    ),
    Fault(
        28,
        "the store answers 500 and 503, resets, cuts bodies",
        (
            "faults/test_object_store.py::test_a_job_goes_on_among_errors",
            "faults/test_object_store.py::test_an_upload_in_parts_is_whole_whatever_completing_it_answers",
            "faults/test_object_store.py::test_what_does_not_pass_ends_soon_and_says_what_to_do",
        ),
    ),
    Fault(
        29,
        "credentials of the store expire in mid-run",
        ("faults/test_object_store.py::test_keys_that_expire_in_the_middle_of_a_run_are_read_anew",),
    ),
    Fault(
        30,
        "a data object is corrupt, missing, swapped",
        (
            "faults/test_damage.py::test_a_damaged_data_object_stops_the_load",
            "faults/test_damage.py::test_a_missing_manifest_stops_both_halves",
            "faults/test_object_store.py::test_an_object_that_is_not_what_it_was_stops_the_load_before_it_begins",
            "integration/test_lake_s3.py::test_a_damaged_object_stops_the_load",
        ),
    ),
    Fault(
        31,
        "a transaction commits late, below the ceiling: 1,000 trials",
        (
            "sync/test_late_commits.py::test_late_commits_are_not_lost",
            "sources/mysql/test_late_commits.py::test_late_commits_are_not_lost",
            "faults/test_standby.py::test_a_commit_that_is_applied_late_is_not_lost",
        ),
    ),
    Fault(
        32,
        "clocks jump, a zone changes its time, equal times across a chunk's edge",
        (
            "faults/test_clocks.py::test_ids_and_whole_tables_do_not_mind_a_clock_that_jumps",
            "faults/test_clocks.py::test_a_jump_within_the_lag_loses_no_row_of_a_time_cursor",
            "faults/test_clocks.py::test_what_was_written_below_safe_is_told_and_reconciled",
            "faults/test_clocks.py::test_the_hour_that_comes_twice_in_local_time_loses_no_row",
            "sources/postgres/test_proof_values.py::test_a_clock_that_is_set_back_writes_nothing_below_what_is_provable",
            "sync/test_chunk_loop.py::test_rows_of_one_time_are_read_whole_across_the_edges_of_chunks",
        ),
        "a clock that is set back by more than `late_commit_lag` stamps rows below `safe`: reconcile brings them",
    ),
    Fault(
        33,
        "the same data ten times",
        (
            "faults/test_same_data.py::test_runs_without_news_add_no_object_and_no_ledger_row",
            "faults/test_same_data.py::test_reading_everything_again_writes_no_row",
            "faults/test_same_data.py::test_loading_every_manifest_again_writes_no_row",
        ),
    ),
    Fault(
        34,
        "a full refresh under 20 readers and an old snapshot",
        ("faults/test_refresh_under_readers.py::test_twenty_readers_and_an_old_snapshot_notice_nothing",),
    ),
    Fault(
        35,
        "a full refresh of a table with views, grants, policies, triggers",
        (
            "warehouses/postgres/test_swap.py::test_everything_that_the_catalogue_says_is_as_before",
            "warehouses/postgres/test_swap.py::test_what_cannot_be_carried_over_is_written_in_place",
        ),
    ),
    Fault(
        36,
        "a swap under a long reader; a source that is empty or shrank",
        (
            "warehouses/postgres/test_swap.py::test_a_long_reader_is_not_queued_behind_and_its_table_stays",
            "warehouses/postgres/test_swap.py::test_a_reader_that_comes_later_is_waited_for_without_a_queue",
            "warehouses/contract/test_refresh.py::test_an_empty_source_is_refused",
            "warehouses/contract/test_refresh.py::test_a_suddenly_shrunken_source_is_refused",
        ),
    ),
    Fault(
        37,
        "REINDEX CONCURRENTLY is killed, or waits too long",
        (
            "faults/test_kill_points.py::test_maintenance_that_dies_leaves_rows_and_indexes_whole",
            "warehouses/postgres/test_repair.py::test_a_killed_rebuild_is_cleaned_up_by_the_next_run",
            "warehouses/postgres/test_repair.py::test_a_long_reader_ends_the_attempt_not_the_reader",
            "warehouses/postgres/test_repair.py::test_only_leftovers_of_valid_indexes_are_dropped",
            "warehouses/postgres/test_repair.py::test_an_exclusion_constraint_is_skipped_with_its_reason",
            "warehouses/postgres/test_repair.py::test_the_indexes_of_partitions_are_rebuilt",
        ),
    ),
    Fault(
        38,
        "VACUUM and REINDEX by a role that does not own the table; bloat estimates against a real rebuild",
        (
            "warehouses/postgres/test_maintain.py::test_it_fails_where_the_server_only_warns",
            "warehouses/postgres/test_repair.py::test_a_role_that_does_not_own_the_table_is_told",
            "warehouses/postgres/test_bloat.py::test_bloat_is_what_a_rebuild_gives_back",
        ),
    ),
    Fault(
        39,
        "canary secrets and values, through the failures",
        (
            "faults/test_secrets.py::test_no_connection_error_says_the_password",
            "faults/test_secrets.py::test_a_run_that_goes_well_says_no_secret_and_no_value",
            "faults/test_secrets.py::test_no_error_says_a_row_value",
            "faults/test_mysql.py::test_a_message_that_quotes_a_row_is_not_told",
            "cli/test_canaries.py::test_nothing_that_a_deployment_keeps_or_says_has_a_secret_or_a_value",
        ),
    ),
    Fault(
        40,
        "hostile names and values",
        (
            "faults/test_hostile_names.py::test_whatever_a_postgres_says_is_copied_exactly",
            "faults/test_hostile_names.py::test_whatever_a_mariadb_says_is_copied_exactly",
            "warehouses/contract/test_columns.py::test_hostile_names_are_only_names",
            "warehouses/postgres/test_schema.py::test_hostile_names_are_only_names",
            "sources/mysql/test_names.py::test_tables_of_any_name",
            "sources/mysql/test_names.py::test_names_that_differ_beyond_63_bytes_are_refused",
        ),
    ),
)

MORE = (
    Fault(
        "A",
        "the worker alone is killed: its step is an orphan",
        ("assets/test_orphan.py::test_a_step_ends_within_seconds_of_its_parents_death",),
    ),
    Fault(
        "B",
        "the lake is wiped, another one, or went back in time",
        (
            "faults/test_damage.py::test_a_lake_that_was_wiped_is_not_taken_for_a_new_one",
            "faults/test_damage.py::test_another_lake_generation_is_refused",
            "faults/test_damage.py::test_an_older_lake_is_not_taken_for_the_newest",
        ),
    ),
    Fault("C", "the target is dropped, or made anew", ("faults/test_damage.py::test_a_dropped_target_is_told",)),
    Fault(
        "D",
        "the warehouse is restored from an old backup",
        ("faults/test_damage.py::test_a_warehouse_that_went_back_in_time_catches_up",),
    ),
    Fault(
        "E",
        "the source is truncated, or restored",
        ("faults/test_damage.py::test_a_source_that_went_back_in_time_is_refused",),
    ),
    Fault(
        "F",
        "a reader endpoint leads to another server in mid-run",
        ("faults/test_standby.py::test_a_reader_endpoint_that_leads_elsewhere_meanwhile_makes_the_attempt_void",),
    ),
    Fault(
        "G",
        "the disk of the lake is full",
        (
            "faults/test_disk_full.py::test_a_full_disk_is_told_and_the_next_run_goes_on",
            "faults/test_disk_full.py::test_a_file_that_may_not_grow_is_told_and_the_next_run_goes_on",
        ),
    ),
    Fault(
        "H",
        "everything moves while a repair deletes",
        ("faults/test_reconcile.py::test_nothing_alive_is_deleted_while_everything_moves",),
    ),
    Fault(
        "I",
        "a full refresh is killed, or loses its sessions, at each step",
        (
            "faults/test_refresh_killed.py::test_a_refresh_that_was_killed_left_the_old_table_or_the_new_one",
            "faults/test_refresh_killed.py::test_a_refresh_whose_sessions_are_ended_tries_again",
        ),
    ),
    Fault(
        "J",
        "whole runs at the same time",
        ("faults/test_races.py::test_whole_runs_at_once_get_along",),
    ),
)

MODEL = "faults/model/test_model.py"
KILLED_BY = {
    **dict.fromkeys(ENGINE, f"{MODEL}::test_a_defect_of_the_engine_is_found"),
    **dict.fromkeys(WEAK, f"{MODEL}::test_a_defect_of_the_warehouse_is_found"),
    **dict.fromkeys(DIRECTED, f"{MODEL}::test_a_defect_is_found_by_its_directed_test"),
}
"""Seeded defect -> the test that is green only if some other test goes red with the defect."""
PROTOCOL = (
    f"{MODEL}::test_the_protocol_loses_nothing_and_doubles_nothing",
    "faults/model/test_real.py::test_the_protocol_holds_on_real_servers",
)


def covers(test: str, nodeid: str) -> bool:
    """Whether a test that pytest ran is one of those that the catalogue means."""
    wanted, _, picked = test.partition("[")
    ran, _, parameters = nodeid.removeprefix(f"{ROOT.name}/").partition("[")
    return wanted == ran and picked.removesuffix("]") in parameters


def exists(test: str) -> bool:
    """Whether the module has a function of that name."""
    module, _, name = test.partition("[")[0].partition("::")
    return name in _functions(module)


def all_tests() -> Iterator[str]:
    for fault in (*FAULTS, *MORE):
        yield from fault.tests
    yield from KILLED_BY.values()
    yield from PROTOCOL


@cache
def _functions(module: str) -> frozenset[str]:
    path = ROOT / module
    tree = ast.parse(path.read_text()) if path.exists() else ast.Module([], [])
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
