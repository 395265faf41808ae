"""Maintenance and bloat: what Snowflake does by itself is told as not applicable, never as done or passed."""

from ...model.upkeep import BloatReport, MaintenanceReport, Upkeep

NO_VACUUM = "ANALYZE, VACUUM and REINDEX: not applicable, Snowflake keeps statistics and storage in shape by itself"
NO_BLOAT = "bloat: not applicable, Snowflake rewrites the micro-partitions that change"


def maintain(upkeep: Upkeep) -> MaintenanceReport:
    """What is declared and cannot be had is drift, so that the check `as_declared` warns of it."""
    drift = [f"{index}: Snowflake has no indexes; remove it from the YAML" for index in upkeep.indexes]
    drift += [f"{name}: Snowflake has no storage parameters; remove it from the YAML" for name, _ in upkeep.storage]
    return MaintenanceReport(skipped=[NO_VACUUM], drift=drift)


def bloat() -> BloatReport:
    """Nothing that could be judged."""
    return BloatReport(not_judged=(NO_BLOAT,))
