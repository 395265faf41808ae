"""Failed runs and red checks are told once, by webhook and e-mail, with the place to go on."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest

from syncer_assets.assets.alerts import ALERTS, AlertRules, Known, Memory, assets_known, look_for_alerts
from syncer_assets.assets.failing_sensors import failing_sensors
from syncer_assets.components.deployment import Deployment, load_deployment
from syncer_assets.model.alert import Alert
from syncer_assets.model.errors import ConfigError
from syncer_assets_tests.components.deployments import CONNECTIONS, write_defs
from syncer_assets_tests.receivers import MailBox, Webhook, mail_box, webhook
from syncer_assets_tests.servers import Database, poll

TABLES = """
- {table: public.items, cursor: id, settle_seconds: 0}
- {table: public.gone, cursor: id, settle_seconds: 0}
- {table: public.visits, cursor: at, settle_seconds: 0, late_commit_lag: 0s, freshness: 1s}
"""
ALERTING = """
  alerts:
    webhook_env: TEST_WEBHOOK
    email: {host: 127.0.0.1, port: %d, sender: syncer@example.com, to: [ops@example.com], starttls: false}
    ui: https://dagster.example.com/
"""
ITEMS = """
CREATE TABLE items (id bigserial PRIMARY KEY, sku text);
INSERT INTO items (sku) SELECT 'SKU-' || i FROM generate_series(1, 30) i;
CREATE TABLE visits (id bigserial PRIMARY KEY, at timestamptz NOT NULL);
INSERT INTO visits (at) VALUES (now() - interval '3 hours');
"""


class Watched:
    """A deployment with alerts, its instance, and the sensor as the daemon evaluates it."""

    def __init__(self, deployment: Deployment, instance: dg.DagsterInstance, warehouse: Database):
        self.deployment, self.instance, self.warehouse = deployment, instance, warehouse
        self.cursor: str | None = None

    def tick(self) -> str | None:
        """Why nothing was asked for; its cursor is kept as the daemon does, only where the tick went well."""
        context = dg.build_sensor_context(
            instance=self.instance,
            definitions=self.deployment.definitions,
            resources=self.deployment.connections.resources(),
            instance_ref=self.instance.get_ref(),
            cursor=self.cursor,
        )
        sensor = self.deployment.definitions.get_repository_def().get_sensor_def(ALERTS)
        data = sensor.evaluate_tick(context)
        self.cursor = data.cursor
        return data.skip_message

    def run(self, name: str) -> None:
        table = self.deployment.select([name])[0]
        assets = self.deployment.assets(table, maintenance=False)
        dg.materialize(assets, instance=self.instance, raise_on_error=False)

    def check(self, name: str, table_name: str = "items") -> None:
        table = self.deployment.select([table_name])[0]
        chosen = [c for c in self.deployment.checks(table) if {key.name for key in c.check_keys} == {name}]
        dg.materialize(chosen, selection=dg.AssetSelection.checks(*chosen), instance=self.instance)


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as box:
        yield box


@pytest.fixture
def mail() -> Iterator[MailBox]:
    with mail_box() as box:
        yield box


@pytest.fixture
def watched(
    hook: Webhook,
    mail: MailBox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source_db: Database,
    warehouse_db: Database,
) -> Iterator[Watched]:
    source_db.execute(ITEMS)
    monkeypatch.setenv("TEST_LAKE", f"file://{tmp_path / 'lake'}")
    monkeypatch.setenv("TEST_SHOP_DSN", source_db.dsn)
    monkeypatch.setenv("TEST_ANALYTICS_DSN", warehouse_db.dsn)
    monkeypatch.setenv("TEST_WEBHOOK", hook.url)
    connections = CONNECTIONS + ALERTING % mail.port
    deployment = load_deployment(write_defs(tmp_path / "defs", TABLES, connections=connections))
    with dg.instance_for_test() as instance:
        watched = Watched(deployment, instance, warehouse_db)
        assert watched.tick() == "nothing to tell"
        yield watched


def test_a_failed_run_is_told_once_with_what_a_person_needs(watched: Watched, hook: Webhook, mail: MailBox) -> None:
    watched.run("gone")
    assert watched.tick() == "told 1"
    (told,) = hook.received
    assert told["text"].startswith("A run failed: public.gone\ncause: ")
    assert "cause: public.gone: there is no such table in the source" in told["text"]
    assert "next: syncer run --select shop.public.gone" in told["text"]
    assert "https://dagster.example.com/runs/" in told["text"]
    (letter,) = mail.received
    assert "Subject: [syncer] A run failed" in letter and "To: ops@example.com" in letter
    assert "public.gone" in letter
    watched.run("gone")
    assert watched.tick() == "nothing to tell", "the same trouble"
    assert len(hook.received) == len(mail.received) == 1


def test_a_red_check_is_told_until_it_was_green(watched: Watched, hook: Webhook) -> None:
    watched.run("items")
    watched.tick()
    for _ in range(2):
        hook.received.clear()
        watched.warehouse.execute("UPDATE shop.items SET sku = 'other' WHERE id = 7")
        watched.check("checksum")
        watched.tick()
        (told,) = hook.received
        assert told["text"].startswith("The check checksum is red: public.items\ncause: missing 0, changed 1, extra 0")
        assert told["text"].endswith("https://dagster.example.com/assets/analytics/shop/items?view=checks")
        watched.check("checksum")
        assert watched.tick() == "nothing to tell", "it is red still"
        watched.warehouse.execute("UPDATE shop.items SET sku = 'SKU-7' WHERE id = 7")
        watched.check("checksum")
        assert watched.tick() == "nothing to tell", "it is green"


def test_lag_beyond_the_limit_is_told(watched: Watched, hook: Webhook, source_db: Database) -> None:
    watched.run("visits")
    source_db.execute("INSERT INTO visits (at) VALUES (now())")

    def told() -> bool:
        watched.check("freshness", "visits")
        return watched.tick() == "told 1"

    poll(told, deadline_seconds=90)
    (alert,) = hook.received
    assert alert["text"].startswith("The check freshness is red: public.visits\ncause: complete up to ")
    assert "s ago; the limit is 1 s" in alert["text"]


def test_a_size_that_was_not_restored_is_told_until_it_is(watched: Watched, hook: Webhook) -> None:
    def load(**metadata: str) -> None:
        @dg.asset(key=["analytics", "shop", "items"], metadata={})
        def fake_load() -> dg.MaterializeResult:
            return dg.MaterializeResult(metadata={"size_found": "XSMALL", **metadata})

        dg.materialize([fake_load], instance=watched.instance)
        watched.tick()

    for _ in range(2):
        hook.received.clear()
        load(sizing_problem="the size LARGE could not be given back: no such warehouse")
        (told,) = hook.received
        assert told["text"].startswith("A warehouse's size was not restored: public.items\ncause: the size LARGE could")
        assert "next: syncer doctor --select shop.public.items" in told["text"]
        load(sizing_problem="the size LARGE could not be given back: no such warehouse")
        load()
        assert len(hook.received) == 1


def test_a_refused_file_is_told_by_its_entity(watched: Watched, hook: Webhook, mail: MailBox) -> None:
    key = dg.AssetKey(["raw", "evo", "members"])

    @dg.asset(key=key, check_specs=[dg.AssetCheckSpec("refused", asset=key)])
    def fake_raw() -> dg.MaterializeResult:
        why = "a.jsonl: 31 of 100 lines are no documents, more than max_reject_percent 30 allows"
        return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=False, description=why)])

    dg.materialize([fake_raw], instance=watched.instance)
    known = {key: Known("evo.members", "evo.members")}
    memory = Memory.of(watched.cursor, _now())
    (alert,) = look_for_alerts(watched.instance, known, AlertRules(), memory, _now())
    assert alert.text.startswith("The check refused is red: evo.members\ncause: a.jsonl: 31 of 100 lines")
    assert "next: syncer status --select evo.members" in alert.text


@dataclass(frozen=True)
class FakeTicks:
    """Stands for an instance whose daemon evaluates sensors: the newest tick first, as Dagster gives them."""

    statuses: tuple[str, ...]
    error: object = None
    name: str = "sizes"

    def all_instigator_state(self) -> list[Any]:
        status = SimpleNamespace(value="RUNNING")
        ids = {"instigator_origin_id": "origin", "selector_id": "selector"}
        return [SimpleNamespace(status=status, instigator_name=self.name, **ids)]

    def get_ticks(self, origin_id: str, selector_id: str, limit: int) -> list[Any]:
        assert (origin_id, selector_id) == ("origin", "selector")
        return [SimpleNamespace(status=SimpleNamespace(value=each), error=self.error) for each in self.statuses[:limit]]


def failing(ticks: FakeTicks) -> list[Alert | str]:
    return list(failing_sensors(cast(dg.DagsterInstance, ticks), "https://dagster.example.com"))


def test_a_sensor_that_fails_three_times_is_told_with_the_engines_own_words() -> None:
    cause = SimpleNamespace(cls_name="DbError", message="model.errors.DbError: source shop: refused", cause=None)
    wrapped = SimpleNamespace(cls_name="SensorExecutionError", message="a secret", cause=cause)
    (alert,) = failing(FakeTicks(("STARTED", "FAILURE", "FAILURE", "FAILURE"), wrapped))
    assert isinstance(alert, Alert)
    assert alert.text.startswith(
        "A warehouse may have kept its larger size: the sensor sizes\ncause: source shop: refused"
    )
    other = SimpleNamespace(cls_name="KeyError", message="KeyError: a secret", cause=None)
    (alert,) = failing(FakeTicks(("FAILURE",) * 3, other, "new_rows__shop"))
    assert isinstance(alert, Alert)
    assert alert.title == "A sensor fails" and "KeyError" in alert.text and "a secret" not in alert.text


@pytest.mark.parametrize(
    ("statuses", "found"),
    [(("FAILURE", "FAILURE"), []), (("FAILURE", "SKIPPED", "FAILURE"), []), (("SKIPPED", "FAILURE"), ["sensor|sizes"])],
)
def test_a_sensor_that_fails_now_and_then_is_not_told(statuses: tuple[str, ...], found: list[str]) -> None:
    assert failing(FakeTicks(statuses)) == found


def test_trouble_that_lasts_is_told_again(watched: Watched) -> None:
    watched.run("gone")
    now = _now()
    memory = Memory.of(watched.cursor, now)
    look = [
        look_for_alerts(
            watched.instance, assets_known(watched.deployment.tables), AlertRules(timedelta(hours=6)), memory, moment
        )
        for moment in (now, now + timedelta(hours=5), now + timedelta(hours=7))
        if watched.run("gone") is None
    ]
    assert [len(found) for found in look] == [1, 0, 1]


def test_a_warning_is_told_only_where_that_is_wanted(watched: Watched, source_db: Database) -> None:
    source_db.execute("ALTER SEQUENCE items_id_seq CACHE 10")
    watched.run("items")
    found = {}
    for warnings in (False, True):
        memory = Memory.of(watched.cursor, _now())
        rules = AlertRules(warnings=warnings)
        found[warnings] = look_for_alerts(
            watched.instance, assets_known(watched.deployment.tables), rules, memory, _now()
        )
    assert found[False] == []
    assert [alert.title for alert in found[True]] == ["The check cursor_protected is red"]


def test_what_a_channel_did_not_take_is_told_by_the_next_tick(watched: Watched, hook: Webhook) -> None:
    watched.run("gone")
    hook.answer = 503
    with pytest.raises(Exception, match=r"the alerts' webhook answered 503"):
        watched.tick()
    hook.answer = 200
    assert watched.tick() == "told 1"
    assert len(hook.received) == 1


def test_no_message_has_the_secret_of_the_webhook(
    watched: Watched, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.run("gone")
    monkeypatch.setenv("TEST_WEBHOOK", "http://127.0.0.1:1/services/secret-of-the-webhook")
    with pytest.raises(Exception, match="cannot be reached") as caught:
        watched.tick()
    chain: BaseException | None = caught.value
    while chain is not None:
        assert "secret-of-the-webhook" not in str(chain)
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)


def test_a_storm_is_one_message(watched: Watched, hook: Webhook) -> None:
    for number in range(25):

        @dg.op(name=f"op_{number}")
        def broken() -> None:
            raise RuntimeError("a value that nobody is to see")

        @dg.job(name=f"job_{number}")
        def job() -> None:
            broken()

        job.execute_in_process(instance=watched.instance, raise_on_error=False)
    assert watched.tick() == "told 25"
    (told,) = hook.received
    assert told["text"].count("A run failed") == 20
    assert "5 more alerts" in told["text"]
    assert "a value that nobody is to see" not in told["text"]


def test_alerts_without_a_channel_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    defs = write_defs(tmp_path / "defs", TABLES, connections=CONNECTIONS + "  alerts: {repeat: 1h}\n")
    with pytest.raises(ConfigError, match=r"the alerts go nowhere\. Fix: name a `webhook_env`, an `email`, or both"):
        load_deployment(defs)


def _now() -> datetime:
    return datetime.now(UTC)
