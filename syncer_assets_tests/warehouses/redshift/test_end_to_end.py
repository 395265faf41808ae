"""A source in PostgreSQL, the lake in S3, the warehouse behind the double: what arrives is what was there."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from syncer_assets.model.partition import PartitionScheme
from syncer_assets.model.report import LoadReport, SyncReport
from syncer_assets.model.table import TableSpec, Target
from syncer_assets.sources.base import Source
from syncer_assets.sources.registry import open_source
from syncer_assets.sync.checksum import Comparison, compare
from syncer_assets.sync.extract import extract
from syncer_assets.sync.lake import Lake, open_lake
from syncer_assets.sync.load import load
from syncer_assets.warehouses.redshift import RedshiftWarehouse
from syncer_assets_tests.doubles.redshift import RedshiftDouble
from syncer_assets_tests.servers import Bucket, Database

TYPES = """
CREATE TABLE things (
    id bigserial PRIMARY KEY, flag boolean, small smallint, n integer, price numeric(12,4), free numeric,
    ratio double precision, name text, code varchar(10), raw bytea, born date, seen timestamp, at timestamptz,
    clock time, who uuid, doc jsonb
);
INSERT INTO things (flag, small, n, price, free, ratio, name, code, raw, born, seen, at, clock, who, doc)
SELECT i % 2 = 0, i, -i, i * 1.25, i * 1.10, i / 3.0, 'näme ' || i, 'c' || i, decode(md5(i::text), 'hex'),
    date '2026-01-01' + i, timestamp '2026-01-01' + i * interval '1.000001 s', now() - i * interval '1 min',
    time '00:00' + i * interval '0.5 s', md5(i::text)::uuid, json_build_object('i', i)::jsonb
FROM generate_series(1, 300) i;
INSERT INTO things (name) VALUES (NULL), (''), ('trailing  '), (E'back\\\\slash'), ('it''s'), ('🙂');
"""


class Job:
    """One table from its source to the warehouse."""

    def __init__(self, source: Source, lake: Lake, warehouse: RedshiftWarehouse, spec: TableSpec):
        self.source, self.lake, self.warehouse, self.spec = source, lake, warehouse, spec
        self.target = Target("w", "shop", spec.name)

    def extract(self, partition: str = "all") -> SyncReport:
        return extract(self.source, self.lake, self.spec, partition)

    def load(self, partition: str = "all") -> LoadReport:
        return load(self.lake, self.warehouse, self.spec, self.target, partition)

    def compare(self) -> Comparison:
        return compare(self.source, self.warehouse, self.spec, self.target)


@pytest.fixture
def source(source_db: Database) -> Iterator[Source]:
    source = open_source("shop", "postgres", source_db.dsn)
    yield source
    source.close()


def a_job(source: Source, warehouse: RedshiftWarehouse, double: RedshiftDouble, spec: TableSpec) -> Job:
    bucket: Bucket = double.bucket
    return Job(source, open_lake(f"{bucket.url}/lake"), warehouse, spec)


def test_every_type_is_equal_by_checksum(
    source_db: Database, source: Source, warehouse: RedshiftWarehouse, double: RedshiftDouble
) -> None:
    source_db.execute(TYPES)
    job = a_job(source, warehouse, double, TableSpec("shop", "public.things", ("id",), ("id",), settle_seconds=0))
    job.extract()
    assert (job.load().copies, double.copies) == (1, 1)
    comparison = job.compare()
    assert comparison.equal and comparison.rows_target == 306 and not comparison.buckets_different
    assert comparison.columns_left_out == ("ratio", "doc")
    double.database.execute(
        "UPDATE shop.things SET name = 'other' WHERE id IN (7, 8); DELETE FROM shop.things WHERE id = 9"
    )
    differing = job.compare()
    assert (differing.rows_changed, differing.rows_missing, differing.rows_extra) == (2, 1, 0)


def test_sparse_rows_of_26_windows_are_one_file_and_one_copy(
    source_db: Database, source: Source, warehouse: RedshiftWarehouse, double: RedshiftDouble
) -> None:
    """The seed's story: 50,000 rows scattered over a range of ids that a loop by ranges reads as 26 files and loads by
    26 COPYs. Counted where COPYs arrive."""
    source_db.execute(
        "CREATE TABLE prealerts (id bigint PRIMARY KEY, note text);"
        "INSERT INTO prealerts SELECT i * 4999 + i % 7, 'note ' || i FROM generate_series(1, 1300) i"
    )
    spec = TableSpec("shop", "public.prealerts", ("id",), ("id",), strategy="range", settle_seconds=0)
    job = a_job(source, warehouse, double, spec)
    assert source_db.scalar("SELECT count(DISTINCT id / 250000) FROM prealerts") >= 26
    synced = job.extract()
    assert (synced.rows, synced.files) == (1300, 1)
    report = job.load()
    assert (report.rows_inserted, report.files, report.copies, double.copies) == (1300, 1, 1, 1)
    assert job.compare().equal


def test_26_syncs_that_were_never_loaded_are_one_copy(
    source_db: Database, source: Source, warehouse: RedshiftWarehouse, double: RedshiftDouble
) -> None:
    source_db.execute("CREATE TABLE prealerts (id bigint PRIMARY KEY, note text)")
    spec = TableSpec("shop", "public.prealerts", ("id",), ("id",), settle_seconds=0)
    job = a_job(source, warehouse, double, spec)
    for n in range(1, 27):
        source_db.execute("INSERT INTO prealerts VALUES (%s, 'new')", [n * 200_000])
        job.extract()
    report = job.load()
    assert (report.manifests, report.rows_inserted, report.copies, double.copies) == (26, 26, 1, 1)
    assert job.load().nothing_new and double.copies == 1


def test_updates_and_partitions_by_time(
    source_db: Database, source: Source, warehouse: RedshiftWarehouse, double: RedshiftDouble
) -> None:
    source_db.execute(
        "CREATE TABLE orders (id bigint PRIMARY KEY, status text, updated_at timestamptz NOT NULL);"
        "INSERT INTO orders SELECT i, 'new', timestamptz '2026-01-15' + i * interval '1 day'"
        " FROM generate_series(1, 40) i"
    )
    spec = TableSpec(
        "shop",
        "public.orders",
        ("id",),
        ("updated_at",),
        partitions=PartitionScheme(by="time", every="month", start="2026-01-01"),
        late_commit_lag=timedelta(0),
        settle_seconds=0,
    )
    job = a_job(source, warehouse, double, spec)
    for partition in ("2026-01-01", "2026-02-01"):
        job.extract(partition)
        job.load(partition)
    assert job.compare().rows_target == 40
    source_db.execute("UPDATE orders SET status = 'done', updated_at = '2026-02-27' WHERE id IN (3, 30)")
    job.extract("2026-02-01")
    assert job.load("2026-02-01").rows_updated == 2
    assert job.compare().equal and warehouse.watermark(job.target, "2026-02-01").seq == 2
