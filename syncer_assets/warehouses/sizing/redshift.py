"""Redshift Serverless: the base capacity of a workgroup, in RPUs, by boto3. A provisioned cluster is not resized."""

import time
from typing import Any

from ...model.codes.objects import CODES
from ...model.errors import ConfigError, DbError
from ...model.sizing import Size

WAIT_SECONDS = 1800.0
POLL_SECONDS = 5.0
LEAST_RPU = 4
ATTEMPTS = 8
"""Of one request by botocore, which repeats what is throttled or lost; what it gives up is tried once more."""


class ServerlessCapacity:
    """A workgroup's base capacity. `client` is boto3's `redshift-serverless`; by default one of the environment."""

    def __init__(
        self, workgroup: str, region: str | None = None, client: Any = None, poll_seconds: float = POLL_SECONDS
    ):
        self._workgroup, self._region, self._client, self._poll = workgroup, region, client, poll_seconds

    def current(self) -> Size:
        return Size(str(self._workgroup_now()["baseCapacity"]))

    def change(self, size: Size) -> None:
        """Ask for the capacity and wait until the workgroup is available with it. Raises DbError."""
        self._until_available()
        self._call("update_workgroup", workgroupName=self._workgroup, baseCapacity=int(size.name))
        found = self._until_available()
        if found["baseCapacity"] != int(size.name):
            raise DbError(
                f"workgroup {self._workgroup} has {found['baseCapacity']} RPUs after {size.name} were asked for",
                phase="connect",
                fix="look for another change of the workgroup",
            )

    def named(self, name: str) -> str:
        return capacity(name)

    def rank(self, name: str) -> float:
        return int(name)

    def credits_per_hour(self, name: str) -> float:
        """RPU-hours an hour."""
        return float(name)

    def _workgroup_now(self) -> dict[str, Any]:
        return self._call("get_workgroup", workgroupName=self._workgroup)["workgroup"]

    def _until_available(self) -> dict[str, Any]:
        deadline = time.monotonic() + WAIT_SECONDS
        while (found := self._workgroup_now())["status"] != "AVAILABLE":
            if time.monotonic() > deadline:
                raise DbError(
                    f"workgroup {self._workgroup} was still {found['status']} after {WAIT_SECONDS:.0f} s",
                    phase="connect",
                    failure="once",
                )
            time.sleep(self._poll)
        return found

    def _call(self, operation: str, **arguments: object) -> dict[str, Any]:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            if self._client is None:
                config = Config(retries={"mode": "standard", "total_max_attempts": ATTEMPTS})
                self._client = boto3.client("redshift-serverless", region_name=self._region, config=config)
            return getattr(self._client, operation)(**arguments)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "ClientError")
            raise DbError(
                f"workgroup {self._workgroup}: {operation} was refused",
                code=code,
                phase="connect",
                failure="never" if CODES.failure(code) == "never" else "once",
                fix=CODES.fix(code)
                or "grant redshift-serverless:GetWorkgroup and UpdateWorkgroup to the role that loads",
            ) from None
        except BotoCoreError as error:
            raise DbError(
                f"workgroup {self._workgroup}: {operation} failed ({type(error).__name__})",
                phase="connect",
                failure="once",
                fix="check region and credentials in the environment",
            ) from None


def capacity(text: str) -> str:
    """A number of RPUs. Raises ConfigError for anything else."""
    if not text.isdigit() or int(text) < LEAST_RPU:
        raise ConfigError(f"{text!r} is no base capacity of Redshift Serverless", fix="write RPUs, such as 8, 16 or 32")
    return str(int(text))
