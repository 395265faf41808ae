"""YAML to Dagster definitions."""
