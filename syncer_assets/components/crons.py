"""Cron expressions and time zones as YAML fields, judged by Dagster itself."""

from typing import Annotated

import dagster as dg
import pydantic


def _cron(text: str) -> str:
    return _accepted(text, "UTC", f'{text!r} is no cron expression: write five fields, such as "0 2 * * *"')


def _timezone(text: str) -> str:
    _accepted("0 0 * * *", text, f'{text!r} is no time zone: write a name such as "Europe/Berlin"')
    return text


def _accepted(expression: str, timezone: str, message: str) -> str:
    try:
        dg.ScheduleDefinition(
            name="probe", cron_schedule=expression, execution_timezone=timezone, job_name="probe"
        )
    except dg.DagsterInvalidDefinitionError:
        raise ValueError(message) from None
    return expression


CronExpression = Annotated[str, pydantic.AfterValidator(_cron)]
Timezone = Annotated[str, pydantic.AfterValidator(_timezone)]
