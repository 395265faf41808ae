CREATE TABLE IF NOT EXISTS _syncer.files (
    target_name   text NOT NULL,
    path          text COLLATE "C" NOT NULL,
    partition_key text NOT NULL,
    size          bigint NOT NULL,
    etag          text NOT NULL,
    modified      timestamptz NOT NULL,
    lines         bigint NOT NULL,
    loaded        bigint NOT NULL,
    rejected      bigint NOT NULL,
    duplicates    bigint NOT NULL,
    inserted      bigint NOT NULL,
    updated       bigint NOT NULL,
    unchanged     bigint NOT NULL,
    reload        boolean NOT NULL DEFAULT false,
    deleted_at    timestamptz,
    run_id        text NOT NULL,
    loaded_at     timestamptz NOT NULL,
    PRIMARY KEY (target_name, path),
    CHECK (lines = loaded + rejected + duplicates),
    CHECK (loaded = inserted + updated + unchanged)
);
CREATE TABLE IF NOT EXISTS _syncer.refused_files (
    target_name text NOT NULL,
    path        text COLLATE "C" NOT NULL,
    etag        text NOT NULL,
    reason      text NOT NULL,
    run_id      text NOT NULL,
    refused_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (target_name, path)
);
-- files that have an id in common: the row of `loser` is not in the table, since `winner` has the same or a newer one
CREATE TABLE IF NOT EXISTS _syncer.file_overlaps (
    target_name text NOT NULL,
    winner      text COLLATE "C" NOT NULL,
    loser       text COLLATE "C" NOT NULL,
    PRIMARY KEY (target_name, winner, loser)
);
-- up to which `_updated_at` a core table has taken over its raw one, and as what
CREATE TABLE IF NOT EXISTS _syncer.cores (
    target_name text PRIMARY KEY,
    raw_name    text NOT NULL,
    declared    text NOT NULL,
    upto        timestamptz,
    run_id      text NOT NULL,
    loaded_at   timestamptz NOT NULL DEFAULT now()
);
-- the file's share, by its size, of the seconds that its load took
ALTER TABLE _syncer.files ADD COLUMN IF NOT EXISTS seconds double precision;
