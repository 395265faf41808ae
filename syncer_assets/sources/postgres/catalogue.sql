SELECT a.attname, base.typname, format_type(base.oid, base.typmod) AS formatted, base.typtype = 'e' AS is_enum,
       base.nspname = 'pg_catalog' AND COALESCE(element.nspname, 'pg_catalog') = 'pg_catalog' AS portable,
       NOT a.attnotnull AS nullable, coll.collname,
       has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS can_select
  FROM pg_attribute a
  CROSS JOIN LATERAL (
       WITH RECURSIVE resolved AS (
            SELECT t.oid, a.atttypmod AS typmod, t.typname, t.typtype, t.typnamespace, t.typbasetype, t.typtypmod,
                   t.typelem, t.typcategory
              FROM pg_type t WHERE t.oid = a.atttypid
            UNION ALL
            SELECT t.oid, CASE WHEN resolved.typtypmod = -1 THEN resolved.typmod ELSE resolved.typtypmod END,
                   t.typname, t.typtype, t.typnamespace, t.typbasetype, t.typtypmod, t.typelem, t.typcategory
              FROM resolved JOIN pg_type t ON t.oid = resolved.typbasetype
             WHERE resolved.typtype = 'd')
       SELECT resolved.*, n.nspname FROM resolved JOIN pg_namespace n ON n.oid = resolved.typnamespace
        WHERE resolved.typtype <> 'd') AS base
  LEFT JOIN LATERAL (
       SELECT n.nspname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        WHERE t.oid = base.typelem AND base.typcategory = 'A') AS element ON true
  LEFT JOIN LATERAL (
       SELECT CASE WHEN c.collname = 'default' THEN d.datcollate ELSE c.collname END AS collname
         FROM pg_collation c, pg_database d
        WHERE c.oid = a.attcollation AND d.datname = current_database()) AS coll ON true
 WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum
