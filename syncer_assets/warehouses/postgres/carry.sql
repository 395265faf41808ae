-- What a table has besides its rows, as the statements that give it to the table in its place: (place, statement), to
-- be asked before the old table ($1) is renamed and run in order after the new one ($2) has its name. Place 1 comes
-- before the old table is dropped, all others after; grants come last, since an owner may have revoked what the
-- statements before them need (TRIGGER). Names of the new one's indexes begin with $3. The session's search_path is
-- empty, so names are qualified.
WITH t AS (
    SELECT c.*, format('%I.%I', n.nspname, c.relname) AS name, n.nspname
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::oid
), roles AS (
    SELECT 0::oid AS oid, 'PUBLIC' AS name UNION ALL SELECT oid, quote_ident(rolname) FROM pg_roles
)
SELECT 1 AS place, format(
    'CREATE OR REPLACE VIEW %s%s AS %s', v.oid::regclass,
    CASE WHEN v.reloptions IS NOT NULL THEN format(' WITH (%s)', array_to_string(v.reloptions, ', ')) END,
    pg_get_viewdef(v.oid)) AS statement
FROM pg_class v WHERE v.relkind = 'v' AND v.oid IN (
    SELECT r.ev_class FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1::oid)
UNION ALL
SELECT 2, CASE WHEN k.oid IS NULL THEN format('ALTER INDEX %I.%I RENAME TO %I', t.nspname, $3::text || i.indexrelid, c.relname)
    ELSE format('ALTER TABLE %s ADD CONSTRAINT %I %s USING INDEX %I%s', t.name, k.conname,
        CASE k.contype WHEN 'p' THEN 'PRIMARY KEY' ELSE 'UNIQUE' END, $3::text || i.indexrelid,
        CASE WHEN k.condeferrable THEN ' DEFERRABLE' || CASE WHEN k.condeferred THEN ' INITIALLY DEFERRED' ELSE '' END END)
    END
FROM t JOIN pg_index i ON i.indrelid = t.oid AND i.indisvalid JOIN pg_class c ON c.oid = i.indexrelid
LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = t.oid AND k.contype IN ('p', 'u', 'x')
WHERE k.contype IS DISTINCT FROM 'x'
UNION ALL
SELECT 2, format('ALTER TABLE %s RENAME CONSTRAINT %I TO %I', t.name, $3::text || k.conindid, k.conname)
FROM t JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype = 'x'
UNION ALL
SELECT 3, format('ALTER TABLE %s OWNER TO %I', t.name, pg_get_userbyid(t.relowner))
FROM t JOIN pg_class n ON n.oid = $2::oid AND n.relowner <> t.relowner
UNION ALL
SELECT DISTINCT 9, format('REVOKE ALL ON %s FROM %s', t.name, roles.name)
FROM t, pg_class n, aclexplode(coalesce(n.relacl, acldefault('r', n.relowner))) a JOIN roles ON roles.oid = a.grantee
WHERE n.oid = $2::oid
UNION ALL
SELECT 10, format('GRANT %s ON %s TO %s%s', a.privilege_type, t.name, roles.name,
    CASE WHEN a.is_grantable AND a.grantee <> t.relowner THEN ' WITH GRANT OPTION' END)
FROM t, aclexplode(coalesce(t.relacl, acldefault('r', t.relowner))) a JOIN roles ON roles.oid = a.grantee
UNION ALL
SELECT 10, format('GRANT %s (%I) ON %s TO %s%s', x.privilege_type, a.attname, t.name, roles.name,
    CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' END)
FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped,
    aclexplode(a.attacl) x JOIN roles ON roles.oid = x.grantee
UNION ALL
SELECT 6, format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s', t.name, a.attname, a.attstattarget)
FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attstattarget >= 0
UNION ALL
SELECT 6, format('ALTER TABLE %s ALTER COLUMN %I SET (%s)', t.name, a.attname, array_to_string(a.attoptions, ', '))
FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attoptions IS NOT NULL
UNION ALL
SELECT 6, format('ALTER INDEX %I.%I ALTER COLUMN %s SET STATISTICS %s', t.nspname, c.relname, a.attnum, a.attstattarget)
FROM t JOIN pg_index i ON i.indrelid = t.oid AND i.indisvalid JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attstattarget >= 0
UNION ALL
SELECT 6, format('ALTER TABLE %s CLUSTER ON %I', t.name, c.relname)
FROM t JOIN pg_index i ON i.indrelid = t.oid AND i.indisclustered JOIN pg_class c ON c.oid = i.indexrelid
UNION ALL
SELECT 6, format('ALTER TABLE %s REPLICA IDENTITY %s', t.name, CASE t.relreplident
    WHEN 'n' THEN 'NOTHING' WHEN 'f' THEN 'FULL' WHEN 'i' THEN format('USING INDEX %I', (
        SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE i.indrelid = t.oid AND i.indisreplident)) END)
FROM t WHERE t.relreplident <> 'd'
UNION ALL
SELECT 6, pg_get_statisticsobjdef(s.oid) FROM pg_statistic_ext s WHERE s.stxrelid = $1::oid
UNION ALL
SELECT 7, format('ALTER STATISTICS %I.%I SET STATISTICS %s', n.nspname, s.stxname, s.stxstattarget)
FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
WHERE s.stxrelid = $1::oid AND s.stxstattarget >= 0
UNION ALL
SELECT 6, format('CREATE POLICY %I ON %s AS %s FOR %s TO %s%s%s', p.polname, t.name,
    CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
    CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
    (SELECT string_agg(roles.name, ', ') FROM unnest(p.polroles) AS r(oid) JOIN roles ON roles.oid = r.oid),
    ' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
    ' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')
FROM t JOIN pg_policy p ON p.polrelid = t.oid
UNION ALL
SELECT 7, format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t.name) FROM t WHERE t.relrowsecurity
UNION ALL
SELECT 7, format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', t.name) FROM t WHERE t.relforcerowsecurity
UNION ALL
SELECT 6, pg_get_triggerdef(g.oid) FROM pg_trigger g WHERE g.tgrelid = $1::oid AND NOT g.tgisinternal
UNION ALL
SELECT 7, format('ALTER TABLE %s %s TRIGGER %I', t.name, CASE g.tgenabled
    WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END, g.tgname)
FROM t JOIN pg_trigger g ON g.tgrelid = t.oid AND NOT g.tgisinternal AND g.tgenabled <> 'O'
UNION ALL
SELECT 6, format('ALTER PUBLICATION %I ADD TABLE %s%s%s', p.pubname, t.name,
    ' (' || (SELECT string_agg(quote_ident(a.attname), ', ') FROM pg_attribute a
             WHERE a.attrelid = t.oid AND a.attnum = ANY (r.prattrs::int2[])) || ')',
    ' WHERE (' || pg_get_expr(r.prqual, r.prrelid) || ')')
FROM t JOIN pg_publication_rel r ON r.prrelid = t.oid JOIN pg_publication p ON p.oid = r.prpubid
UNION ALL
SELECT 8, format('COMMENT ON %s IS %L', o.what, d.description) FROM t JOIN (
    SELECT t.oid, 'pg_class'::regclass AS class, format('TABLE %s', t.name) AS what FROM t
    UNION ALL SELECT i.indexrelid, 'pg_class'::regclass, format('INDEX %I.%I', t.nspname, c.relname)
    FROM t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class c ON c.oid = i.indexrelid
    UNION ALL SELECT k.oid, 'pg_constraint'::regclass, format('CONSTRAINT %I ON %s', k.conname, t.name)
    FROM t JOIN pg_constraint k ON k.conrelid = t.oid
    UNION ALL SELECT g.oid, 'pg_trigger'::regclass, format('TRIGGER %I ON %s', g.tgname, t.name)
    FROM t JOIN pg_trigger g ON g.tgrelid = t.oid
    UNION ALL SELECT p.oid, 'pg_policy'::regclass, format('POLICY %I ON %s', p.polname, t.name)
    FROM t JOIN pg_policy p ON p.polrelid = t.oid
    UNION ALL SELECT s.oid, 'pg_statistic_ext'::regclass, format('STATISTICS %I.%I', n.nspname, s.stxname)
    FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE s.stxrelid = $1::oid
) o ON true JOIN pg_description d ON d.classoid = o.class AND d.objoid = o.oid AND d.objsubid = 0
ORDER BY 1, 2
