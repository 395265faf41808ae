-- The tables that hold the rows of the targets ($1 schemas, $2 names): the number of its target, OID, schema, name, size.
SELECT t.number::int - 1, l.oid, n.nspname::text, l.relname::text, pg_total_relation_size(l.oid)
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS t(schema_name, name, number)
JOIN pg_namespace s ON s.nspname = t.schema_name
JOIN pg_class c ON c.relnamespace = s.oid AND c.relname = t.name
CROSS JOIN LATERAL (SELECT c.oid UNION SELECT relid::oid FROM pg_partition_tree(c.oid::regclass)) AS leaf(oid)
JOIN pg_class l ON l.oid = leaf.oid AND l.relkind = 'r'
JOIN pg_namespace n ON n.oid = l.relnamespace
