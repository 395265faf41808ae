"""The YAML of the alerts: what is told, how often, and where to."""

import dagster as dg
from pydantic import Field

from ..assets.alerts import AlertRules
from ..resources.alerts import AlertsResource, EmailResource
from .fields import Duration, EnvironmentName, PositiveInt, parse_duration


class EmailEntry(dg.Resolvable, dg.Model):
    """A mail server, and who gets the alerts."""

    host: str = Field(description="The mail server.")
    port: PositiveInt = Field(default=587, description="Its port.")
    sender: str = Field(description="The address that the alerts come from.")
    to: list[str] = Field(description="The addresses that they go to.")
    starttls: bool = Field(default=True, description="Whether the session is encrypted before the login.")
    user_env: EnvironmentName | None = Field(
        default=None, description="The NAME of the environment variable that holds the login."
    )
    password_env: EnvironmentName | None = Field(
        default=None, description="The NAME of the environment variable that holds its password."
    )


class AlertsEntry(dg.Resolvable, dg.Model):
    """What is told of failed runs and red checks."""

    webhook_env: EnvironmentName | None = Field(
        default=None,
        description="The NAME of the environment variable that holds the URL of a webhook that takes Slack's messages.",
    )
    email: EmailEntry | None = Field(default=None, description="A mail server, and who gets the alerts.")
    repeat: Duration = Field(default="24h", description="How long a trouble that goes on is not told again.")
    warnings: bool = Field(default=False, description="Whether checks that only warn are told, too.")
    ui: str | None = Field(default=None, description="The address of the UI, for links.")

    def to_resource(self) -> AlertsResource:
        """The channels."""
        email = EmailResource(**self.email.model_dump()) if self.email else None
        return AlertsResource(webhook_env=self.webhook_env, email=email)

    def to_rules(self) -> AlertRules:
        """What is told."""
        return AlertRules(parse_duration(self.repeat), self.warnings, self.ui.rstrip("/") if self.ui else None)
