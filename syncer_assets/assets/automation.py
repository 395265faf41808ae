"""When assets follow what lies before them (the conditions are proven in the tests, one reason each)."""

import dagster as dg

from .table import Cron

_condition = dg.AutomationCondition

_upstream_news = (_condition.any_deps_updated() | _condition.newly_missing()).since_last_handled()
_at_rest = ~_condition.any_deps_in_progress() & ~_condition.in_progress()

AFTER_LAKE = (
    _upstream_news & ~_condition.any_deps_missing() & _at_rest & _condition.all_deps_blocking_checks_passed()
).with_label("the lake has news, and its blocking checks passed")
"""`eager()` would never load an old partition that was synced again."""

AFTER_LOADS = (_condition.any_deps_updated().since_last_handled() & _at_rest).with_label("the table was loaded")
"""Without a word about missing partitions: a table is looked after long before each of them was loaded."""

BY_HAND = (_condition.in_progress() & ~_condition.in_progress()).with_label("only when a person asks")
"""Never true. A check that has a condition of its own does not ride along with every run of its asset."""


HOURLY, DAILY = Cron("20 * * * *"), Cron("40 5 * * *")


def runs_at(cron: Cron | None) -> dg.AutomationCondition:
    """When a check runs by itself."""
    return BY_HAND if cron is None else _condition.cron_tick_passed(cron.expression, cron.timezone).since_last_handled()


def build_automation_sensor() -> dg.AutomationConditionSensorDefinition:
    """Evaluates every condition of the deployment."""
    return dg.AutomationConditionSensorDefinition(
        "automation", target=dg.AssetSelection.all(), default_status=dg.DefaultSensorStatus.RUNNING
    )
