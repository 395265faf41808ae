"""Doubles of Azure Blob Storage and of Google Cloud Storage: their wire, over HTTP on loopback, for obstore's clients.

They prove that URLs and the environment's keys are understood, that pages of a listing are followed, and that the
answers to a conditional write are. Azure's double verifies the signature of each request (SharedKey). Not proven: what
only the services do: logins (Entra ID, service accounts), TLS, throttling, and that the doubles answer as they do.
"""

import base64
import hashlib
import hmac
import json
import threading
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

PAGE = 2
"""Objects in a page of a listing."""


@dataclass(frozen=True)
class Stored:
    """An object, and when it was written: each write has a second of its own."""

    body: bytes
    number: int

    @property
    def tag(self) -> str:
        return f"0x8D{self.number:08X}"

    @property
    def modified(self) -> datetime:
        return datetime(2024, 5, 1, tzinfo=UTC) + timedelta(seconds=self.number)


@dataclass(frozen=True)
class Request:
    """`path` is decoded, without the slash that it begins with."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Listing:
    """A page: objects by their names, the folders below a prefix, and where the next page begins."""

    objects: dict[str, Stored]
    folders: list[str]
    next: str


class StoreDouble:
    """One bucket, which is also one container. `objects` are by name; `asked` are the requests so far."""

    BUCKET = "bronze"

    def __init__(self) -> None:
        self.objects: dict[str, Stored] = {}
        self.asked: list[Request] = []
        self._writes = 0
        self._lock = threading.Lock()
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                parts = urlsplit(self.path)
                query = dict(parse_qsl(parts.query, keep_blank_values=True))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, unquote(parts.path.lstrip("/")), query, headers, body)
                with double._lock:
                    double.asked.append(request)
                    answer = double.answer(request, parts.path)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in answer.headers:
                    self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.body)

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer  # noqa: N815  # the names that http.server calls

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    @abstractmethod
    def url(self) -> str:
        """The bucket."""

    @property
    @abstractmethod
    def env(self) -> dict[str, str]:
        """What a process needs in its environment to reach it."""

    @property
    @abstractmethod
    def secret(self) -> str:
        """The secret in it."""

    @abstractmethod
    def answer(self, request: Request, raw_path: str) -> Answer:
        """What the service would answer."""

    def put(self, name: str, body: bytes) -> Stored:
        self._writes += 1
        self.objects[name] = Stored(body, self._writes)
        return self.objects[name]

    def get(self, name: str, head: bool) -> Answer:
        stored = self.objects.get(name)
        if stored is None:
            return Answer(404, b"" if head else b"<Error><Code>NotFound</Code></Error>")
        headers = {
            "ETag": f'"{stored.tag}"',
            "Last-Modified": format_datetime(stored.modified, usegmt=True),
            "Content-Length": str(len(stored.body)),
            "Content-Type": "application/octet-stream",
        }
        return Answer(200, stored.body, headers)

    def listing(self, prefix: str, delimiter: str, after: str) -> Listing:
        """A page of the objects whose names begin with a prefix and come after a name."""
        names = sorted(name for name in self.objects if name.startswith(prefix) and name > after)
        page = names[:PAGE]
        folders = {
            prefix + name.removeprefix(prefix).partition(delimiter)[0] + delimiter
            for name in page
            if delimiter and delimiter in name.removeprefix(prefix)
        }
        objects = {name: self.objects[name] for name in page if not any(name.startswith(each) for each in folders)}
        return Listing(objects, sorted(folders), page[-1] if len(names) > PAGE else "")


class AzureBlobDouble(StoreDouble):
    """Azure Blob Storage. A listing has ETags without the quotes that they have in headers, as the service's has."""

    ACCOUNT = "syncertest"
    KEY = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()

    @property
    def url(self) -> str:
        return f"az://{self.BUCKET}"

    @property
    def env(self) -> dict[str, str]:
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": self.ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": self.KEY,
            "AZURE_STORAGE_ENDPOINT": f"{self.address}/{self.ACCOUNT}",
            "AZURE_ALLOW_HTTP": "true",
        }

    @property
    def secret(self) -> str:
        return self.KEY

    def answer(self, request: Request, raw_path: str) -> Answer:
        if request.headers.get("authorization") != self._signed(request, raw_path):
            return Answer(403, b"<Error><Code>AuthenticationFailed</Code></Error>")
        container, _, name = request.path.removeprefix(f"{self.ACCOUNT}/").partition("/")
        if container != self.BUCKET:
            return Answer(404, b"<Error><Code>ContainerNotFound</Code></Error>")
        match request.method, request.query.get("comp"):
            case "GET", "list":
                return self._list(request.query)
            case "POST", "batch":
                return self._batch(request)
            case (("GET" | "HEAD"), _):
                return self.get(name, request.method == "HEAD")
            case "PUT", None:
                return self._put(name, request)
        return Answer(400)

    def _put(self, name: str, request: Request) -> Answer:
        if request.headers.get("if-none-match") == "*" and name in self.objects:
            return Answer(409, b"<Error><Code>BlobAlreadyExists</Code></Error>")
        copied = request.headers.get("x-ms-copy-source")
        body = request.body
        if copied:
            body = self.objects[unquote(urlsplit(copied).path).split("/", 3)[3]].body
        stored = self.put(name, body)
        headers = {"ETag": f'"{stored.tag}"', "Last-Modified": format_datetime(stored.modified, usegmt=True)}
        return Answer(202 if copied else 201, headers={**headers, "x-ms-copy-status": "success"} if copied else headers)

    def _list(self, query: Mapping[str, str]) -> Answer:
        found = self.listing(query.get("prefix", ""), query.get("delimiter", ""), query.get("marker", ""))
        blobs = "".join(
            f"<Blob><Name>{escape(name)}</Name><Properties>"
            f"<Last-Modified>{format_datetime(stored.modified, usegmt=True)}</Last-Modified><Etag>{stored.tag}</Etag>"
            f"<Content-Length>{len(stored.body)}</Content-Length><Content-Type>application/octet-stream</Content-Type>"
            "<BlobType>BlockBlob</BlobType></Properties></Blob>"
            for name, stored in found.objects.items()
        )
        folders = "".join(f"<BlobPrefix><Name>{escape(name)}</Name></BlobPrefix>" for name in found.folders)
        body = f"<Blobs>{blobs}{folders}</Blobs><NextMarker>{escape(found.next)}</NextMarker>"
        return Answer(200, f'<?xml version="1.0"?><EnumerationResults>{body}</EnumerationResults>'.encode())

    def _batch(self, request: Request) -> Answer:
        """Several deletes in one request (Blob Batch)."""
        boundary, parts = "batchresponse_1", []
        for number, line in enumerate(row for row in request.body.splitlines() if row.startswith(b"DELETE ")):
            name = unquote(line.split()[1].decode()).split("/", 3)[3]
            status = "202 Accepted" if self.objects.pop(name, None) else "404 Not Found"
            parts.append(
                f"--{boundary}\r\nContent-Type: application/http\r\nContent-ID: {number}\r\n\r\nHTTP/1.1 {status}\r\n"
                "x-ms-version: 2023-11-03\r\nContent-Length: 0\r\n\r\n"
            )
        body = "".join(parts) + f"--{boundary}--"
        return Answer(202, body.encode(), {"Content-Type": f"multipart/mixed; boundary={boundary}"})

    def _signed(self, request: Request, raw_path: str) -> str:
        """Authorize with Shared Key, as Microsoft's manual has it."""
        headers = request.headers
        length = headers.get("content-length", "")
        standard = ("content-encoding", "content-language")
        later = ("if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range")
        lines = [request.method, *(headers.get(name, "") for name in standard), "" if length == "0" else length]
        lines += [headers.get("content-md5", ""), headers.get("content-type", ""), headers.get("date", "")]
        lines += [headers.get(name, "") for name in later]
        lines += [f"{name}:{headers[name]}" for name in sorted(headers) if name.startswith("x-ms-")]
        resource = [f"/{self.ACCOUNT}{raw_path}", *(f"{name}:{request.query[name]}" for name in sorted(request.query))]
        text = "\n".join([*lines, "\n".join(resource)])
        digest = hmac.new(base64.b64decode(self.KEY), text.encode(), hashlib.sha256).digest()
        return f"SharedKey {self.ACCOUNT}:{base64.b64encode(digest).decode()}"


class CloudStorageDouble(StoreDouble):
    """Google Cloud Storage by its XML API. A service account without a login, as Google's own emulators take it."""

    @property
    def url(self) -> str:
        return f"gs://{self.BUCKET}"

    @property
    def env(self) -> dict[str, str]:
        account = {
            "gcs_base_url": self.address,
            "disable_oauth": True,
            "client_email": "syncer@example.com",
            "private_key": self.secret,
            "private_key_id": "1",
        }
        return {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account)}

    @property
    def secret(self) -> str:
        return "key-of-a-service-account"

    def answer(self, request: Request, raw_path: str) -> Answer:
        bucket, _, name = request.path.partition("/")
        if bucket != self.BUCKET:
            return Answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        match request.method:
            case "GET" if not name:
                return self._list(request.query)
            case "GET" | "HEAD":
                return self.get(name, request.method == "HEAD")
            case "PUT":
                return self._put(name, request)
            case "DELETE":
                return Answer(204 if self.objects.pop(name, None) else 404)
        return Answer(400)

    def _put(self, name: str, request: Request) -> Answer:
        if request.headers.get("x-goog-if-generation-match") == "0" and name in self.objects:
            return Answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        body, copied = request.body, request.headers.get("x-goog-copy-source")
        if copied:
            body = self.objects[unquote(copied).lstrip("/").partition("/")[2]].body
        stored = self.put(name, body)
        headers = {"ETag": f'"{stored.tag}"', "x-goog-generation": str(stored.number)}
        xml = f"<CopyObjectResult><ETag>&quot;{stored.tag}&quot;</ETag></CopyObjectResult>" if copied else ""
        return Answer(200, xml.encode(), headers)

    def _list(self, query: Mapping[str, str]) -> Answer:
        after = max(query.get("continuation-token", ""), query.get("start-after", ""))
        found = self.listing(query.get("prefix", ""), query.get("delimiter", ""), after)
        contents = "".join(
            f"<Contents><Key>{escape(name)}</Key><LastModified>{stored.modified:%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
            f"<ETag>&quot;{stored.tag}&quot;</ETag><Size>{len(stored.body)}</Size></Contents>"
            for name, stored in found.objects.items()
        )
        folders = "".join(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in found.folders)
        more = f"<NextContinuationToken>{escape(found.next)}</NextContinuationToken>" if found.next else ""
        body = f"<IsTruncated>{'true' if found.next else 'false'}</IsTruncated>{more}{contents}{folders}"
        return Answer(200, f'<?xml version="1.0"?><ListBucketResult>{body}</ListBucketResult>'.encode())
