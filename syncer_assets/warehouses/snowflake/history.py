"""What a load's statements took, from the session's query history: queue, run, bytes, spilling, cache; and advice."""

from ...model.errors import SyncError
from .session import Session, Sessions

HISTORY_SQL = """
SELECT COUNT(*), SUM(TOTAL_ELAPSED_TIME), SUM(EXECUTION_TIME), SUM(QUEUED_OVERLOAD_TIME),
    SUM(QUEUED_PROVISIONING_TIME + QUEUED_REPAIR_TIME), SUM(TRANSACTION_BLOCKED_TIME), SUM(BYTES_SCANNED),
    SUM(CREDITS_USED_CLOUD_SERVICES), MAX_BY(QUERY_ID, TOTAL_ELAPSED_TIME), MAX(WAREHOUSE_SIZE)
FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY_BY_SESSION(RESULT_LIMIT => 1000))
WHERE QUERY_TYPE IN ('COPY', 'INSERT', 'MERGE', 'UPDATE', 'DELETE', 'SELECT')
"""

OPERATORS_SQL = """
SELECT SUM(OPERATOR_STATISTICS:spilling.bytes_spilled_local_storage::NUMBER(38,0)),
    SUM(OPERATOR_STATISTICS:spilling.bytes_spilled_remote_storage::NUMBER(38,0)),
    SUM(OPERATOR_STATISTICS:pruning.partitions_scanned::NUMBER(38,0)),
    SUM(OPERATOR_STATISTICS:pruning.partitions_total::NUMBER(38,0)),
    MAX(OPERATOR_STATISTICS:io.percentage_scanned_from_cache::FLOAT)
FROM TABLE(GET_QUERY_OPERATOR_STATS({query}))
"""
"""Of the statement that took the longest."""

QUEUE_SHARE, QUEUE_SECONDS = 0.2, 5.0
SCAN_SHARE, SCAN_PARTITIONS, WRITE_SHARE = 0.9, 100, 0.01
QUICK_SECONDS = 5.0
SMALLEST = "X-Small"

Facts = dict[str, float | int | str]


def facts(sessions: Sessions, session: Session, rows_written: int, rows_in_target: int | None) -> Facts:
    """The figures of a session's load. A history that cannot be asked is said so: the load itself is done."""
    try:
        with sessions.errors("load"):
            return _facts(session, rows_written, rows_in_target)
    except SyncError as error:
        return {"query_history": f"not available: {error}"}


def advice(found: Facts, rows_written: int, rows_in_target: int | None) -> str:
    """What the figures say of the warehouse's size, by fixed rules; empty where they say nothing."""
    if remote := found.get("bytes_spilled_remote"):
        return f"larger: {remote} bytes were spilled to remote storage"
    elapsed, queued = float(found["statement_seconds"]), float(found["queued_seconds"])
    if queued >= QUEUE_SECONDS and queued >= QUEUE_SHARE * elapsed:
        return f"its own warehouse, or more clusters: {queued:.0f} s of {elapsed:.0f} s were spent in the queue"
    scanned, total = int(found.get("partitions_scanned", 0)), int(found.get("partitions_total", 0))
    if (
        total >= SCAN_PARTITIONS
        and scanned >= SCAN_SHARE * total
        and rows_written < WRITE_SHARE * (rows_in_target or 0)
    ):
        return f"CLUSTER BY the key: {scanned} of {total} partitions were read to write {rows_written} rows"
    if float(found["execution_seconds"]) < QUICK_SECONDS and found.get("warehouse_size") not in (None, "", SMALLEST):
        return f"smaller: all statements ran in {found['execution_seconds']} s"
    return ""


def _facts(session: Session, rows_written: int, rows_in_target: int | None) -> Facts:
    count, elapsed, execution, queued, starting, blocked, scanned, credits, slowest, size = session.row(HISTORY_SQL)
    found: Facts = {
        "statements": int(count),
        "statement_seconds": _seconds(elapsed),
        "execution_seconds": _seconds(execution),
        "queued_seconds": _seconds(queued),
        "starting_seconds": _seconds(starting),
        "blocked_seconds": _seconds(blocked),
        "bytes_scanned": int(scanned or 0),
        "credits_cloud_services": float(credits or 0),
        "warehouse_size": str(size or ""),
    }
    if slowest:
        local, remote, parts, total, cached = session.row(OPERATORS_SQL.format(query=f"'{slowest}'"))
        found |= {
            "bytes_spilled_local": int(local or 0),
            "bytes_spilled_remote": int(remote or 0),
            "partitions_scanned": int(parts or 0),
            "partitions_total": int(total or 0),
            "cache_hit_percent": round(float(cached or 0), 1),
        }
    if said := advice(found, rows_written, rows_in_target):
        found["warehouse_advice"] = said
    return found


def _seconds(milliseconds: object) -> float:
    return round(float(str(milliseconds or 0)) / 1000, 3)
