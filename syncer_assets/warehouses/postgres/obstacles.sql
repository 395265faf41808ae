-- Why another table cannot be put in the place of this one ($1) so that nobody notices, and whether a person who asks
-- for it may have it all the same. No row: nothing stands in the way.
WITH t AS (SELECT c.* FROM pg_class c WHERE c.oid = $1::oid), users AS (
    SELECT v.oid, v.relkind, v.relowner FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1::oid
        AND v.oid <> $1::oid
)
SELECT 'it is partitioned', false FROM t WHERE t.relkind <> 'r'
UNION ALL SELECT 'the role does not own it', false FROM t WHERE NOT pg_has_role(t.relowner, 'USAGE')
UNION ALL SELECT 'it is of a composite type', false FROM t WHERE t.reloftype <> 0
UNION ALL SELECT 'it inherits, or is inherited from', false FROM t
    WHERE EXISTS (SELECT FROM pg_inherits h WHERE t.oid IN (h.inhrelid, h.inhparent))
UNION ALL SELECT 'a foreign key points to it', false FROM t
    WHERE EXISTS (SELECT FROM pg_constraint k WHERE k.contype = 'f' AND k.confrelid = t.oid)
UNION ALL SELECT 'a materialised view reads it', false FROM t WHERE EXISTS (SELECT FROM users WHERE relkind = 'm')
UNION ALL SELECT 'a view of another owner reads it', false FROM t
    WHERE EXISTS (SELECT FROM users WHERE NOT pg_has_role(relowner, 'USAGE'))
UNION ALL SELECT 'it has rules', false FROM t WHERE EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = t.oid)
UNION ALL SELECT 'a sequence belongs to it', false FROM t WHERE EXISTS (
    SELECT FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid)
UNION ALL SELECT 'its row type is used', false FROM t WHERE EXISTS (
    SELECT FROM pg_depend d JOIN pg_type y ON y.oid = t.reltype
    WHERE d.refclassid = 'pg_type'::regclass AND d.refobjid IN (y.oid, y.typarray) AND d.deptype = 'n')
UNION ALL SELECT 'a function or a policy of another table uses it', false FROM t WHERE EXISTS (
    SELECT FROM pg_depend d WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid AND d.deptype = 'n'
        AND (d.classid = 'pg_proc'::regclass OR d.classid = 'pg_policy'::regclass AND NOT EXISTS (
            SELECT FROM pg_policy p WHERE p.oid = d.objid AND p.polrelid = t.oid)))
UNION ALL SELECT 'it has security labels', false FROM t
    WHERE EXISTS (SELECT FROM pg_seclabel s WHERE s.classoid = 'pg_class'::regclass AND s.objoid = t.oid)
UNION ALL SELECT 'it is in a publication of another owner', false FROM t WHERE EXISTS (
    SELECT FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
    WHERE r.prrelid = t.oid AND NOT pg_has_role(p.pubowner, 'USAGE'))
UNION ALL SELECT 'an index of it is not valid', false FROM t
    WHERE EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid AND NOT i.indisvalid)
UNION ALL SELECT 'its triggers would not fire', true FROM t
    WHERE EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = t.oid AND NOT g.tgisinternal AND g.tgenabled <> 'D')
