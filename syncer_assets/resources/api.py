"""What an API is reached by: address and secrets from the environment, read when it is asked, and kept nowhere."""

from ..model.api import Api
from .environment import secret


def base_url_of(api: Api) -> str:
    """The address. Raises ConfigError if its variable is not set."""
    if api.base_url is not None:
        return api.base_url
    return secret(api.base_url_env or "", f"API {api.name!r}")


def secrets_of(api: Api) -> dict[str, str]:
    """The secrets by their variables' names. Raises ConfigError for one that is not set."""
    return {variable: secret(variable, f"API {api.name!r}") for variable in api.variables}
