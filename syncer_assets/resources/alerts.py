"""Where alerts go: a webhook that takes Slack's messages, and e-mail."""

import smtplib
from collections.abc import Sequence
from email.message import EmailMessage

import dagster as dg
import pydantic

from ..model.alert import Alert
from ..model.errors import SyncError
from .environment import secret

ALERTS_RESOURCE = "alerts"
TIMEOUT_SECONDS = 20


class EmailResource(dg.Config):
    """A mail server and who gets what. Its login comes from the environment."""

    host: str
    port: int = 587
    sender: str
    to: list[str]
    starttls: bool = True
    user_env: str | None = None
    password_env: str | None = None


class AlertsResource(dg.ConfigurableResource):
    """The channels of a deployment. Secrets are read from the environment when something is sent."""

    webhook_env: str | None = pydantic.Field(
        default=None, description="The name of the environment variable that holds the webhook's URL."
    )
    email: EmailResource | None = pydantic.Field(default=None, description="The mail server.")

    def send(self, alerts: Sequence[Alert]) -> None:
        """Tell them in one message a channel. Raises SyncError, without the URL, if a channel does not take it."""
        text = "\n\n".join(alert.text for alert in alerts)
        if self.webhook_env:
            _post(secret(self.webhook_env, "the alerts' webhook"), text)
        if self.email:
            title = alerts[0].title if len(alerts) == 1 else f"{len(alerts)} alerts"
            _mail(self.email, f"[syncer] {title}", text)


def _post(url: str, text: str) -> None:
    import httpx

    try:
        answer = httpx.post(url, json={"text": text}, timeout=TIMEOUT_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:  # their texts name the URL, which is a secret
        raise SyncError(
            f"the alerts' webhook cannot be reached ({type(error).__name__})", fix="look at its URL and at the network"
        ) from None
    if answer.is_error or answer.is_redirect:
        raise SyncError(f"the alerts' webhook answered {answer.status_code}", fix="look at its URL and its limits")


def _mail(settings: EmailResource, subject: str, text: str) -> None:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, settings.sender, ", ".join(settings.to)
    message.set_content(text)
    try:
        with smtplib.SMTP(settings.host, settings.port, timeout=TIMEOUT_SECONDS) as server:
            if settings.starttls:
                server.starttls()
            if settings.user_env and settings.password_env:
                needed_by = "the alerts' mail server"
                server.login(secret(settings.user_env, needed_by), secret(settings.password_env, needed_by))
            server.send_message(message)
    except (smtplib.SMTPException, OSError) as error:
        raise SyncError(
            f"the alerts' mail server {settings.host}:{settings.port} did not take a message ({type(error).__name__})",
            fix="look at host, port, starttls and the login",
        ) from None
