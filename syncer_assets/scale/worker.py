"""The Celery app of a worker: `celery --app syncer_assets.scale.worker worker --pool prefork --concurrency 1`.

A task is a run, and so a partition of a table. The broker comes from $SYNCER_BROKER_URL, the rest from DAGSTER_HOME.
"""

import ctypes
import os
import signal
import sys
from datetime import timedelta

from celery import Celery
from celery.signals import worker_process_init
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_execute_job_task, create_resume_job_task

from ..components.loading import EXECUTOR_VARIABLE
from ..model.errors import ConfigError

LONGEST_RUN = timedelta(days=2)
"""The most that a run may take; then its message is handed out again (Dagster ignores it) and its state forgotten."""

PR_SET_PDEATHSIG = 1


def make_worker_app(broker_url: str) -> Celery:
    """The app of a worker, with the tasks that the launcher sends."""
    app = make_app()
    app.conf.update(
        broker_url=broker_url,
        result_backend=broker_url,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"visibility_timeout": LONGEST_RUN.total_seconds()},
        result_expires=LONGEST_RUN,
        task_acks_late=True,  # else a busy worker fetches a second run, which then waits for the first one's end
        worker_prefetch_multiplier=1,
        worker_redirect_stdouts=False,
    )
    create_execute_job_task(app)
    create_resume_job_task(app)
    return app


@worker_process_init.connect
def die_with_worker(**_: object) -> None:
    """A run that outlives its worker would work on unseen, while another one has its partition."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def use_one_process() -> None:
    """A process of Celery's pool may have no children: the steps of a run are executed in it. Raises ConfigError."""
    chosen = os.environ.setdefault(EXECUTOR_VARIABLE, "in_process")
    if chosen != "in_process":
        raise ConfigError(
            f"{EXECUTOR_VARIABLE}={chosen!r} cannot be used by a worker, whose run is a process already",
            fix=f"set {EXECUTOR_VARIABLE}=in_process, or leave it out",
        )


use_one_process()
app = make_worker_app(os.environ.get("SYNCER_BROKER_URL", ""))
