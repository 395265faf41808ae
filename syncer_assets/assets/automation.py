"""When assets follow what lies before them (the conditions are proven in the tests, one reason each)."""

import dagster as dg

from .table import Cron

_condition = dg.AutomationCondition

_news = _condition.any_deps_match(_condition.newly_updated())
_behind = _news.since(_condition.newly_updated()).with_label("older than what it is made of")
"""By the times of the two materialisations. Only these bare conditions carry times: with `since_last_handled()`, or
`any_deps_updated()`, an update that falls between a request and the tick after it is lost."""

_not_failing = (~_condition.execution_failed() | _news | _condition.cron_tick_passed("*/15 * * * *")).with_label(
    "did not fail, or has news, or a quarter of an hour has passed"
)
_at_rest = ~_condition.any_deps_in_progress() & ~_condition.in_progress()

AFTER_LAKE = (
    (_behind | _condition.missing())
    & ~_condition.any_deps_missing()
    & _condition.all_deps_blocking_checks_passed()
    & _not_failing
    & _at_rest
).with_label("the lake has news, and its blocking checks passed")

AFTER_LOADS = (
    (_behind | (_condition.missing() & _condition.any_deps_match(~_condition.missing()))) & _not_failing & _at_rest
).with_label("the table was loaded")
"""A single partition that was loaded is enough."""

BY_HAND = (_condition.in_progress() & ~_condition.in_progress()).with_label("only when a person asks")
"""Never true. A check that has a condition of its own does not ride along with every run of its asset."""


HOURLY, DAILY = Cron("20 * * * *"), Cron("40 5 * * *")


def runs_at(cron: Cron | None) -> dg.AutomationCondition:
    """When a check runs by itself. A tick is true once; `since_last_handled` would drop every second one."""
    return BY_HAND if cron is None else _condition.cron_tick_passed(cron.expression, cron.timezone)


def build_automation_sensor() -> dg.AutomationConditionSensorDefinition:
    """Evaluates every condition of the deployment."""
    return dg.AutomationConditionSensorDefinition(
        "automation",
        target=dg.AssetSelection.all(),
        description="Asks for loads and maintenance when what lies before them has news, and for checks by the clock.",
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
