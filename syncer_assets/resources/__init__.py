"""Dagster resources: connections and the object store."""
