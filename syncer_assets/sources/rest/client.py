"""One request to an API: the answer whole, or an error. Asking again is the caller's (`sync.api.fetch`).

Secrets go to the API's own origin alone, in headers; they are never part of an address, an error or a log.
"""

import ipaddress
import re
import ssl
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from ...model.api import Api
from ...model.errors import ConfigError
from .errors import ApiError, refusal

if TYPE_CHECKING:
    import httpx

HOPS_MOST = 5
CONNECT_SECONDS = 10.0
_REDIRECTS = (301, 302, 303, 307, 308)
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


@dataclass(frozen=True)
class Response:
    """An answer of status 200: its body, unpacked, and the headers by their names in small letters."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    bytes_received: int


class Client:
    """The connections to one API; several threads may use it. `secrets` are values by the variables' names."""

    def __init__(self, api: Api, base_url: str, secrets: Mapping[str, str]):
        import httpx

        _check_base_url(api, base_url, secrets)
        self.api, self.base_url, self.origin = api, base_url.rstrip("/"), _origin(base_url)
        self._allowed = _allowed(api, self.origin)
        self._open_headers = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "syncer_assets"}
        self._headers = {**self._open_headers, **dict(api.headers), **_secret_headers(api, secrets)}
        self._secrets = [value for value in secrets.values() if value]
        limits = api.limits
        self._client = httpx.Client(
            timeout=httpx.Timeout(limits.timeout_seconds, connect=min(CONNECT_SECONDS, limits.timeout_seconds)),
            limits=httpx.Limits(max_connections=limits.concurrency, max_keepalive_connections=limits.concurrency),
            follow_redirects=False,
            mounts=dict.fromkeys(("all://127.0.0.1", "all://localhost", "all://[::1]")),  # past any proxy
        )

    def get(self, url: str, params: Mapping[str, str], path: str) -> Response:
        """The answer. `path` is what errors call the request. Raises ApiError."""
        import httpx

        try:
            target = str(httpx.URL(url).copy_merge_params(params)) if params else url
            for _ in range(HOPS_MOST + 1):
                found = self._once(target, path)
                if isinstance(found, Response):
                    return found
                target = self.followed(target, found, path)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise ApiError(f"GET {path} has an address that is none", fix="compare `base_url` and `path`") from None
        except httpx.HTTPError as error:
            raise _broken(path, error) from None
        raise ApiError(f"GET {path} is redirected more than {HOPS_MOST} times", fix="name the final `base_url`")

    def followed(self, url: str, location: str, path: str) -> str:
        """Where a redirect or a link of a page leads. Raises ApiError where that is another host than was named."""
        try:
            target = urljoin(url, location)
        except ValueError:
            raise ApiError(f"GET {path} leads to an address that is none", fix="tell those who run the API") from None
        self.refuse_secret(target, path)
        if _origin(target) not in self._allowed:
            raise ApiError(
                f"GET {path} leads to another host, {_origin(target)}: it was not followed",
                fix="name the host in `other_hosts` if it belongs to the API; secrets are not sent there",
            )
        return target

    def refuse_secret(self, position: str, path: str) -> None:
        """A cursor or address is written down, so it must not repeat a secret. Raises ApiError."""
        if any(secret in position for secret in self._secrets):
            raise ApiError(
                f"GET {path} leads to a page whose address repeats a secret, which would be written down with it",
                fix="ask who runs the API to leave it out",
            )

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def _once(self, url: str, path: str) -> Response | str:
        """An answer, or where it is redirected to."""
        deadline = time.monotonic() + self.api.limits.response_seconds
        headers = self._headers if _origin(url) == self.origin else self._open_headers
        with self._client.stream("GET", url, headers=headers) as answer:
            said = {name.lower(): value for name, value in answer.headers.items()}
            if answer.status_code in _REDIRECTS and "location" in said:
                return said["location"]
            if answer.status_code != 200:
                raise refusal(path, answer.status_code, said, self.api.variables)
            body, received = self._body(answer, said.get("content-encoding", "identity").lower(), deadline, path)
        return Response(url, body, said, received)

    def _body(self, answer: "httpx.Response", encoding: str, deadline: float, path: str) -> tuple[bytes, int]:
        """The whole body, unpacked, and the bytes received. Its length is httpx's to compare, the gzip trailer ours."""
        if encoding not in ("identity", "gzip", "x-gzip"):
            raise ApiError(f"GET {path} was answered in the encoding {encoding[:20]!r}, which was not asked for")
        unpack = _Gunzip() if "gzip" in encoding else None
        most, parts, size, received = int(self.api.limits.page_mb * 1024 * 1024), [], 0, 0
        for part in answer.iter_raw():
            received += len(part)
            for piece in unpack.pieces(part, path) if unpack else (part,):
                size += len(piece)
                if size > most:
                    raise ApiError(
                        f"GET {path} was answered with a page of more than {self.api.limits.page_mb:g} MB",
                        fix="ask for smaller pages (`pages.size`), or raise `limits.page_mb`",
                    )
                parts.append(piece)
            if time.monotonic() > deadline:
                raise ApiError(
                    f"GET {path} was not answered whole within {self.api.limits.response_seconds:g} s",
                    retryable=True,
                    fix="ask for smaller pages, or raise `limits.response_seconds`",
                )
        if unpack and not unpack.is_whole:
            raise ApiError(f"GET {path} was answered with half a gzip body", retryable=True, fix="ask who runs the API")
        return b"".join(parts), received


class _Gunzip:
    """Gzip of several members, in pieces of bounded size. httpx's own decoder takes a cut-off body for a whole one."""

    PIECE_BYTES = 4 * 1024 * 1024

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)

    @property
    def is_whole(self) -> bool:
        return self._member.eof

    def pieces(self, packed: bytes, path: str) -> Iterator[bytes]:
        piece = b""
        while packed or len(piece) == self.PIECE_BYTES:
            if self._member.eof:
                self._member = zlib.decompressobj(wbits=31)
            try:
                piece = self._member.decompress(packed, self.PIECE_BYTES)
            except zlib.error:
                raise ApiError(f"GET {path} was answered with a damaged gzip body", retryable=True) from None
            packed = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            yield piece


def _allowed(api: Api, origin: str) -> set[str]:
    """The origins that may be asked; others than the API's own only by https."""
    return {origin, *(_origin(f"https://{host}") for host in api.other_hosts)}


def _check_base_url(api: Api, base_url: str, secrets: Mapping[str, str]) -> None:
    parts = urlsplit(base_url)
    where = f"the base_url of API {api.name!r}"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{where} is no address", fix="write it as https://api.example.com/v2")
    if parts.username or parts.password or parts.query:
        raise ConfigError(f"{where} has credentials or parameters in it", fix="use `bearer_env` or `secret_headers`")
    if secrets and parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ConfigError(f"{where} is plain http, and a secret would be sent over it", fix="use https")


def _secret_headers(api: Api, secrets: Mapping[str, str]) -> dict[str, str]:
    """Checked here: the driver's own complaint would tell the value."""
    for variable in api.variables:
        if not _HEADER_VALUE.fullmatch(secrets[variable]):
            raise ConfigError(
                f"the value of {variable} cannot be sent in a header",
                fix="remove line breaks, blanks at the ends, and characters that are not ASCII",
            )
    found = {header: secrets[variable] for header, variable in api.secret_headers}
    return {**found, **({"Authorization": f"Bearer {secrets[api.bearer_env]}"} if api.bearer_env else {})}


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError:
        return "nowhere"
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _broken(path: str, error: "httpx.HTTPError") -> ApiError:
    """A connection that failed: the kind of error only, since a driver's text may hold what was sent."""
    if _is_certificate(error):
        fix = "install the certificate's authority (SSL_CERT_FILE); it is never accepted unseen"
        return ApiError(f"GET {path} reached a server whose certificate is not trusted", fix=fix)
    fix = "look whether the API's host can be reached from here; raise `limits.timeout_seconds` if it is slow"
    return ApiError(f"GET {path} was not answered ({type(error).__name__})", retryable=True, fix=fix)


def _is_certificate(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
