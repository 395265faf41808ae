"""TLS by default: another machine is connected to where its certificate was verified, or `insecure: true` is named.

An address of this machine (a Unix socket, a loopback address) needs none. What the DSN says there is left as it is.
"""

import os
import ssl
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from ..model.errors import ConfigError

AUTHORITIES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)
"""Where Debian, Red Hat and Alpine keep the authorities that a machine trusts."""


def verified(type: str, dsn: str, who: str, *, insecure: bool) -> str:
    """The DSN, with the certificate's verification asked for where it does not say what it asks for.

    Raises ConfigError naming `who` where it asks for less and `insecure` is not set. A DSN that cannot be parsed is
    left to the driver, which refuses it.
    """
    return dsn if insecure else _BY_TYPE.get(type, _as_it_is)(dsn, who)


def is_local(host: str) -> bool:
    """Whether `host` is this machine: a Unix socket's folder, `localhost`, a loopback address."""
    if not host or host.startswith(("/", "@")) or host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _postgres(dsn: str, who: str) -> str:
    import psycopg
    from psycopg import conninfo

    try:
        given = {name: str(value) for name, value in conninfo.conninfo_to_dict(dsn).items() if value is not None}
    except psycopg.Error:
        return dsn
    if all(is_local(host) for host in _hosts(given)):
        return dsn
    mode = given.get("sslmode", "verify-full")
    if mode != "verify-full":
        raise _refused(
            who, f"sslmode={mode}", "sslmode=verify-full (and sslrootcert=FILE for an authority of your own)"
        )
    authority = {} if _names_authority(given) else {"sslrootcert": _authorities()}
    return conninfo.make_conninfo(dsn, sslmode=mode, **authority)


def _hosts(given: Mapping[str, str]) -> list[str]:
    """The addresses that libpq would try; of a service file they are not known, so it counts as another machine."""
    if "service" in given or ("host" not in given and "hostaddr" not in given and "PGSERVICE" in os.environ):
        return ["a service"]
    named = given.get("hostaddr") or os.environ.get("PGHOSTADDR") or given.get("host") or os.environ.get("PGHOST") or ""
    return named.split(",")


def _names_authority(given: Mapping[str, str]) -> bool:
    own = Path.home() / ".postgresql" / "root.crt"
    return "sslrootcert" in given or "PGSSLROOTCERT" in os.environ or own.is_file()


def _authorities() -> str:
    """The authorities that this machine trusts; else those of the library that libpq brings."""
    paths = ssl.get_default_verify_paths()
    return next((path for path in (paths.cafile, *AUTHORITIES) if path and Path(path).is_file()), "system")


def _mysql(dsn: str, who: str) -> str:
    try:
        url = urlsplit(dsn)
        host = url.hostname or ""
    except ValueError:
        return dsn
    if is_local(host):
        return dsn
    mode = dict(parse_qsl(url.query)).get("ssl_mode", "").lower()
    if mode not in ("", "verify_identity"):
        raise _refused(
            who, f"ssl_mode={mode}", "ssl_mode=verify_identity (and &ssl_ca=FILE for an authority of your own)"
        )
    return dsn if mode else f"{dsn}{'&' if url.query else '?'}ssl_mode=verify_identity"


def _snowflake(dsn: str, who: str) -> str:
    try:
        given = dict(parse_qsl(urlsplit(dsn).query))
    except ValueError:
        return dsn
    if given.get("protocol", "https") != "https" and not is_local(given.get("host", "a host of Snowflake")):
        raise _refused(who, f"protocol={given['protocol']}", "protocol=https, or leave it out")
    return dsn


def _as_it_is(dsn: str, who: str) -> str:
    return dsn


def _refused(who: str, found: str, wanted: str) -> ConfigError:
    return ConfigError(
        f"{who}: {found} does not verify whom it talks to, so a password could be given to anybody in between",
        fix=f"write {wanted} in the DSN, or `insecure: true` beside `dsn_env` in the YAML",
    )


_BY_TYPE: Mapping[str, Callable[[str, str], str]] = {
    "postgres": _postgres,
    "redshift": _postgres,
    "mysql": _mysql,
    "snowflake": _snowflake,
}
