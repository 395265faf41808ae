"""Launches runs as tasks of Celery, and tells Dagster's run monitoring when the worker of a run is gone.

dagster-celery's own launcher leaves a run whose worker was killed, or whose machine is lost, as started for ever: it
asks the result store alone, where "started" is the last thing that a dead worker wrote. And a run that is terminated
gets a SIGTERM, which Dagster takes for a reason to retry the step: it works on, and is not reported as cancelled.
"""

import time
import warnings
from typing import Any

import dagster as dg
from celery.exceptions import DuplicateTaskNameWarning
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG as TASK_ID_TAG

ANSWER_SECONDS = 4.0
ASKED_TIMES = 3
SILENT_FOR_SECONDS = 60.0


class WatchedCeleryRunLauncher(CeleryRunLauncher):
    """`run_launcher: {module: syncer_assets.scale.launcher, class: WatchedCeleryRunLauncher}` in dagster.yaml.

    Its config is that of `dagster_celery.CeleryRunLauncher`: broker, backend, default_queue, config_source.
    """

    def launch_run(self, context: Any) -> None:
        """Send the run to the broker."""
        with warnings.catch_warnings():  # dagster-celery makes its tasks anew for each run, which Celery 5.7 mentions
            warnings.simplefilter("ignore", DuplicateTaskNameWarning)
            super().launch_run(context)

    def check_run_worker_health(self, run: dg.DagsterRun) -> Any:
        """RUNNING only while the worker itself says that it has the task; FAILED when it does not, or is silent."""
        task_id = run.tags.get(TASK_ID_TAG)
        if task_id is None:
            raise dg.DagsterInvariantViolationError(f"run {run.run_id} has no tag {TASK_ID_TAG}")
        found = super().check_run_worker_health(run)
        if found.status.value != "RUNNING":
            return found
        worker = self._worker_of(task_id)
        if worker is None or self._has(worker, task_id):
            return found
        again = super().check_run_worker_health(run)  # it may have ended while it was asked for
        if again.status.value != "RUNNING":
            return again
        return found._replace(
            status=type(found.status)["FAILED"], msg=f"The worker {worker} is gone, or lost its task."
        )

    def terminate(self, run_id: str) -> bool:
        """Kills the run's process. It is safe at any point: the engine commits by one object and one transaction."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished or TASK_ID_TAG not in run.tags:
            return False
        self._instance.report_run_canceling(run)
        self.celery.AsyncResult(run.tags[TASK_ID_TAG]).revoke(terminate=True, signal="SIGKILL")
        self._instance.report_run_canceled(run)
        return True

    def get_run_worker_debug_info(self, run: dg.DagsterRun, include_container_logs: bool | None = True) -> str | None:
        """The worker and the state of the task."""
        task_id = run.tags.get(TASK_ID_TAG)
        if task_id is None:
            return None
        return f"Celery task {task_id}: {self.celery.AsyncResult(task_id).state}, worker {self._worker_of(task_id)}"

    def _worker_of(self, task_id: str) -> str | None:
        """The name of the worker that began the task, as it told the result store."""
        info = self.celery.AsyncResult(task_id).info
        return info.get("hostname") if isinstance(info, dict) else None

    def _has(self, worker: str, task_id: str) -> bool:
        """Whether the worker has the task. One that was silent lately is asked once: each try takes seconds."""
        lately = time.monotonic() - _silent.get(worker, float("-inf")) < SILENT_FOR_SECONDS
        for _ in range(1 if lately else ASKED_TIMES):
            asked = self.celery.control.inspect(destination=[worker], timeout=ANSWER_SECONDS, limit=1)
            answer = asked.query_task(task_id)
            if answer is not None:
                _silent.pop(worker, None)
                return task_id in answer.get(worker, {})
        _silent[worker] = time.monotonic()
        return False


_silent: dict[str, float] = {}
"""When each worker was last found silent, by the clock of this process."""
