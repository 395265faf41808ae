"""syncer_assets: operational tables into a lake and a warehouse from Dagster, with proof that nothing was lost.

Components are imported on demand, so that `import syncer_assets.sync` needs no Dagster.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_COMPONENTS = {
    "ApiExtract": "api_extract",
    "Connections": "connections",
    "FileLoad": "file_load",
    "KeyedUpdate": "keyed_update",
    "TableSync": "table_sync",
}


def __getattr__(name: str) -> Any:  # a module's attribute may be anything: the language's own signature
    if name not in _COMPONENTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.components.{_COMPONENTS[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_COMPONENTS]
