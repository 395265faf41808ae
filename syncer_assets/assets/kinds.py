"""The kinds that the UI shows on an asset: what it is stored in.

Source, warehouse and maintenance say so too, since the graph shows of an asset's key its last part only.
"""

_DATABASES = {"postgres": "postgresql"}
_STORES = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcs",
    "file": "file",
    "az": "azure",
    "azure": "azure",
    "abfs": "azure",
    "abfss": "azure",
}


def database_kind(type: str) -> str:
    """The kind of a source or warehouse of that `type`."""
    return _DATABASES.get(type, type)


def store_kind(lake_url: str) -> str:
    """The kind of the object store behind a lake's address."""
    return _STORES.get(lake_url.partition("://")[0], "file")
