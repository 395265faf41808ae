"""The same machine on real servers: transactions are open connections, a crash ends the sessions that it had."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from syncer_assets.sources.postgres import PostgresSource
from syncer_assets.warehouses.base import CAPTURED_AT
from syncer_assets.warehouses.postgres import PostgresWarehouse
from syncer_assets_tests.faults.job import IMPATIENT
from syncer_assets_tests.faults.model.machine import TARGET, Protocol
from syncer_assets_tests.faults.model.source import Row
from syncer_assets_tests.faults.model.warehouse import Stored, Tables
from syncer_assets_tests.servers import Database

TABLE = """
DROP TABLE IF EXISTS rows;
CREATE TABLE rows (id bigserial PRIMARY KEY, value text, updated_at timestamptz NOT NULL);
CREATE INDEX ON rows (updated_at);
"""
NOTHING = "DROP SCHEMA IF EXISTS shop CASCADE; DROP SCHEMA IF EXISTS _syncer CASCADE"
STOPPED = {"idle_in_transaction_session_timeout": "300ms"}
"""How long the server bears with a process that is stopped in a transaction."""


@dataclass
class Transaction:
    """An open one, and what it has written: None means deleted."""

    number: int
    connection: psycopg.Connection
    writes: dict[int, Row | None] = field(default_factory=dict)

    def write(self, id_: int | None, statement: str, *values: object) -> None:
        """A statement that returns the row; `id_` where there may be none."""
        row = self.connection.execute(f"{statement} RETURNING id, value, updated_at".encode(), values).fetchone()
        if row is not None:
            self.writes[id_ or row[0]] = None if statement.startswith("DELETE") else Row(*row)


class Writers:
    """What `SimulatedSource` is to the writers, on a real table. Nobody waits for a lock: who would, does nothing."""

    def __init__(self, database: Database):
        self._database = database
        self.open: dict[int, Transaction] = {}
        self.transactions = 0
        database.execute(TABLE)

    @property
    def rows(self) -> dict[int, Row]:
        return {row[0]: Row(*row) for row in self._database.execute("SELECT id, value, updated_at FROM rows")}

    def begin(self) -> Transaction:
        self.transactions += 1
        transaction = Transaction(self.transactions, self._database.connect(autocommit=False))
        transaction.connection.execute("SELECT now()")
        self.open[transaction.number] = transaction
        return transaction

    def insert(self, transaction: Transaction) -> None:
        new = f"new in {transaction.number}"
        transaction.write(None, "INSERT INTO rows (value, updated_at) VALUES (%s, now())", new)

    def update(self, transaction: Transaction, id_: int, at: datetime | None = None) -> None:
        if not self._is_locked(id_):
            changed = f"changed in {transaction.number}"
            transaction.write(
                id_, "UPDATE rows SET value = %s, updated_at = coalesce(%s, now()) WHERE id = %s", changed, at, id_
            )

    def bring_back(self, transaction: Transaction, id_: int) -> None:
        if id_ not in self.rows and not self._is_locked(id_):
            back = f"back in {transaction.number}"
            transaction.write(id_, "INSERT INTO rows VALUES (%s, %s, now())", id_, back)

    def delete(self, transaction: Transaction, id_: int) -> None:
        if not self._is_locked(id_):
            transaction.write(id_, "DELETE FROM rows WHERE id = %s", id_)

    def commit(self, transaction: Transaction) -> None:
        transaction.connection.commit()
        self._close(transaction)

    def rollback(self, transaction: Transaction) -> None:
        transaction.connection.rollback()
        self._close(transaction)

    def _close(self, transaction: Transaction) -> None:
        transaction.connection.close()
        del self.open[transaction.number]

    def _is_locked(self, id_: int) -> bool:
        return any(id_ in other.writes for other in self.open.values())


class Looked:
    """What a real warehouse has, as the invariants look at it."""

    def __init__(self, database: Database):
        self._database = database
        self._warehouse = PostgresWarehouse("dw", database.dsn)
        database.execute(NOTHING)

    @property
    def tables(self) -> Tables:
        if not self._database.scalar("SELECT to_regclass('_syncer.loads') IS NOT NULL"):
            return Tables()
        marks = {mark.partition: mark for mark in self._warehouse.watermarks(TARGET)}
        ledger = {(row.partition, row.seq): row for row in self._warehouse.ledger(TARGET)}
        return Tables(self._rows(), marks, ledger)

    def close(self) -> None:
        self._warehouse.close()

    def _rows(self) -> dict[Any, Stored]:
        if not self._database.scalar("SELECT to_regclass('shop.rows') IS NOT NULL"):
            return {}
        with self._database.connect() as connection:
            found = connection.cursor(row_factory=dict_row).execute("SELECT ctid::text, * FROM shop.rows").fetchall()
        return {row.pop("ctid"): Stored(_values(row), row[CAPTURED_AT]) for row in found}


class RealProtocol(Protocol):
    """One table of a real source, and its copy in a real warehouse; the lake is in memory."""

    source_db: Database
    warehouse_db: Database
    backoff = IMPATIENT

    def __init__(self) -> None:
        super().__init__()
        self.processes = 0

    def servers(self) -> tuple[Any, Any]:
        return Writers(self.source_db), Looked(self.warehouse_db)

    @contextmanager
    def connected(self) -> Iterator[tuple[Any, Any]]:
        self.processes += 1
        source = PostgresSource("shop", self.source_db.dsn)
        name = f"&application_name=process-{self.processes}"
        warehouse = PostgresWarehouse("dw", self.warehouse_db.dsn + name, STOPPED)
        try:
            yield source, warehouse
        finally:
            source.close()
            warehouse.close()

    def end_sessions(self) -> None:
        self.warehouse_db.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            f" WHERE application_name = 'process-{self.processes}'"
        )

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            for transaction in self.source.open.values():
                transaction.connection.close()
            self.warehouse.close()


def _values(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if not name.startswith("_syncer_")}
