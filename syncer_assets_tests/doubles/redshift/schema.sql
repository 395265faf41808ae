-- What Redshift has and PostgreSQL has not, in a schema at the end of the search path.
CREATE SCHEMA redshift_double;
CREATE DOMAIN redshift_double.super AS jsonb;
CREATE DOMAIN redshift_double.varbyte AS bytea;
CREATE FUNCTION redshift_double.json_parse(text) RETURNS redshift_double.super
    LANGUAGE sql IMMUTABLE AS 'SELECT $1::jsonb::redshift_double.super';
CREATE FUNCTION redshift_double.super_text(redshift_double.super) RETURNS text
    LANGUAGE sql IMMUTABLE AS 'SELECT $1::text';
CREATE FUNCTION redshift_double.strtol(text, int) RETURNS bigint
    LANGUAGE sql IMMUTABLE AS $$SELECT ('x' || lpad($1, 16, '0'))::bit(64)::bigint$$;
CREATE FUNCTION redshift_double.from_varbyte(bytea, text) RETURNS text
    LANGUAGE sql IMMUTABLE AS 'SELECT encode($1, $2)';
CREATE FUNCTION redshift_double.version() RETURNS text
    LANGUAGE sql AS $$SELECT 'a double of Redshift on ' || pg_catalog.version()$$;
-- VARCHARs are compared without their trailing blanks ("Character types").
CREATE FUNCTION redshift_double.same(varchar, varchar) RETURNS boolean
    LANGUAGE sql IMMUTABLE AS $$SELECT rtrim($1::text, ' ') OPERATOR(pg_catalog.=) rtrim($2::text, ' ')$$;
CREATE FUNCTION redshift_double.differ(varchar, varchar) RETURNS boolean
    LANGUAGE sql IMMUTABLE AS $$SELECT rtrim($1::text, ' ') OPERATOR(pg_catalog.<>) rtrim($2::text, ' ')$$;
CREATE OPERATOR redshift_double.= (FUNCTION = redshift_double.same, LEFTARG = varchar, RIGHTARG = varchar);
CREATE OPERATOR redshift_double.<> (FUNCTION = redshift_double.differ, LEFTARG = varchar, RIGHTARG = varchar);
CREATE TABLE redshift_double.layouts (
    oid oid PRIMARY KEY, sort_key text, sort_columns int DEFAULT 0, distribution text DEFAULT 'AUTO(ALL)'
);
CREATE TABLE redshift_double.sys_load_error_detail (
    session_id int, start_time timestamptz DEFAULT clock_timestamp(), file_name text, column_name text,
    column_type text, error_code int, error_message text
);
CREATE FUNCTION redshift_double.table_stats()
    RETURNS TABLE (oid oid, "schema" text, "table" text, live bigint, dead bigint, changed bigint, bytes bigint)
    LANGUAGE sql AS $$
    SELECT c.oid, n.nspname, c.relname, s.n_live_tup, s.n_dead_tup, s.n_mod_since_analyze, pg_total_relation_size(c.oid)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_stat_user_tables s ON s.relid = c.oid
    WHERE c.relkind = 'r' AND n.nspname NOT IN ('redshift_double') AND n.nspname NOT LIKE 'pg\_temp%'
$$;
CREATE VIEW redshift_double.svv_table_info AS
SELECT s."schema", s."table", s.oid AS table_id, greatest(1, s.bytes / 1048576) AS size,
    (s.live + s.dead)::numeric AS tbl_rows, s.live::numeric AS estimated_visible_rows,
    CASE WHEN l.sort_key IS NULL THEN NULL ELSE 0.0 END::numeric AS unsorted,
    least(100, 100.0 * s.changed / greatest(s.live, 1))::numeric(5, 2) AS stats_off,
    coalesce(l.distribution, 'AUTO(ALL)') AS diststyle, l.sort_key AS sortkey1, coalesce(l.sort_columns, 0) AS sortkey_num
FROM redshift_double.table_stats() s LEFT JOIN redshift_double.layouts l ON l.oid = s.oid
WHERE s.live + s.dead > 0;
