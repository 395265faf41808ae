CREATE TABLE IF NOT EXISTS "_SYNCER"."TARGETS" (
    target_name     VARCHAR NOT NULL,
    target_oid      VARCHAR,
    lake_generation VARCHAR,
    epoch           NUMBER(38,0) NOT NULL,
    updated_at      TIMESTAMP_TZ NOT NULL,
    PRIMARY KEY (target_name)
);
CREATE TABLE IF NOT EXISTS "_SYNCER"."WATERMARKS" (
    target_name   VARCHAR NOT NULL,
    partition_key VARCHAR NOT NULL,
    seq           NUMBER(38,0) NOT NULL,
    low           VARCHAR,
    safe          VARCHAR,
    high          VARCHAR,
    updated_at    TIMESTAMP_TZ NOT NULL,
    PRIMARY KEY (target_name, partition_key)
);
CREATE TABLE IF NOT EXISTS "_SYNCER"."LOADS" (
    target_name       VARCHAR NOT NULL,
    partition_key     VARCHAR NOT NULL,
    seq               NUMBER(38,0) NOT NULL,
    superseded_by     NUMBER(38,0),
    manifest_sha256   VARCHAR NOT NULL,
    rows_in           NUMBER(38,0) NOT NULL,
    rows_inserted     NUMBER(38,0) NOT NULL,
    rows_updated      NUMBER(38,0) NOT NULL,
    rows_unchanged    NUMBER(38,0) NOT NULL,
    rows_stale        NUMBER(38,0) NOT NULL,
    rows_deduplicated NUMBER(38,0) NOT NULL,
    rows_deleted      NUMBER(38,0) NOT NULL,
    how               VARCHAR NOT NULL,
    seconds           FLOAT,
    bytes             NUMBER(38,0),
    files             NUMBER(38,0),
    copies            NUMBER(38,0),
    wal_bytes         NUMBER(38,0),
    run_id            VARCHAR NOT NULL,
    loaded_at         TIMESTAMP_TZ NOT NULL,
    PRIMARY KEY (target_name, partition_key, seq)
)
