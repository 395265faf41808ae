"""The double's wire: login, queries and the life of sessions, on loopback, in a thread of this process."""

import gzip
import json
import logging
import threading
import time
from base64 import b64encode
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from syncer_assets_tests.doubles.snowflake.account import Account, Refused, Session
from syncer_assets_tests.servers import free_ports, poll

LOG = logging.getLogger("snowflake_double")
GONE = Refused(390111, "08001", "Session no longer exists. New login required to access the service.")
PASSWORD = "double-secret"


class SnowflakeDouble:
    """The service. `statements` are those that arrived, `account` what it holds."""

    def __init__(self) -> None:
        self.port = free_ports(1)[0]
        self.account = Account()
        self.sessions: dict[str, Session] = {}
        self.lost_commit: bool | None = None
        """The next COMMIT takes effect or not, and its session ends before it is answered."""
        self._server = uvicorn.Server(
            uvicorn.Config(Starlette(routes=self._routes()), host="127.0.0.1", port=self.port, log_level="critical")
        )
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def start(self) -> "SnowflakeDouble":
        self._thread.start()
        poll(lambda: self._server.started, deadline_seconds=60)
        return self

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=60)
        self.account.folder.cleanup()

    def dsn(self, database: str = "ANALYTICS", schema: str = "PUBLIC", password: str = PASSWORD) -> str:
        place = f"host=127.0.0.1&port={self.port}&protocol=http&warehouse=LOADING"
        return f"snowflake://loader:{password}@double/{database}/{schema}?{place}"

    @property
    def statements(self) -> list[str]:
        """The texts that arrived, in order."""
        return self.account.statements

    def query(self, database: str, statement: str) -> list[Any]:
        """A person's own SQL, in a session of its own."""
        session = self.account.session(database, "PUBLIC", {})
        try:
            return [tuple(row.values()) for row in session.run(statement, None, record=False).table.to_pylist()]
        finally:
            session.end()

    def kill_sessions(self) -> None:
        """End every session, as a service does that loses them; their transactions are rolled back."""
        for token, session in list(self.sessions.items()):
            del self.sessions[token]
            session.end()

    def _routes(self) -> list[Route]:
        def plain(_: Request) -> Response:
            return JSONResponse({"data": None, "code": None, "message": None, "success": True})

        return [
            Route("/session/v1/login-request", self._login, methods=["POST"]),
            Route("/session", self._close, methods=["POST"]),
            Route("/queries/v1/query-request", self._query, methods=["POST"]),
            Route("/queries/v1/abort-request", plain, methods=["POST"]),
            Route("/session/heartbeat", plain, methods=["POST"]),
            Route("/telemetry/send", plain, methods=["POST"]),
        ]

    async def _login(self, request: Request) -> Response:
        data = (await _body(request))["data"]
        if data.get("PASSWORD") != PASSWORD:
            return _refusal(Refused(390100, "08001", "Incorrect username or password was specified."))
        names = request.query_params
        token = f"token-{time.monotonic_ns()}"
        parameters = data.get("SESSION_PARAMETERS") or {}
        self.sessions[token] = await run_in_threadpool(
            self.account.session, names.get("databaseName", ""), names.get("schemaName", ""), parameters
        )
        return JSONResponse(
            {
                "success": True,
                "data": {
                    "token": token,
                    "masterToken": "master",
                    "parameters": [
                        {"name": "AUTOCOMMIT", "value": True},
                        {"name": "CLIENT_SESSION_KEEP_ALIVE_HEARTBEAT_FREQUENCY", "value": 3600},
                        {"name": "CLIENT_STAGE_ARRAY_BINDING_THRESHOLD", "value": 0},
                    ],
                    "sessionInfo": {
                        "databaseName": names.get("databaseName"),
                        "schemaName": names.get("schemaName"),
                        "warehouseName": names.get("warehouse"),
                    },
                },
            }
        )

    async def _close(self, request: Request) -> Response:
        if session := self.sessions.pop(_token(request), None):
            await run_in_threadpool(session.end)
        return JSONResponse({"data": None, "code": None, "message": None, "success": True})

    async def _query(self, request: Request) -> Response:
        said = await _body(request)
        token, statement = _token(request), said["sqlText"].strip()
        session = self.sessions.get(token)
        if session is None:
            return _refusal(GONE)
        if statement.upper() == "COMMIT" and self.lost_commit is not None:
            committed, self.lost_commit = self.lost_commit, None
            if committed:
                await run_in_threadpool(session.run, statement, None)
            del self.sessions[token]
            await run_in_threadpool(session.end)
            return _refusal(GONE)
        try:
            answer = await run_in_threadpool(session.run, statement, said.get("bindings"))
            data = answer.upload or _data(session, answer)
        except Refused as refused:
            self.account.refusals.append(f"{refused.text}: {statement}")
            return _refusal(refused if token in self.sessions else GONE)
        except Exception as error:  # a gap of the double: the connector would ask a broken service again and again
            LOG.exception("a gap of the double: %s", statement)
            self.account.refusals.append(f"{type(error).__name__}: {error}: {statement}")
            return _refusal(Refused(1, "XX000", f"the double cannot do this: {type(error).__name__}: {error}"))
        return JSONResponse({"success": True, "data": data})


def _data(session: Session, answer: Any) -> dict[str, Any]:
    from fakesnow.arrow import to_ipc, to_sf

    if answer.is_dml:
        rowset = [[None if value is None else str(value) for value in row.values()] for row in answer.table.to_pylist()]
        rows: dict[str, Any] = {"queryResultFormat": "json", "rowset": rowset}
    else:
        table = answer.table.combine_chunks()
        ipc = to_ipc(to_sf(table, answer.rowtype)) if table.num_rows else b""
        rows = {"queryResultFormat": "arrow", "rowsetBase64": b64encode(ipc).decode()}
    return {
        "parameters": [{"name": "TIMEZONE", "value": "Etc/UTC"}],
        "rowtype": answer.rowtype,
        "total": answer.table.num_rows,
        "queryId": answer.query_id,
        "statementTypeId": answer.type_id,
        "finalDatabaseName": session.database,
        "finalSchemaName": session.schema,
        **rows,
    }


def _refusal(refused: Refused) -> Response:
    code = f"{refused.number:06d}"
    return JSONResponse(
        {
            "success": False,
            "code": code,
            "message": refused.text,
            "data": {"errorCode": code, "sqlState": refused.state, "queryId": refused.query_id},
        }
    )


async def _body(request: Request) -> dict[str, Any]:
    body = await request.body()
    return json.loads(gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body)


def _token(request: Request) -> str:
    return request.headers.get("Authorization", "")[17:-1]
