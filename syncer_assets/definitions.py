"""The code location: what the YAML below `defs/`, or below the folder in $SYNCER_DEFS, declares.

`dagster dev -m syncer_assets.definitions` serves it; `dg check defs` checks it. Loading opens no connection and reads
no secret: a missing variable or database is told by the run that needs it.
"""

import dagster as dg

from syncer_assets.components.loading import load_definitions


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions of the deployment. Raises ConfigError naming file, line, table, field and fix."""
    return load_definitions()
