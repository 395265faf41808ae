"""Keys of a bucket from a file of AWS's own form, read again when it changes: temporary ones expire in a long run.

obstore reads the environment once, and renews by itself what a role of the machine, a container or a web identity
gives. https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
"""

import configparser
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..model.errors import ConfigError

LAPSED = datetime.fromtimestamp(0, UTC)
"""When all keys are said to expire, so that obstore asks again for each request: a look at the time of the file."""
OTHERS = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")


def keys_of(scheme: str, options: Mapping[str, object]) -> dict[str, Callable[[], dict[str, Any]]]:
    """obstore's option for a store whose keys are in the file that the environment names; {} for any other."""
    elsewhere = any(name in os.environ for name in OTHERS) or any("key" in name or "sign" in name for name in options)
    named = "AWS_SHARED_CREDENTIALS_FILE" in os.environ or "AWS_PROFILE" in os.environ
    if scheme not in ("s3", "s3a") or elsewhere or not named:
        return {}
    path = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")).expanduser()
    return {"credential_provider": FileKeys(path, os.environ.get("AWS_PROFILE", "default"))}


class FileKeys:
    """Gives the keys that the file has now. Raises ConfigError where it has none."""

    def __init__(self, path: Path, profile: str):
        self._path, self._profile = path, profile
        self._read: tuple[int, dict[str, Any]] | None = None

    def __call__(self) -> dict[str, Any]:
        try:
            written = self._path.stat().st_mtime_ns
            if self._read is None or self._read[0] != written:
                self._read = written, self._parse()
        except (OSError, KeyError, configparser.Error):
            raise ConfigError(
                f"{self._path} has no keys of the profile {self._profile!r}",
                fix="write aws_access_key_id and aws_secret_access_key there, or name another file by"
                " AWS_SHARED_CREDENTIALS_FILE",
            ) from None
        return {**self._read[1], "expires_at": LAPSED}

    def _parse(self) -> dict[str, Any]:
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(self._path.read_text())
        found = parser[self._profile]
        return {
            "access_key_id": found["aws_access_key_id"],
            "secret_access_key": found["aws_secret_access_key"],
            "token": found.get("aws_session_token"),
        }
