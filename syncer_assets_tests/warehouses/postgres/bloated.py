"""Eight seeded tables, each bloated (or not) in a way of its own."""

SEED = 0.42

TABLES = {
    "fresh": """
        CREATE TABLE fresh (id bigint PRIMARY KEY, status int, price int);
        CREATE INDEX fresh_status ON fresh (status);
        CREATE INDEX fresh_price ON fresh (price);
        INSERT INTO fresh SELECT i, (random() * 10)::int, (random() * 20000)::int FROM generate_series(1, 100000) i;
    """,
    "repeated": """
        CREATE TABLE repeated (id bigint PRIMARY KEY, status text, updated_at timestamptz);
        CREATE INDEX repeated_status ON repeated (status);
        CREATE INDEX repeated_updated_at ON repeated (updated_at);
        INSERT INTO repeated SELECT i, 'status-' || (i % 7), now() FROM generate_series(1, 60000) i;
        UPDATE repeated SET status = 'status-' || ((id + 1) % 7), updated_at = now() + id * interval '1 ms';
        UPDATE repeated SET status = 'status-' || ((id + 2) % 7), updated_at = now() + id * interval '2 ms';
        UPDATE repeated SET status = 'status-' || ((id + 3) % 7), updated_at = now() + id * interval '3 ms';
    """,
    "many_null": """
        CREATE TABLE many_null (id bigint PRIMARY KEY, reference bigint);
        CREATE INDEX many_null_reference ON many_null (reference);
        INSERT INTO many_null SELECT i, CASE WHEN random() < 0.05 THEN i END FROM generate_series(1, 150000) i;
        DELETE FROM many_null WHERE id % 3 <> 0;
    """,
    "text_keys": """
        CREATE TABLE text_keys (code text PRIMARY KEY, email text);
        CREATE INDEX text_keys_email ON text_keys (email);
        CREATE INDEX text_keys_lower ON text_keys (lower(email));
        INSERT INTO text_keys SELECT md5(i::text) || repeat('x', (random() * 30)::int),
            'user' || (random() * 30000)::int || '@example.com' FROM generate_series(1, 60000) i;
        DELETE FROM text_keys WHERE left(code, 1) < '9';
    """,
    "uuid_keys": """
        CREATE TABLE uuid_keys (id uuid PRIMARY KEY, grp int);
        CREATE INDEX uuid_keys_grp ON uuid_keys (grp);
        INSERT INTO uuid_keys SELECT md5(i::text)::uuid, i / 50 FROM generate_series(1, 100000) i;
    """,
    "roomy": """
        CREATE TABLE roomy (id bigint PRIMARY KEY, a int, b int) WITH (fillfactor = 70);
        CREATE INDEX roomy_a ON roomy (a) WITH (fillfactor = 70);
        CREATE INDEX roomy_a_b ON roomy (a, b);
        INSERT INTO roomy SELECT i, i % 1000, i % 7 FROM generate_series(1, 100000) i;
        UPDATE roomy SET a = a + 1 WHERE id % 2 = 0;
        UPDATE roomy SET a = a + 1 WHERE id % 2 = 0;
    """,
    "cut_off": """
        CREATE TABLE cut_off (id bigint PRIMARY KEY, created timestamptz, note text);
        CREATE INDEX cut_off_created ON cut_off (created);
        INSERT INTO cut_off SELECT i, now() + i * interval '1 s', repeat('n', i % 200) FROM generate_series(1, 90000) i;
        DELETE FROM cut_off WHERE id < 60000;
    """,
    "hot": """
        CREATE TABLE hot (id bigint PRIMARY KEY, counter int, who int) WITH (fillfactor = 80);
        CREATE INDEX hot_who ON hot (who) WHERE who > 0;
        INSERT INTO hot SELECT i, 0, i % 100 - 50 FROM generate_series(1, 100000) i;
        DO $$ BEGIN FOR r IN 1..20 LOOP UPDATE hot SET counter = counter + 1 WHERE id % 10 = 0; END LOOP; END $$;
    """,
}
