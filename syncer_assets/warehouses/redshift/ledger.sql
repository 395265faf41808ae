CREATE TABLE IF NOT EXISTS _syncer.targets (
    target_name     VARCHAR(1024) NOT NULL PRIMARY KEY,
    target_oid      BIGINT,
    lake_generation VARCHAR(256),
    epoch           BIGINT NOT NULL,
    updated_at      TIMESTAMPTZ NOT NULL
);
CREATE TABLE IF NOT EXISTS _syncer.watermarks (
    target_name   VARCHAR(1024) NOT NULL,
    partition_key VARCHAR(4096) NOT NULL,
    seq           BIGINT NOT NULL,
    low           VARCHAR(65535),
    safe          VARCHAR(65535),
    high          VARCHAR(65535),
    updated_at    TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (target_name, partition_key)
);
CREATE TABLE IF NOT EXISTS _syncer.loads (
    target_name       VARCHAR(1024) NOT NULL,
    partition_key     VARCHAR(4096) NOT NULL,
    seq               BIGINT NOT NULL,
    superseded_by     BIGINT,
    manifest_sha256   VARCHAR(64) NOT NULL,
    rows_in           BIGINT NOT NULL,
    rows_inserted     BIGINT NOT NULL,
    rows_updated      BIGINT NOT NULL,
    rows_unchanged    BIGINT NOT NULL,
    rows_stale        BIGINT NOT NULL,
    rows_deduplicated BIGINT NOT NULL,
    rows_deleted      BIGINT NOT NULL,
    how               VARCHAR(64) NOT NULL,
    seconds           DOUBLE PRECISION,
    bytes             BIGINT,
    files             INTEGER,
    copies            INTEGER,
    run_id            VARCHAR(256) NOT NULL,
    loaded_at         TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (target_name, partition_key, seq)
);
