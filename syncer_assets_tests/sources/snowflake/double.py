"""A double of Snowflake to read from: fakesnow (DuckDB behind Snowflake's wire) in a process of its own, on loopback.

It proves that our statements run, that values are bound, and that rows come whole. It does not prove the real parser,
its coercions, its optimiser or its cost. The double to write to is `syncer_assets_tests.doubles.snowflake`; this one
shares no process with the test, so that many threads can read from it and what they cost can be measured apart.
"""

import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from syncer_assets.drivers import snowflake
from syncer_assets_tests.servers import free_ports, poll

RESULTS_KEPT = 16

PLAN = '{"GlobalStats": {"partitionsTotal": 10, "partitionsAssigned": 3, "bytesAssigned": 1}}'
LACKING = {
    "CURRENT_ACCOUNT()": "'DOUBLE'",
    "CURRENT_WAREHOUSE()": "'TEST_WH'",
    "CURRENT_ROLE()": "'READER'",
    "DATE_PART(nanosecond,": "1000 * DATE_PART(microsecond,",
    "TO_NUMBER(SUBSTR(MD5(": "CAST('0x' || SUBSTR(MD5(",
    "), 1, 8), 'XXXXXXXX')": "), 1, 8) AS BIGINT)",
    "), 1, 15), 'XXXXXXXXXXXXXXX')": "), 1, 15) AS BIGINT)",
    "EXPLAIN USING JSON": f"SELECT '{PLAN}' --",
    "DATETIME_PRECISION": "CASE WHEN DATA_TYPE LIKE 'TIME%' THEN 9 END",
}
"""Functions and columns that fakesnow does not have, and what they say here."""


@dataclass
class ReadingDouble:
    """The server, and the way to put data into it by DuckDB's own SQL."""

    port: int
    process: subprocess.Popen[bytes] | None = None
    password: str = "snow"

    @classmethod
    def start(cls) -> "ReadingDouble":
        double = cls(free_ports(1)[0])
        double.process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(double.port)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        poll(double._answers, deadline_seconds=120, every_seconds=0.1)
        return double

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def dsn(self, database: str, schema: str = "PUBLIC", *, password: str | None = None) -> str:
        place = f"host=127.0.0.1&port={self.port}&protocol=http&warehouse=TEST_WH"
        return f"snowflake://tester:{password or self.password}@double/{database}/{schema}?{place}"

    def duckdb(self, *statements: str) -> list[list]:
        """Run DuckDB's SQL inside; the rows of the last statement."""
        answer = httpx.post(self._url("/double/duckdb"), json=list(statements), timeout=600)
        if answer.status_code != 200:
            raise RuntimeError(answer.text)
        return answer.json()

    def statements(self) -> list[dict]:
        """What was asked since the last call: text and bindings, as they arrived."""
        return httpx.post(self._url("/double/statements"), timeout=60).json()

    def sessions(self) -> int:
        """How many sessions are open."""
        return httpx.get(self._url("/double/sessions"), timeout=60).json()

    def forget_sessions(self) -> None:
        """As a service does that lost them."""
        httpx.post(self._url("/double/forget"), timeout=60).raise_for_status()

    def slow_down(self, seconds: float) -> None:
        """Each SELECT of rows waits so long, as a warehouse's queries do."""
        httpx.post(self._url("/double/slow"), json=seconds, timeout=60).raise_for_status()

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError(f"the double ended with {self.process.returncode}")
        try:
            return httpx.get(self._url("/double/sessions"), timeout=20).status_code == 200
        except httpx.TransportError:
            return False

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@dataclass(frozen=True)
class House:
    """An empty database of a test's own in the double, with the schema PUBLIC."""

    double: ReadingDouble
    name: str

    @classmethod
    def create(cls, double: ReadingDouble) -> "House":
        house = cls(double, f"DB_{uuid4().hex[:8].upper()}")
        house.run()
        return house

    @property
    def dsn(self) -> str:
        return self.double.dsn(self.name)

    def run(self, *statements: str) -> None:
        """Run Snowflake's SQL."""
        connection = snowflake.connect(self.dsn, who="the test")
        try:
            for statement in statements:
                snowflake.execute(connection, statement)
        finally:
            connection.close()
            self.double.statements()

    def fill(self, table: str, select: str) -> None:
        """Insert what a SELECT in DuckDB's SQL makes."""
        self.double.duckdb(f"INSERT INTO {self.name}.PUBLIC.{table} {select}")

    def drop(self) -> None:
        self.double.duckdb("USE memory", f"DETACH {self.name}")


class _Recent(OrderedDict):
    """fakesnow keeps every result for ever; a service of its size would not."""

    def __setitem__(self, key: object, value: object) -> None:
        super().__setitem__(key, value)
        while len(self) > RESULTS_KEPT:
            self.popitem(last=False)


def _one(array: Any) -> Any:
    return array.combine_chunks() if hasattr(array, "combine_chunks") else array


def main(arguments: Sequence[str]) -> None:
    import gzip
    import json

    import duckdb
    import fakesnow.arrow as arrow
    import fakesnow.server as server
    import pyarrow as pa
    import uvicorn
    from fakesnow.cursor import FakeSnowflakeCursor
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    server.shared_fs.results_cache = _Recent()
    struct = arrow.timestamp_to_sf_struct

    def with_nulls(times: Any) -> Any:
        """fakesnow sends a NULL time as a struct of NULLs, which the connector reads as 1970; the service does not."""
        fields = struct(times)
        filled = [part.fill_null(0) for part in fields.flatten()]
        return pa.StructArray.from_arrays(filled, fields=list(fields.type), mask=_one(times).is_null())

    arrow.timestamp_to_sf_struct = with_nulls
    execute = FakeSnowflakeCursor.execute

    def taught(self: FakeSnowflakeCursor, command: str, *rest: Any, **named: Any) -> FakeSnowflakeCursor:
        for function, value in LACKING.items():
            command = command.replace(function, value)
        return execute(self, command, *rest, **named)

    FakeSnowflakeCursor.execute = taught
    asked: list[dict] = []
    slow = [0.0]

    async def query(request: Request) -> JSONResponse:
        body = await request.body()
        body = gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body
        said = json.loads(body)
        asked.append({"text": said["sqlText"], "bindings": said.get("bindings")})
        if slow[0] and said["sqlText"].lstrip().upper().startswith("SELECT"):
            await run_in_threadpool(time.sleep, slow[0])
        try:
            answer = await server.query_request(request)
        except Exception as error:  # noqa: BLE001  # a gap of fakesnow: for a 500 the connector would ask for minutes
            return refusal(type(error).__name__)
        if answer.status_code == 401:
            return refusal("the session is gone", "390111", "08001")
        return refusal("HTTP 500") if answer.status_code == 500 else answer

    def refusal(what: str, code: str = "001003", state: str = "42000") -> JSONResponse:
        data = {"errorCode": code, "sqlState": state}
        said = f"the double cannot do this: {what}"
        return JSONResponse({"success": False, "code": code, "message": said, "data": data})

    async def raw(request: Request) -> JSONResponse:
        statements = json.loads(await request.body())

        def run() -> list:
            cursor = server.shared_fs.duck_conn.cursor()
            for statement in statements:
                cursor.execute(statement)
            return [[str(value) for value in row] for row in cursor.fetchall()]

        try:
            return JSONResponse(await run_in_threadpool(run))
        except duckdb.Error as error:
            return JSONResponse(str(error), status_code=400)

    async def told(request: Request) -> JSONResponse:
        found = list(asked)
        asked.clear()
        return JSONResponse(found)

    def forget(_: Request) -> JSONResponse:
        server.sessions.clear()
        return JSONResponse(True)

    async def slower(request: Request) -> JSONResponse:
        slow[0] = float(json.loads(await request.body()))
        return JSONResponse(slow[0])

    routes = [
        Route("/queries/v1/query-request", query, methods=["POST"]),
        Route("/double/duckdb", raw, methods=["POST"]),
        Route("/double/statements", told, methods=["POST"]),
        Route("/double/forget", forget, methods=["POST"]),
        Route("/double/slow", slower, methods=["POST"]),
        Route("/double/sessions", lambda _: JSONResponse(len(server.sessions))),
        Route("/telemetry/send", lambda _: JSONResponse({"success": True}), methods=["POST"]),
        Route("/session/heartbeat", lambda _: JSONResponse({"success": True}), methods=["POST"]),
        *server.routes,
    ]
    uvicorn.run(Starlette(routes=routes), host="127.0.0.1", port=int(arguments[0]), log_level="error")


if __name__ == "__main__":
    main(sys.argv[1:])
