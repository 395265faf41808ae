-- Per heap and B-tree of the tables in $1: its size and settings, its rows, and per column what pg_stats knows.
-- Statistics of an expression hang on the index; a partial index has rows of its own, as a share of the table's.
WITH relation AS (
    SELECT c.oid, c.oid AS table_oid, n.nspname, c.relname, c.relname AS table_name, FALSE AS is_index, c.reloptions,
        'heap'::name AS method, FALSE AS is_unique, 0::smallint AS key_columns, NULL::int2[] AS keys, TRUE AS equal_images,
        1::float8 AS share
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = ANY ($1::oid[])
    UNION ALL
    SELECT c.oid, t.oid, n.nspname, c.relname, t.relname, TRUE, c.reloptions,
        m.amname, i.indisunique, i.indnkeyatts, i.indkey::int2[],
        i.indnatts = i.indnkeyatts AND NOT EXISTS (
            SELECT FROM generate_series(0, i.indnkeyatts - 1) k
            JOIN pg_opclass o ON o.oid = i.indclass[k]
            LEFT JOIN pg_collation l ON l.oid = i.indcollation[k]
            WHERE NOT coalesce(l.collisdeterministic, TRUE) OR NOT EXISTS (
                SELECT FROM pg_amproc p
                WHERE p.amprocfamily = o.opcfamily AND p.amprocnum = 4
                AND p.amproclefttype = o.opcintype AND p.amprocrighttype = o.opcintype
            )
        ),
        CASE WHEN i.indpred IS NULL OR t.reltuples <= 0 THEN 1 ELSE greatest(c.reltuples, 0) / t.reltuples END
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_class t ON t.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_am m ON m.oid = c.relam
    WHERE i.indrelid = ANY ($1::oid[]) AND i.indisvalid
),
stats AS MATERIALIZED ( -- once: the view has no index, and would be read as a whole for each column
    SELECT schemaname, tablename, attname, null_frac, avg_width, n_distinct, most_common_freqs
    FROM pg_stats WHERE NOT inherited AND (schemaname, tablename) IN (SELECT nspname, relname FROM relation)
)
SELECT r.oid, r.nspname::text, r.relname::text, r.table_name::text, r.is_index, r.method::text, r.is_unique, r.equal_images,
    coalesce(r.reloptions, '{}'), pg_relation_size(r.oid), r.share,
    pg_stat_get_live_tuples(r.table_oid), pg_stat_get_dead_tuples(r.table_oid),
    pg_stat_get_analyze_count(r.table_oid) + pg_stat_get_autoanalyze_count(r.table_oid)
        + pg_stat_get_vacuum_count(r.table_oid) + pg_stat_get_autovacuum_count(r.table_oid) > 0,
    (SELECT t.reltuples::float8 FROM pg_class t WHERE t.oid = r.table_oid),
    (
        SELECT coalesce(json_agg(json_build_array(
            a.attname, a.attlen, CASE a.attalign WHEN 'c' THEN 1 WHEN 's' THEN 2 WHEN 'i' THEN 4 ELSE 8 END,
            s.null_frac, s.avg_width, s.n_distinct, s.most_common_freqs
        ) ORDER BY k.n), '[]')
        FROM (
            SELECT attnum AS n, FALSE AS of_index, attnum FROM pg_attribute
            WHERE NOT r.is_index AND attrelid = r.oid AND attnum > 0 AND NOT attisdropped
            UNION ALL
            SELECT k.n, k.attnum = 0, CASE WHEN k.attnum = 0 THEN k.n ELSE k.attnum END
            FROM unnest(r.keys) WITH ORDINALITY AS k(attnum, n) WHERE r.is_index
        ) k
        JOIN pg_attribute a ON a.attrelid = CASE WHEN k.of_index THEN r.oid ELSE r.table_oid END AND a.attnum = k.attnum
        LEFT JOIN stats s ON s.schemaname = r.nspname AND s.attname = a.attname
            AND s.tablename = CASE WHEN k.of_index THEN r.relname ELSE r.table_name END
    )
FROM relation r ORDER BY r.is_index, r.relname
