"""A keyed update of a small table: visits by social security number in the double, their copy in PostgreSQL.

`python -m syncer_assets_tests.sync.keyed HOUSE_DSN WAREHOUSE_DSN [SIZED_DSN]` runs it in a process that can be killed,
as the run `killed`; with the compute of the third at the size LARGE.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from syncer_assets.model.keyed_update import BatchSettings, KeyedReport, KeyedUpdateSpec
from syncer_assets.model.sizing import SizeRules, SizeStep
from syncer_assets.model.table import IndexSpec, Target
from syncer_assets.sources.snowflake import SnowflakeSource
from syncer_assets.sync.keyed_cycle import KeyedMode
from syncer_assets.sync.keyed_update import keyed_update
from syncer_assets.sync.retry import Backoff
from syncer_assets.warehouses.postgres import PostgresWarehouse
from syncer_assets.warehouses.registry import open_sizer
from syncer_assets.warehouses.sizing import Sizer
from syncer_assets_tests.servers import Database
from syncer_assets_tests.sources.snowflake.double import House

ROWS = 300
SOURCE = """
CREATE TABLE VISITS (VISIT_ID INTEGER, SSN VARCHAR(11), STATUS VARCHAR(20), AMOUNT NUMBER(12,2), VISIT_DATE DATE,
    UPDATED_AT TIMESTAMP_NTZ, DOC VARIANT)
"""
FILL = f"""
SELECT i, 'SSN' || lpad(((i * 7919) % 1000000000)::text, 9, '0'), 'S' || (i % 7), (i % 1000) / 10.0,
    current_date - (i % 300)::int, timestamp '2026-01-01' + i * interval 1 minute, '{{"a":' || i || '}}'
FROM range(1, {ROWS} + 1) t(i)
"""
TARGET = f"""
CREATE TABLE visits (visit_id bigint, status text, amount numeric(12,2), updated_at timestamp, doc jsonb, note text);
CREATE UNIQUE INDEX ON visits (visit_id);
INSERT INTO visits (visit_id, status, note) SELECT i, 'old', 'kept' FROM generate_series(1, {ROWS}) i;
"""
AT_ONCE = Backoff(0.01, 0.05, 30.0)
SPEC = KeyedUpdateSpec(
    name="visits",
    source="house",
    target=Target("analytics", "public", "visits"),
    key={"visit_id": "VISIT_ID"},
    prefix_column="SSN",
    table="PUBLIC.VISITS",
    length=4,
    batch=BatchSettings(rows=100),
    workers=3,
)
INDEXED = replace(SPEC, indexes=(IndexSpec(("visit_id",), unique=True),))


@dataclass
class Visits:
    """Both sides, and how they are kept alike."""

    house: House
    database: Database
    spec: KeyedUpdateSpec = SPEC
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @classmethod
    def create(cls, house: House, database: Database) -> "Visits":
        house.run(SOURCE)
        house.fill("VISITS", FILL)
        database.grant("SCHEMA public")
        database.execute(TARGET)
        return cls(house, database)

    @contextmanager
    def opened(self) -> Iterator[tuple[SnowflakeSource, PostgresWarehouse]]:
        source, warehouse = SnowflakeSource("house", self.house.dsn), PostgresWarehouse("analytics", self.database.dsn)
        try:
            yield source, warehouse
        finally:
            source.close()
            warehouse.close()

    def update(
        self,
        spec: KeyedUpdateSpec | None = None,
        partition: str = "all",
        *,
        mode: KeyedMode = "auto",
        run_id: str = "r",
        sizer: Sizer | None = None,
    ) -> KeyedReport:
        with self.opened() as (source, warehouse):
            return keyed_update(
                source,
                warehouse,
                spec or self.spec,
                partition,
                mode=mode,
                run_id=run_id,
                sizer=sizer,
                emit=lambda event, **fields: self.events.append((event, fields)),
                backoff=AT_ONCE,
            )

    def different(self) -> int:
        """How many rows of the table are not as the source has them (amounts and statuses)."""
        there = {
            int(i): (status, amount)
            for i, status, amount in self.house.double.duckdb(
                f"SELECT VISIT_ID, STATUS, AMOUNT::DECIMAL(12,2) FROM {self.house.name}.PUBLIC.VISITS"
            )
        }
        here = self.database.execute("SELECT visit_id, status, amount::text FROM visits")
        return sum(1 for i, status, amount in here if there.get(i) != (status, amount))

    def fetches(self) -> list[dict]:
        """The statements that fetched a batch, since the last call."""
        return [each for each in self.house.double.statements() if " AS c0" in each["text"]]


def main() -> None:
    source, warehouse = SnowflakeSource("house", sys.argv[1]), PostgresWarehouse("analytics", sys.argv[2])
    rules = SizeRules((SizeStep("LARGE"),))
    sizer = open_sizer("source house", "snowflake", sys.argv[3], rules) if len(sys.argv) > 3 else None
    spec = replace(SPEC, workers=2, batch=BatchSettings(rows=20))
    keyed_update(source, warehouse, spec, run_id="killed", sizer=sizer, backoff=AT_ONCE)


if __name__ == "__main__":
    main()
