"""A real webserver and a real daemon on a folder of definitions, and the GraphQL by which the UI works them."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from syncer_assets_tests.servers import free_ports, poll

CHECKOUT = Path(__file__).parents[2]
START_SECONDS = 180
RUN_SECONDS = 180
ASSET_JOB = "__ASSET_JOB"
REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "syncer_assets"}
DONE = {"SUCCESS", "FAILURE", "CANCELED"}

# What starts a program in the background may have told it to ignore SIGINT, which children inherit.
_HEED_SIGINT = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
)


class DagsterUI:
    """Webserver and daemon as people run them, on loopback; unless told otherwise by the shipped workspace.yaml and
    dagster.yaml.

    `env` is what the definitions read. The daemon is started on its own, so that there is a time before its first tick.
    """

    def __init__(
        self,
        home: Path,
        env: Mapping[str, str],
        instance: Path = CHECKOUT / "dagster.yaml",
        workspace: Path = CHECKOUT / "workspace.yaml",
    ) -> None:
        self.home, self.instance, self.workspace = home, instance, workspace
        self.env = {**os.environ, **env, "DAGSTER_HOME": str(home), "PYTHONUNBUFFERED": "1"}
        self.url = ""
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self._client = httpx.Client(timeout=60, trust_env=False)

    def start(self) -> "DagsterUI":
        """The webserver, ready to answer."""
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "dagster.yaml").write_text(self.instance.read_text())
        create = "import dagster; dagster.DagsterInstance.get()"  # first: two processes would race to create its tables
        subprocess.run([sys.executable, "-c", create], env=self.env, check=True, timeout=START_SECONDS)
        port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{port}"
        self._start("dagster-webserver", "--host", "127.0.0.1", "--port", str(port), *self._workspace)
        poll(self._location_is_loaded, START_SECONDS, every_seconds=0.2)
        return self

    def start_daemon(self) -> None:
        """The daemon: from now on runs start, sensors tick, and backfills go on."""
        self._start("dagster-daemon", "run", *self._workspace)

    def stop(self) -> None:
        """SIGINT lets Dagster end its children; what is left after a while is killed with its group."""
        self._client.close()
        for process in self._started.values():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 30
        for process in self._started.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def logs(self) -> str:
        """The ends of both logs."""
        return "\n".join(f"--- {name}\n{self._log(name)[-6000:]}" for name in self._started)

    # GraphQL, in the words of the UI

    def query(self, text: str, **variables: object) -> dict[str, Any]:
        """The data of a query. Raises AssertionError with GraphQL's errors."""
        answer = self._client.post(f"{self.url}/graphql", json={"query": text, "variables": variables}).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def materialize(self, keys: Sequence[str], partition: str | None = None) -> str:
        """What the button `Materialize` does: the assets and all of their checks. Returns the run's id."""
        return self._launch(keys, [(key, check) for key in keys for check in self._checks(key)], partition)

    def execute_checks(self, *checks: tuple[str, str]) -> str:
        """What the button `Execute` of checks (asset, name) does; returns the run's id."""
        return self._launch([], checks, None)

    def backfill(self, keys: Sequence[str], partitions: Sequence[str]) -> str:
        """What the button does where several partitions are chosen; returns the backfill's id."""
        launched = self.query(
            """mutation ($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
            __typename ... on LaunchBackfillSuccess { backfillId } ... on Error { message } } }""",
            params={"assetSelection": [_key(key) for key in keys], "partitionNames": list(partitions), "tags": []},
        )["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        return launched["backfillId"]

    def add_partition(self, name: str, partition: str) -> None:
        """What `Add a partition` does for dynamic ones."""
        added = self.query(
            """mutation ($repository: RepositorySelector!, $name: String!, $partition: String!) {
            addDynamicPartition(repositorySelector: $repository, partitionsDefName: $name, partitionKey: $partition) {
            __typename ... on PythonError { message } } }""",
            repository=REPOSITORY,
            name=name,
            partition=partition,
        )["addDynamicPartition"]
        assert added["__typename"] == "AddDynamicPartitionSuccess", added

    def run(self, run_id: str) -> dict[str, Any]:
        """A run: status, tags, assets."""
        return self.query(
            """query ($id: ID!) { runOrError(runId: $id) { ... on Run {
            runId status tags { key value } assetSelection { path } } } }""",
            id=run_id,
        )["runOrError"]

    def runs(self, tags: Mapping[str, str]) -> list[dict[str, Any]]:
        """The runs with these tags, newest first."""
        return self.query(
            """query ($filter: RunsFilter) { runsOrError(filter: $filter) { ... on Runs { results {
            runId status tags { key value } assetSelection { path } } } } }""",
            filter={"tags": _tags(tags)},
        )["runsOrError"]["results"]

    def wait_for_run(self, run_id: str, deadline_seconds: float = RUN_SECONDS) -> dict[str, Any]:
        """The run when it has ended well. Raises AssertionError with its failures if it has not."""

        def ended() -> dict[str, Any] | None:
            run = self.run(run_id)
            return run if run["status"] in DONE else None

        run = poll(ended, deadline_seconds, every_seconds=0.3)
        assert run is not None
        assert run["status"] == "SUCCESS", self._failures(run_id)
        return run

    def wait_for_backfill(self, backfill_id: str) -> list[dict[str, Any]]:
        """The runs of a backfill that has completed."""

        def status() -> str | None:
            found = self.query(
                """query ($id: String!) { partitionBackfillOrError(backfillId: $id) {
                ... on PartitionBackfill { status error { message } } } }""",
                id=backfill_id,
            )["partitionBackfillOrError"]
            return found["status"] if found["status"] not in {"REQUESTED", "CANCELING", "FAILING"} else None

        assert poll(status, RUN_SECONDS, every_seconds=0.5) == "COMPLETED_SUCCESS"
        return self.runs({"dagster/backfill": backfill_id})

    def metadata(self, key: str, run_id: str, partition: str | None = None) -> dict[str, Any]:
        """What the materialisation that a run recorded shows."""
        node = self.query(
            """query ($key: AssetKeyInput!, $partitions: [String!]) { assetNodeOrError(assetKey: $key) {
            ... on AssetNode { assetMaterializations(partitions: $partitions, limit: 20) { runId partition
            metadataEntries { label __typename ... on IntMetadataEntry { intRepr } ... on FloatMetadataEntry {
            floatValue } ... on TextMetadataEntry { text } ... on TableSchemaMetadataEntry { schema { columns {
            name type } } } } } } } }""",
            key=_key(key),
            partitions=None if partition is None else [partition],
        )["assetNodeOrError"]
        found = [event for event in node["assetMaterializations"] if event["runId"] == run_id]
        assert len(found) == 1, f"{key} was materialised {len(found)} times by {run_id}"
        return {entry["label"]: _value(entry) for entry in found[0]["metadataEntries"]}

    def check(self, key: str, name: str) -> dict[str, Any]:
        """The latest execution of a check: its status, and its evaluation."""
        checks = self.query(
            """query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
            assetChecksOrError { ... on AssetChecks { checks { name blocking executionForLatestMaterialization {
            runId status evaluation { success severity partition description targetMaterialization { runId }
            metadataEntries { label __typename ... on IntMetadataEntry { intRepr } ... on FloatMetadataEntry {
            floatValue } ... on TextMetadataEntry { text } } } } } } } } } }""",
            key=_key(key),
        )["assetNodeOrError"]["assetChecksOrError"]["checks"]
        execution = {check["name"]: check["executionForLatestMaterialization"] for check in checks}[name]
        assert execution is not None, f"{name} of {key} was not executed"
        if execution["evaluation"]:
            entries = execution["evaluation"].pop("metadataEntries")
            execution["evaluation"]["metadata"] = {entry["label"]: _value(entry) for entry in entries}
        return execution

    def sensors(self) -> dict[str, dict[str, str]]:
        """Each sensor's default and present status."""
        found = self.query(
            """query ($repository: RepositorySelector!) { sensorsOrError(repositorySelector: $repository) {
            ... on Sensors { results { name defaultStatus sensorState { id status } } } } }""",
            repository=REPOSITORY,
        )["sensorsOrError"]["results"]
        return {sensor["name"]: {"default": sensor["defaultStatus"], **sensor["sensorState"]} for sensor in found}

    def stop_sensor(self, name: str) -> None:
        """What the switch of a sensor does when it is on."""
        stopped = self.query(
            """mutation ($id: String!) { stopSensor(id: $id) { __typename ... on PythonError { message } } }""",
            id=self.sensors()[name]["id"],
        )["stopSensor"]
        assert stopped["__typename"] == "StopSensorMutationResult", stopped

    def reset_sensor(self, name: str) -> None:
        """Back to the status that the definitions declare."""
        reset = self.query(
            """mutation ($sensor: SensorSelector!) { resetSensor(sensorSelector: $sensor) {
            __typename ... on PythonError { message } } }""",
            sensor={**REPOSITORY, "sensorName": name},
        )["resetSensor"]
        assert reset["__typename"] == "Sensor", reset

    def _checks(self, key: str) -> dict[str, dict[str, Any] | None]:
        checks = self.query(
            """query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
            assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization {
            runId status evaluation { success severity partition description targetMaterialization { runId }
            metadataEntries { label __typename ... on IntMetadataEntry { intRepr } ... on FloatMetadataEntry {
            floatValue } ... on TextMetadataEntry { text } } } } } } } } } }""",
            key=_key(key),
        )["assetNodeOrError"]["assetChecksOrError"]["checks"]
        return {check["name"]: check["executionForLatestMaterialization"] for check in checks}

    def _launch(self, keys: Sequence[str], checks: Sequence[tuple[str, str]], partition: str | None) -> str:
        tags = {"dagster/from_ui": "true"} | ({} if partition is None else {"dagster/partition": partition})
        launched = self.query(
            """mutation ($params: ExecutionParams!) { launchPipelineExecution(executionParams: $params) {
            __typename ... on LaunchRunSuccess { run { runId } } ... on Error { message }
            ... on RunConfigValidationInvalid { errors { message } } } }""",
            params={
                "mode": "default",
                "runConfigData": "{}",
                "executionMetadata": {"tags": _tags(tags)},
                "selector": {
                    **REPOSITORY,
                    "pipelineName": ASSET_JOB,
                    "assetSelection": [_key(key) for key in keys],
                    "assetCheckSelection": [{"assetKey": _key(key), "name": check} for key, check in checks],
                },
            },
        )["launchPipelineExecution"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return launched["run"]["runId"]

    def _failures(self, run_id: str) -> str:
        events = self.query(
            """query ($id: ID!) { runOrError(runId: $id) { ... on Run { eventConnection { events { __typename
            ... on MessageEvent { message } ... on ExecutionStepFailureEvent { stepKey error { message } } } } } } }""",
            id=run_id,
        )["runOrError"]["eventConnection"]["events"]
        return "\n".join(str(event) for event in events if "Fail" in event["__typename"])

    def _location_is_loaded(self) -> bool:
        process = self._started["dagster-webserver"]
        assert process.poll() is None, f"the webserver ended with {process.returncode}:\n{self.logs()}"
        try:
            entry = self.query(
                """{ workspaceOrError { ... on Workspace { locationEntries { loadStatus locationOrLoadError {
                __typename ... on PythonError { message } } } } } }"""
            )["workspaceOrError"]["locationEntries"][0]
        except httpx.HTTPError:
            return False
        if entry["loadStatus"] != "LOADED":
            return False
        assert entry["locationOrLoadError"]["__typename"] == "RepositoryLocation", entry
        return True

    def _start(self, name: str, *arguments: str) -> None:
        program = [sys.executable, "-c", _HEED_SIGINT, str(Path(sys.executable).with_name(name))]
        with (self.home / f"{name}.log").open("wb") as log:
            self._started[name] = subprocess.Popen(
                [*program, *arguments],
                cwd=self.home,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group of its own, to be killed by its id
            )

    @property
    def _workspace(self) -> tuple[str, str]:
        return "--workspace", str(self.workspace)

    def _log(self, name: str) -> str:
        return (self.home / f"{name}.log").read_text(errors="replace")


def _key(key: str) -> dict[str, list[str]]:
    return {"path": key.split("/")}


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": name, "value": value} for name, value in tags.items()]


def _value(entry: Mapping[str, Any]) -> Any:
    if entry["__typename"] == "IntMetadataEntry":
        return int(entry["intRepr"])
    return next((entry[name] for name in ("floatValue", "text", "schema") if name in entry), None)
