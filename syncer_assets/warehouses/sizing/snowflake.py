"""A virtual warehouse of Snowflake: WAREHOUSE_SIZE and QUERY_ACCELERATION_MAX_SCALE_FACTOR by ALTER WAREHOUSE."""

from collections.abc import Callable

from ...model.errors import ConfigError, DbError
from ...model.sizing import Size

CREDITS = {
    "XSMALL": 1,
    "SMALL": 2,
    "MEDIUM": 4,
    "LARGE": 8,
    "XLARGE": 16,
    "XXLARGE": 32,
    "XXXLARGE": 64,
    "X4LARGE": 128,
    "X5LARGE": 256,
    "X6LARGE": 512,
}
"""Credits an hour of a standard warehouse, as Snowflake's manual lists them."""

SPELT = {"XLARGE": ("X1LARGE",), "XXLARGE": ("X2LARGE", "2XLARGE"), "XXXLARGE": ("X3LARGE", "3XLARGE")}
SPELT |= {f"X{n}LARGE": (f"{n}XLARGE",) for n in (4, 5, 6)}
ALIASES = {other: name for name, others in SPELT.items() for other in others}

Ask = Callable[[str], list[dict[str, object]]]
"""Runs a statement in a session of its own; the rows by their columns' names in small letters."""


class VirtualWarehouse:
    """One virtual warehouse by its name."""

    def __init__(self, name: str, ask: Ask):
        self._name, self._ask = name, ask

    def current(self) -> Size:
        """What SHOW WAREHOUSES says. Raises DbError where the role does not see it."""
        rows = self._ask(f"SHOW WAREHOUSES LIKE {_text(self._name)}")
        found = next((row for row in rows if str(row["name"]).upper() == self._name.upper()), None)
        if found is None:
            raise DbError(
                f"the virtual warehouse {self._name} is not there, or the role may not see it",
                phase="connect",
                fix=f"grant MODIFY and USAGE ON WAREHOUSE {self._name} to the role",
            )
        enabled = str(found.get("enable_query_acceleration", "false")).lower() == "true"
        factor = found.get("query_acceleration_max_scale_factor")
        return Size(size_name(str(found["size"])), int(str(factor)) if enabled and factor is not None else None)

    def change(self, size: Size) -> None:
        """Statements that start from now on run at that size; those that run keep theirs."""
        acceleration = (
            "ENABLE_QUERY_ACCELERATION = FALSE"
            if size.acceleration is None
            else f"ENABLE_QUERY_ACCELERATION = TRUE QUERY_ACCELERATION_MAX_SCALE_FACTOR = {size.acceleration}"
        )
        self._ask(
            f"ALTER WAREHOUSE {_identifier(self._name)} SET WAREHOUSE_SIZE = {size.name}"
            f" WAIT_FOR_COMPLETION = TRUE {acceleration}"
        )

    def named(self, name: str) -> str:
        return size_name(name)

    def rank(self, name: str) -> float:
        return CREDITS[name]

    def credits_per_hour(self, name: str) -> float:
        return float(CREDITS[name])


def size_name(text: str) -> str:
    """`X-Small`, `2X-Large`, `XXLARGE`: the one word of ours. Raises ConfigError for anything else."""
    name = text.upper().replace("-", "").replace(" ", "")
    name = ALIASES.get(name, name)
    if name not in CREDITS:
        raise ConfigError(f"{text!r} is no size of a Snowflake warehouse", fix=f"use one of {', '.join(CREDITS)}")
    return name


def _identifier(name: str) -> str:
    return '"' + name.upper().replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
