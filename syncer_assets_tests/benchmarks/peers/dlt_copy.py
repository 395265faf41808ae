"""dlt's sql_database of one table: `dlt_copy.py SOURCE_URL TABLE BACKEND filesystem|postgres TARGET append|merge`.

Runs in the peers' venv. Its own defaults, but for the backend; Parquet where the destination is a folder.
"""

import sys

import dlt  # pyright: ignore[reportMissingImports]  # of the peers' venv
from dlt.sources.sql_database import sql_table  # pyright: ignore[reportMissingImports]


def main() -> None:
    url, table, backend, destination, target, disposition = sys.argv[1:]
    if destination == "filesystem":
        into, options = dlt.destinations.filesystem(bucket_url=target), {"loader_file_format": "parquet"}
    else:
        into, options = dlt.destinations.postgres(credentials=target), {}
    resource = sql_table(credentials=url, table=table, backend=backend)
    if disposition == "merge":
        resource.apply_hints(primary_key="id")
    pipeline = dlt.pipeline("bench", destination=into, dataset_name="dlt")
    pipeline.run(resource, write_disposition=disposition, **options).raise_on_failed_jobs()


if __name__ == "__main__":
    main()
