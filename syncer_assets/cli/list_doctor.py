"""The lists of an API in `syncer doctor`: where their files go, and one page of each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..model.errors import SyncError
from ..resources.api import base_url_of, secrets_of

if TYPE_CHECKING:
    from ..assets.api import ApiList
    from ..sync.doctor import Finding


def examine_api(lists: "Sequence[ApiList]") -> "list[Finding]":
    """The findings of one API. Where a variable is missing, which is a finding already, it is not asked."""
    from ..sync.api.doctor import examine_list
    from ..sync.doctor import Finding, examine_lake

    api, found = lists[0].api, []
    try:
        found += examine_lake(lists[0].files(), f"files of API {api.name} in")
    except SyncError as error:
        found.append(Finding(f"files of API {api.name} in {api.files_url}", "opened", "error", str(error)))
    try:
        base_url, secrets = base_url_of(api), secrets_of(api)
    except SyncError:
        return found
    return [*found, *(examine_list(api, each.endpoint, base_url, secrets) for each in lists)]
