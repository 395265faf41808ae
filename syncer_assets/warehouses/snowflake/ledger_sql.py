"""The statements of the ledger. Values are bound to `?`; `{ours}` holds them within their transaction."""

from importlib.resources import files

TABLES_SQL = (files("syncer_assets.warehouses.snowflake") / "ledger.sql").read_text(encoding="utf-8").split(";")
ADD_TARGET_SQL = """
MERGE INTO "_SYNCER"."TARGETS" t USING (SELECT ? AS target_name) s ON t.target_name = s.target_name
WHEN NOT MATCHED THEN INSERT (target_name, epoch, updated_at) VALUES (s.target_name, 0, CURRENT_TIMESTAMP())
"""

TARGET_SQL = 'SELECT lake_generation, target_oid FROM "_SYNCER"."TARGETS" WHERE target_name = ?'

IDENTIFY_SQL = """
UPDATE "_SYNCER"."TARGETS" SET lake_generation = ?, target_oid = ?, updated_at = CURRENT_TIMESTAMP()
WHERE target_name = ?
"""

TAKE_EPOCH_SQL = """
UPDATE "_SYNCER"."TARGETS"
SET epoch = (SELECT MAX(epoch) + 1 FROM "_SYNCER"."TARGETS" WHERE target_name = ?), updated_at = CURRENT_TIMESTAMP()
WHERE target_name = ?
"""
"""Two sessions that register a target at once may each insert its row: all of them move on together."""

FENCE_SQL = """
UPDATE "_SYNCER"."TARGETS" SET target_oid = ?, updated_at = CURRENT_TIMESTAMP()
WHERE target_name = ? AND epoch = ? AND {ours}
"""

FORGET_SQL = """
UPDATE "_SYNCER"."TARGETS"
SET epoch = (SELECT MAX(epoch) + 1 FROM "_SYNCER"."TARGETS" WHERE target_name = ?), updated_at = CURRENT_TIMESTAMP()
    {identity}
WHERE target_name = ?
"""
NO_IDENTITY = ", target_oid = NULL, lake_generation = NULL"

WATERMARKS_SQL = """
SELECT partition_key, seq, low, safe, high, updated_at, manifest_sha256
FROM "_SYNCER"."WATERMARKS" LEFT JOIN "_SYNCER"."LOADS" USING (target_name, partition_key, seq)
WHERE target_name = ? {partition} ORDER BY partition_key
"""

LEDGER_SQL = """
SELECT partition_key, seq, superseded_by, manifest_sha256, rows_in, rows_inserted, rows_updated, rows_unchanged,
    rows_stale, rows_deduplicated, rows_deleted, run_id, loaded_at, seconds, bytes, files, copies, wal_bytes
FROM "_SYNCER"."LOADS" WHERE target_name = ? {partition} ORDER BY partition_key, seq
"""

RECORD_SQL = """
INSERT INTO "_SYNCER"."LOADS" (target_name, partition_key, seq, superseded_by, manifest_sha256, rows_in, rows_inserted,
    rows_updated, rows_unchanged, rows_stale, rows_deduplicated, rows_deleted, how, seconds, bytes, files, copies,
    run_id, loaded_at)
SELECT {columns}, CURRENT_TIMESTAMP() FROM VALUES {rows} WHERE {ours}
"""
RECORD_TYPES = (
    *("VARCHAR", "VARCHAR", *["NUMBER(38,0)"] * 2, "VARCHAR", *["NUMBER(38,0)"] * 7),
    *("VARCHAR", "FLOAT", *["NUMBER(38,0)"] * 3, "VARCHAR"),
)

ADVANCE_SQL = """
MERGE INTO "_SYNCER"."WATERMARKS" w
USING (SELECT ? AS target_name, ? AS partition_key, CAST(? AS NUMBER(38,0)) AS seq, CAST(? AS VARCHAR) AS low,
    CAST(? AS VARCHAR) AS safe, CAST(? AS VARCHAR) AS high, CAST(? AS NUMBER(38,0)) AS expected,
    CAST(? AS VARCHAR) AS ours) s
ON w.target_name = s.target_name AND w.partition_key = s.partition_key
WHEN MATCHED AND w.seq = s.expected AND TO_VARCHAR(CURRENT_TRANSACTION()) = s.ours
    THEN UPDATE SET seq = s.seq, low = s.low, safe = s.safe, high = s.high,
    updated_at = CURRENT_TIMESTAMP()
WHEN NOT MATCHED AND TO_VARCHAR(CURRENT_TRANSACTION()) = s.ours
    THEN INSERT (target_name, partition_key, seq, low, safe, high, updated_at)
    VALUES (s.target_name, s.partition_key, s.seq, s.low, s.safe, s.high, CURRENT_TIMESTAMP())
"""
