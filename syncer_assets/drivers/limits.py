"""Settings of our sessions that no server knows."""

from ..model.errors import ConfigError


def take_seconds(settings: dict[str, str], name: str, default: str, who: str) -> float:
    """Take a number of seconds out of `settings`. Raises ConfigError where it is none, or not above 0."""
    try:
        seconds = float(settings.pop(name, default))
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise ConfigError(f"{who}: `{name}` is no number above 0", fix="correct it in `options`")
    return seconds
