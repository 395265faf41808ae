"""Loads a folder of definitions: the packaged one, or any other."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import dagster as dg

from ..model.errors import ConfigError
from .yaml_shape import refuse_repeated

FOLDER_VARIABLE = "SYNCER_DEFS"
EXECUTOR_VARIABLE = "SYNCER_EXECUTOR"
EXECUTORS = {"multiprocess": dg.multiprocess_executor, "in_process": dg.in_process_executor}
"""How the steps of a run are executed: each in a process of its own (Dagster's default), or all in the run's process,
which saves loading the definitions again for each step."""
_MODULE = "syncer_assets_loaded_defs"


def defs_folder(folder: Path | None = None) -> Path:
    """The folder that is meant: the one given, else $SYNCER_DEFS, else the packaged one. Raises ConfigError."""
    chosen = folder or Path(os.environ.get(FOLDER_VARIABLE) or Path(__file__).parents[1] / "defs")
    if not chosen.is_dir():
        raise ConfigError(
            f"there is no folder {chosen} with definitions", fix=f"name one with --defs or {FOLDER_VARIABLE}"
        )
    return chosen.resolve()


def component_tree(folder: Path) -> dg.ComponentTree:
    """The components of a folder. Nothing of them is loaded yet."""
    name = f"{_MODULE}_{abs(hash(folder))}"
    module = ModuleType(name)
    module.__path__ = [str(folder)]
    module.__file__ = str(folder / "__init__.py")
    sys.modules[name] = module  # Python files among the definitions import one another through it
    return dg.ComponentTree.from_module(defs_module=module, project_root=folder.parent)


def load_definitions(folder: Path | None = None) -> dg.Definitions:
    """The definitions of a folder. Raises ConfigError naming file, line, table, field and fix."""
    return load_tree(folder)[1]


def chosen_executor() -> dg.ExecutorDefinition | None:
    """The executor in $SYNCER_EXECUTOR, None where it is not set. Raises ConfigError."""
    name = os.environ.get(EXECUTOR_VARIABLE)
    if name and name not in EXECUTORS:
        raise ConfigError(f"{EXECUTOR_VARIABLE}={name!r} is no executor", fix=f"use one of {', '.join(EXECUTORS)}")
    return EXECUTORS[name] if name else None


def load_tree(folder: Path | None = None) -> tuple[dg.ComponentTree, dg.Definitions]:
    """The components of a folder, and the definitions that they build."""
    chosen = defs_folder(folder)
    tree = component_tree(chosen)
    with explained(chosen), warnings.catch_warnings():
        # What Dagster says of its own use of itself, a line for each asset. Of our use it may speak.
        warnings.filterwarnings("ignore", category=dg.BetaWarning, module=r"dagster\.")
        return tree, tree.build_defs(chosen)


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """While the block loads a folder: what is wrong is told by the YAML, where that explains it. Raises ConfigError."""
    refuse_repeated(folder)
    try:
        yield
        return
    except Exception:  # whatever Dagster raises: if the YAML explains it, that is the better story
        from .diagnosis import diagnose

        error = diagnose(folder)
        if error is None:
            raise
    raise error from None
