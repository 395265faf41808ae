CREATE TABLE IF NOT EXISTS _syncer.targets (
    target_name     text PRIMARY KEY,
    target_oid      oid,
    lake_generation text,
    epoch           bigint NOT NULL DEFAULT 0,
    updated_at      timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS _syncer.watermarks (
    target_name   text NOT NULL,
    partition_key text NOT NULL,
    seq           bigint NOT NULL,
    low           text,
    safe          text,
    high          text,
    updated_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (target_name, partition_key)
);
CREATE TABLE IF NOT EXISTS _syncer.loads (
    target_name       text NOT NULL,
    partition_key     text NOT NULL,
    seq               bigint NOT NULL,
    superseded_by     bigint,
    manifest_sha256   text NOT NULL,
    rows_in           bigint NOT NULL,
    rows_inserted     bigint NOT NULL,
    rows_updated      bigint NOT NULL,
    rows_unchanged    bigint NOT NULL,
    rows_stale        bigint NOT NULL,
    rows_deduplicated bigint NOT NULL,
    rows_deleted      bigint NOT NULL DEFAULT 0,
    how               text NOT NULL,
    seconds           double precision,
    bytes             bigint,
    files             integer,
    copies            integer,
    wal_bytes         bigint,
    run_id            text NOT NULL,
    loaded_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (target_name, partition_key, seq),
    CHECK (rows_in = rows_inserted + rows_updated + rows_unchanged + rows_stale + rows_deduplicated)
);
-- what a ledger of an earlier release lacks
ALTER TABLE _syncer.loads
    ADD COLUMN IF NOT EXISTS bytes     bigint,
    ADD COLUMN IF NOT EXISTS files     integer,
    ADD COLUMN IF NOT EXISTS copies    integer,
    ADD COLUMN IF NOT EXISTS wal_bytes bigint;
