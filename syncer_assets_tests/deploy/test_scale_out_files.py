"""What deploy/ ships for several machines: fits Dagster's own schemas, and the deployment for one machine."""

import os
import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from syncer_assets.components.loading import EXECUTOR_VARIABLE, chosen_executor
from syncer_assets.model.errors import ConfigError
from syncer_assets_tests.deploy.production import DEPLOY, variables_of

CELERY, K8S = DEPLOY / "celery", DEPLOY / "k8s"


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_the_instance_of_many_workers_is_that_of_one_machine_with_another_launcher() -> None:
    many, one = read(CELERY / "dagster.yaml"), read(DEPLOY / "dagster.yaml")
    launcher = many.pop("run_launcher")
    assert one.pop("run_launcher")["class"] == "DefaultRunLauncher"
    assert launcher["class"] == "WatchedCeleryRunLauncher"
    assert many == one, "deploy/celery/dagster.yaml has fallen behind deploy/dagster.yaml"


def test_the_environment_files_name_all_that_the_instance_of_many_workers_reads() -> None:
    named = set(re.findall(r"\{env: (\w+)\}", (CELERY / "dagster.yaml").read_text()))
    everyones = variables_of("syncer.env.example")
    assert named - everyones == {"SYNCER_BROKER_URL"} == variables_of("celery/worker.env.example")


def config_errors(launcher: dict[str, Any]) -> list[str]:
    """What Dagster says of a launcher's config when it reads the instance."""
    module = __import__(launcher["module"], fromlist=["_"])
    schema = getattr(module, launcher["class"]).config_type()

    @dg.op(config_schema=schema)
    def takes_it() -> None:
        """A way to Dagster's validation that needs no private module."""

    @dg.job
    def job() -> None:
        takes_it()

    try:
        dg.validate_run_config(job, {"ops": {"takes_it": {"config": launcher["config"]}}})
    except dg.DagsterInvalidConfigError as error:
        return [each.message for each in error.errors]
    return []


@pytest.fixture
def launchers(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """The blocks `run_launcher` of both ways, with what they read from the environment."""
    for name in ("SYNCER_BROKER_URL", "DAGSTER_HOME", "DAGSTER_K8S_INSTANCE_CONFIG_MAP"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("DAGSTER_K8S_PG_PASSWORD_SECRET", "x")
    return {
        "celery": read(CELERY / "dagster.yaml")["run_launcher"],
        "k8s": read(K8S / "values.yaml")["runLauncher"]["config"]["customRunLauncher"],
    }


@pytest.mark.parametrize("way", ["celery", "k8s"])
def test_the_launchers_config_fits_its_schema(way: str, launchers: dict[str, dict[str, Any]]) -> None:
    launcher = launchers[way]
    assert config_errors(launcher) == []
    launcher["config"]["imagepull_policy"] = "Always"
    assert config_errors(launcher) != [], "a field that does not exist was accepted"


def test_pods_are_made_of_the_values(launchers: dict[str, dict[str, Any]]) -> None:
    """dagster-k8s turns the raw Kubernetes parts into its own models, which know their fields."""
    from dagster_k8s.job import UserDefinedDagsterK8sConfig

    config = UserDefinedDagsterK8sConfig.from_dict(launchers["k8s"]["config"]["run_k8s_config"])
    assert config.job_spec_config["backoff_limit"] == 0, "Kubernetes and Dagster would both start a failed run again"


def test_a_worker_refuses_an_executor_that_it_cannot_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EXECUTOR_VARIABLE, "in_process")  # put back when the test ends: importing it sets the variable
    from syncer_assets.scale.worker import app, use_one_process

    assert {"execute_job", "resume_job"} <= set(app.tasks)
    assert app.conf.task_acks_late and app.conf.worker_prefetch_multiplier == 1
    monkeypatch.setenv(EXECUTOR_VARIABLE, "multiprocess")
    with pytest.raises(ConfigError, match="set SYNCER_EXECUTOR=in_process"):
        use_one_process()
    monkeypatch.delenv(EXECUTOR_VARIABLE)
    use_one_process()
    assert os.environ[EXECUTOR_VARIABLE] == "in_process"


def test_the_executor_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from syncer_assets.definitions import defs

    for name, expected in (("in_process", "in_process"), ("multiprocess", "multiprocess"), ("", None)):
        monkeypatch.setenv(EXECUTOR_VARIABLE, name)
        executor = chosen_executor()
        assert (executor.name if executor else None) == expected
    monkeypatch.setenv(EXECUTOR_VARIABLE, "in_process")
    assert defs().executor is dg.in_process_executor
    monkeypatch.setenv(EXECUTOR_VARIABLE, "celery")
    with pytest.raises(ConfigError, match="use one of multiprocess, in_process"):
        chosen_executor()
