-- All that the catalogue says of a table ($1) by name, its OIDs left out: (kind, name, definition). Two tables of which
-- this is equal are the same to everybody who uses them. The session's search_path is empty.
WITH t AS (SELECT c.* FROM pg_class c WHERE c.oid = $1::oid)
SELECT 'table' AS kind, '' AS name, jsonb_build_array(
    t.relpersistence, t.relreplident, t.relrowsecurity, t.relforcerowsecurity, t.reloptions, t.reltablespace, t.relam,
    pg_get_userbyid(t.relowner), obj_description(t.oid, 'pg_class'),
    (SELECT reloptions FROM pg_class toast WHERE toast.oid = t.reltoastrelid))::text AS definition FROM t
UNION ALL
SELECT 'grant', concat_ws(' ', a.privilege_type, a.grantee::regrole), concat_ws(' ', a.grantor::regrole, a.is_grantable)
FROM t, aclexplode(coalesce(t.relacl, acldefault('r', t.relowner))) a
UNION ALL
SELECT 'column', a.attname, jsonb_build_array(
    row_number() OVER (ORDER BY a.attnum), format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attstorage,
    a.attcompression, nullif(a.attstattarget, -1), a.attoptions, a.attgenerated, a.attidentity, a.attcollation,
    (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum),
    col_description(a.attrelid, a.attnum), (
        SELECT jsonb_agg(concat_ws(' ', x.grantor::regrole, x.grantee::regrole, x.privilege_type, x.is_grantable)
            ORDER BY x.grantee, x.privilege_type) FROM aclexplode(a.attacl) x))::text
FROM pg_attribute a WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'constraint', k.conname,
    concat_ws(' ', pg_get_constraintdef(k.oid), k.convalidated, obj_description(k.oid, 'pg_constraint'))
FROM pg_constraint k WHERE k.conrelid = $1::oid AND k.contype <> 'n'
UNION ALL
SELECT 'index', c.relname, jsonb_build_array(
    pg_get_indexdef(i.indexrelid), i.indisclustered, i.indisreplident, obj_description(c.oid, 'pg_class'),
    (SELECT jsonb_agg(nullif(a.attstattarget, -1) ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid))::text
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = $1::oid AND i.indisvalid
UNION ALL
SELECT 'trigger', g.tgname, concat_ws(' ', pg_get_triggerdef(g.oid), g.tgenabled, obj_description(g.oid, 'pg_trigger'))
FROM pg_trigger g WHERE g.tgrelid = $1::oid AND NOT g.tgisinternal
UNION ALL
SELECT 'policy', p.polname, concat_ws(' ', p.polcmd, p.polpermissive, p.polroles::regrole[], pg_get_expr(p.polqual, p.polrelid),
    pg_get_expr(p.polwithcheck, p.polrelid), obj_description(p.oid, 'pg_policy'))
FROM pg_policy p WHERE p.polrelid = $1::oid
UNION ALL
SELECT 'statistics', s.stxname, concat_ws(' ', pg_get_statisticsobjdef(s.oid), nullif(s.stxstattarget, -1),
    obj_description(s.oid, 'pg_statistic_ext')) FROM pg_statistic_ext s WHERE s.stxrelid = $1::oid
UNION ALL
SELECT 'publication', p.pubname, concat_ws(' ', (SELECT string_agg(a.attname, ',' ORDER BY a.attnum) FROM pg_attribute a
        WHERE a.attrelid = $1::oid AND a.attnum = ANY (r.prattrs::int2[])), pg_get_expr(r.prqual, r.prrelid))
FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE r.prrelid = $1::oid
UNION ALL
SELECT 'view', v.oid::regclass::text, jsonb_build_array(
    pg_get_viewdef(v.oid), v.reloptions, v.relacl, pg_get_userbyid(v.relowner), obj_description(v.oid, 'pg_class'))::text
FROM pg_class v WHERE v.oid IN (
    SELECT r.ev_class FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1::oid)
    AND v.oid <> $1::oid
