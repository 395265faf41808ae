-- One row a partition of a keyed update. `mark` and `mark_until` are of the last cycle that was finished,
-- `rows_since_analyze` counts rows that finished cycles changed.
CREATE TABLE IF NOT EXISTS _syncer.batch_cycles (
    target_name text NOT NULL,
    job text NOT NULL,
    partition_key text NOT NULL,
    epoch bigint NOT NULL DEFAULT 0,
    cycle bigint NOT NULL DEFAULT 0,
    fingerprint text,
    window_since date,
    window_until date,
    changed_after timestamptz,
    window_before date,
    next_mark timestamptz,
    rows_without_prefix bigint NOT NULL DEFAULT 0,
    mark timestamptz,
    mark_until date,
    rows_since_analyze bigint NOT NULL DEFAULT 0,
    run_id text NOT NULL DEFAULT '',
    began_at timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (target_name, job, partition_key)
);

-- The batches of each partition's present cycle; `done_at` is set in the transaction that updates the table.
CREATE TABLE IF NOT EXISTS _syncer.batches (
    target_name text NOT NULL,
    job text NOT NULL,
    partition_key text NOT NULL,
    number integer NOT NULL,
    cycle bigint NOT NULL,
    fingerprint text NOT NULL,
    prefixes text[] NOT NULL,
    lengths integer[] NOT NULL,
    sizes bigint[] NOT NULL,
    window_since date,
    window_until date,
    rows_fetched bigint,
    rows_updated bigint,
    rows_unchanged bigint,
    rows_unmatched bigint,
    target_rows_updated bigint,
    seconds double precision,
    run_id text,
    done_at timestamptz,
    PRIMARY KEY (target_name, job, partition_key, number)
);
