"""`syncer_assets.ApiExtract`: lists of an API that are read page by page into files of JSON lines."""

from collections.abc import Sequence

import dagster as dg
from pydantic import Field

from ..assets.api import ApiList, build_api_asset, build_api_schedule
from ..assets.names import python_name
from ..model.api import Api
from .api_entries import EndpointEntry, LimitsEntry
from .connections import Connections
from .failover_entry import FAILOVER_DESCRIPTION, FailoverField, backoff_of
from .fields import CronExpression, EnvironmentName, LakeUrl
from .schedule_entries import ScheduleEntry, cron_of


class ApiExtract(dg.Component, dg.Resolvable, dg.Model):
    """Lists of one API, read into gzipped JSON lines below `files`, which a FileLoad takes on from there.

    ```yaml
    type: syncer_assets.ApiExtract
    attributes:
      source: crm
      base_url: https://api.example.com/v2
      bearer_env: CRM_TOKEN
      files: s3://bucket/bronze
      endpoints:
        - entity: orders
          path: /orders
          params: {from: "{start}", to: "{end}"}
          records: data.items
          id: id
          total: meta.total
          pages: {by: page, param: page, size_param: per_page, size: 100}
          partitions: {every: day, start: "2024-01-01"}
          schedule: "10 * * * *"
    ```

    - An endpoint makes the asset `api/crm/orders` with the inline blocking checks `row_count` and `complete`.
    - Files: `<files>/crm/orders/<partition>/<seq>-<part>.jsonl.gz`, each whole and never changed.
    - Nothing is asked and no variable is read while definitions load.
    """

    source: str = Field(description="What the API is called in asset keys and folders.")
    base_url: str | None = Field(default=None, description="The API's address; or `base_url_env`.")
    base_url_env: EnvironmentName | None = Field(
        default=None, description="The NAME of the environment variable that holds the address."
    )
    files: LakeUrl = Field(description="Where the files go: file://, s3://bucket/prefix, az:// or gs://.")
    failover: FailoverField = Field(
        default="normal", description=f"{FAILOVER_DESCRIPTION} For the API, and for the store of the files."
    )
    bearer_env: EnvironmentName | None = Field(
        default=None, description="The NAME of the environment variable that holds a bearer token."
    )
    secret_headers: dict[str, EnvironmentName] = Field(
        default={}, description="Headers whose values are secrets: {X-Api-Key: NAME of the environment variable}."
    )
    headers: dict[str, str | int] = Field(default={}, description="Further headers; no secrets.")
    other_hosts: list[str] = Field(
        default=[], description="Hosts that redirects and links may lead to, by https; secrets are not sent there."
    )
    limits: LimitsEntry = Field(default=LimitsEntry(), description="How the API is asked.")
    endpoints: list[EndpointEntry] = Field(description="The lists.")
    schedule: CronExpression | ScheduleEntry | None = Field(
        default=None, description="When to read all lists that have no schedule of their own."
    )
    group: str | None = Field(default=None, description="The asset group in the UI, likewise; the source's name.")
    owners: list[str] | None = Field(default=None, description="Owners of the assets, likewise.")

    def to_api(self) -> Api:
        """The engine's form."""
        return Api(
            name=self.source,
            base_url=self.base_url,
            base_url_env=self.base_url_env,
            headers=tuple((name, str(value)) for name, value in self.headers.items()),  # templates make 2 of "2"
            bearer_env=self.bearer_env,
            secret_headers=tuple(self.secret_headers.items()),
            other_hosts=tuple(self.other_hosts),
            limits=self.limits.to_limits(),
            files_url=self.files,
            backoff=backoff_of(self.failover),
        )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        from .api_rules import api_problems
        from .problems import raise_problems

        connections = context.component_tree.get_all_components(Connections)
        apis = context.component_tree.get_all_components(ApiExtract)
        raise_problems(context, api_problems(self, connections, apis))
        lists = api_lists_of(self)
        return dg.Definitions(assets=[build_api_asset(each) for each in lists], schedules=_schedules(self, lists))


def api_lists(tree: dg.ComponentTree) -> list[ApiList]:
    """Every list of a deployment's APIs, as the asset factory and the command take them."""
    return [each for component in tree.get_all_components(ApiExtract) for each in api_lists_of(component)]


def api_lists_of(component: ApiExtract) -> list[ApiList]:
    """The lists of one component."""
    api = component.to_api()
    return [
        ApiList(
            api,
            entry.to_endpoint(),
            group=entry.group or component.group or python_name(component.source),
            owners=tuple(component.owners or () if entry.owners is None else entry.owners),
            description=entry.description,
            schedule=cron_of(entry.schedule or component.schedule),
        )
        for entry in component.endpoints
    ]


def _schedules(component: ApiExtract, lists: Sequence[ApiList]) -> list[dg.ScheduleDefinition]:
    """One for the lists that share the component's schedule, one for each that has its own."""
    entries = list(zip(component.endpoints, lists, strict=True))
    shared = [each for entry, each in entries if entry.schedule is None]
    cron, name = cron_of(component.schedule), f"api__{component.source}"
    found = [build_api_schedule(name, cron, shared)] if cron and shared else []
    return found + [
        build_api_schedule(f"{name}__{each.name}", each.schedule, [each])
        for entry, each in entries
        if entry.schedule is not None and each.schedule is not None
    ]
