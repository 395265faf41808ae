"""What stands in the way of reading a list of an API: one page is asked for, once, and nothing is written."""

from collections.abc import Mapping
from datetime import UTC, datetime

from ...model.api import Api, Endpoint
from ...model.errors import SyncError
from ...sources.rest import Client, first_position, read_page, request_for
from ..doctor import Finding


def examine_list(api: Api, endpoint: Endpoint, base_url: str, secrets: Mapping[str, str]) -> Finding:
    """The first page of the last partition: the address, the secrets, the path of the records."""
    about = f"list {api.name}.{endpoint.entity}"
    try:
        key = endpoint.partitions.keys(None, datetime.now(UTC))[-1]
        client = Client(api, base_url, secrets)
        try:
            request = request_for(client, endpoint, endpoint.spans(key)[0], first_position(endpoint.paging))
            page = read_page(client.get(request.url, request.params, endpoint.path), endpoint)
        finally:
            client.close()
    except SyncError as error:
        return Finding(about, "first page", "error", str(error))
    total = "" if page.total is None else f", of {page.total:,} in all"
    return Finding(about, "first page", "ok", f"GET {endpoint.path} is answered with {page.rows:,} records{total}")
