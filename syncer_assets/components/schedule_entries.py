"""The YAML of when something is done without being asked."""

import dagster as dg
from pydantic import Field

from ..assets.table import Cron, Reconcile
from .fields import CronExpression, Timezone


class ScheduleEntry(dg.Resolvable, dg.Model):
    """When to sync without being asked."""

    cron: CronExpression = Field(description='A cron expression, such as "0 2 * * *".')
    timezone: Timezone = Field(default="UTC", description="The time zone that it is counted in.")

    def to_cron(self) -> Cron:
        return Cron(self.cron, self.timezone)


class ReconcileEntry(dg.Resolvable, dg.Model):
    """When the table is compared with its source without being asked, and whether it is repaired then."""

    cron: CronExpression | None = Field(
        default=None, description='A cron expression, such as "0 3 * * 0"; without it by hand.'
    )
    timezone: Timezone = Field(default="UTC", description="The time zone that it is counted in.")
    repair: bool = Field(default=False, description="Whether what differs is repaired, or only told.")

    def to_reconcile(self) -> Reconcile:
        return Reconcile(Cron(self.cron, self.timezone) if self.cron else None, self.repair)


def reconcile_of(value: str | ReconcileEntry | None) -> Reconcile | None:
    """`"0 3 * * 0"` and `{cron: "0 3 * * 0"}` mean the same."""
    return Reconcile(Cron(value)) if isinstance(value, str) else value.to_reconcile() if value else None


def cron_of(value: str | ScheduleEntry | None) -> Cron | None:
    """`"0 2 * * *"` and `{cron: "0 2 * * *"}` mean the same."""
    if value is None:
        return None
    return Cron(value) if isinstance(value, str) else value.to_cron()
