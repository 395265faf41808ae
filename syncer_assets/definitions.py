"""The code location: what the YAML below `defs/`, or below the folder in $SYNCER_DEFS, declares.

`dagster dev -m syncer_assets.definitions` serves it; `dg check defs` checks it. Loading opens no connection and reads
no secret: a missing variable or database is told by the run that needs it.
"""

import dagster as dg

from syncer_assets.components.loading import chosen_executor, load_definitions


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions of the deployment, run by the executor in $SYNCER_EXECUTOR.

    Raises ConfigError naming file, line, table, field and fix.
    """
    loaded, executor = load_definitions(), chosen_executor()
    return dg.Definitions.merge(loaded, dg.Definitions(executor=executor)) if executor else loaded
