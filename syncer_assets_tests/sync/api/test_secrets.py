"""The token goes to the API's own origin, in a header, and nowhere else."""

import pickle
import traceback
from dataclasses import replace
from pathlib import Path

import pytest

from syncer_assets.model.api import Api, Paging
from syncer_assets.model.errors import ConfigError, SyncError
from syncer_assets_tests.misbehaving_api import Answer, Asked, MisbehavingApi, Reply, orders, paged
from syncer_assets_tests.sync.api.rig import FAST, PAGED, Rig

TOKEN, KEY = "C4naryToken+/=", "C4naryKey"
API = Api(
    "crm",
    bearer_env="CRM_TOKEN",
    secret_headers=(("X-Api-Key", "CRM_KEY"),),
    headers=(("X-Version", "2"),),
    limits=FAST,
)
GOOD = paged(orders(25))


def rig_in(folder: Path, **more: object) -> Rig:
    return Rig(folder, api=API, secrets={"CRM_TOKEN": TOKEN, "CRM_KEY": KEY}, **more)  # type: ignore[arg-type]  # fields of Rig


def carries(asked: Asked) -> bool:
    return asked.headers.get("authorization") == f"Bearer {TOKEN}" and asked.headers.get("x-api-key") == KEY


def test_the_secrets_reach_the_api_and_no_file_or_event(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rig = rig_in(tmp_path)
    with MisbehavingApi(lambda asked: GOOD(asked) if carries(asked) else Reply(b"{}", 401)) as server:
        report = rig.read(server)
        assert all(asked.headers["x-version"] == "2" for asked in server.asked)
    assert rig.ids() == list(range(1, 26))
    _assert_silent(rig, repr(report), repr(rig.events), "".join(capfd.readouterr()))


def redirected(asked: Asked, to: str) -> Reply:
    return Reply(b"", 302, {"Location": f"{to}{asked.path}?{'&'.join(f'{n}={v}' for n, v in asked.params.items())}"})


def test_a_redirect_to_another_host_is_not_followed(tmp_path: Path) -> None:
    with MisbehavingApi(GOOD) as other, MisbehavingApi(lambda asked: redirected(asked, other.url)) as server:
        rig = rig_in(tmp_path)
        with pytest.raises(SyncError, match="leads to another host") as raised:
            rig.read(server)
        assert other.asked == [] and "other_hosts" in str(raised.value)
        assert rig.manifest() is None


def test_a_redirect_to_a_host_that_was_named_is_followed_without_the_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from syncer_assets.sources.rest import client

    with MisbehavingApi(GOOD) as other, MisbehavingApi(lambda asked: redirected(asked, other.url)) as server:
        rig = rig_in(tmp_path)
        monkeypatch.setattr(
            client, "_allowed", lambda api, origin: {origin, client._origin(other.url)}
        )  # named hosts are https
        rig.read(server)
        assert rig.ids() == list(range(1, 26))
        assert len(other.asked) >= 3
        for asked in other.asked:
            assert not {"authorization", "x-api-key", "x-version"} & set(asked.headers)


def test_a_redirect_on_the_same_host_keeps_the_secrets_and_ends_some_day(tmp_path: Path) -> None:
    def moved(asked: Asked) -> Reply:
        return redirected(replace(asked, path="/v2/orders"), "") if asked.path == "/orders" else GOOD(asked)

    with MisbehavingApi(moved) as server:
        rig = rig_in(tmp_path)
        rig.read(server)
        assert all(carries(asked) for asked in server.asked) and rig.ids() == list(range(1, 26))
    with MisbehavingApi(lambda asked: redirected(asked, "")) as server:
        with pytest.raises(SyncError, match="redirected more than 5 times"):
            rig_in(tmp_path / "round").read(server)
        assert len(server.asked) == 6


@pytest.mark.parametrize("where", ["link", "cursor"])
def test_a_next_page_that_repeats_the_token_is_refused(where: str, tmp_path: Path) -> None:
    def told(asked: Asked) -> Reply:
        return Reply.json({"items": [{"id": 1}], "next": f"/orders?access_token={KEY}" if where == "link" else KEY})

    paging = Paging("link", next="next") if where == "link" else Paging("cursor", "after", next="next")
    endpoint = replace(PAGED, records="items", total=None, paging=paging)
    rig = rig_in(tmp_path, endpoint=endpoint)
    with MisbehavingApi(told) as server, pytest.raises(SyncError, match="repeats a secret") as raised:
        rig.read(server)
    _assert_silent(rig, *_texts(raised.value))


def test_a_next_page_on_another_host_is_not_followed(tmp_path: Path) -> None:
    def astray(asked: Asked) -> Reply:
        return Reply.json(orders(3), Link='<http://169.254.169.254/latest>; rel="next"')

    rig = rig_in(tmp_path, endpoint=replace(PAGED, records=None, total=None, paging=Paging("link")))
    with MisbehavingApi(astray) as server, pytest.raises(SyncError, match="leads to another host"):
        rig.read(server)


ANSWERS: dict[str, Answer] = {
    "401": lambda asked: Reply(f"{asked.headers}".encode(), 401),
    "500": lambda asked: Reply(f"{asked.headers}".encode(), 500),
    "no JSON": lambda asked: Reply(f"{asked.headers}".encode()),
    "half": lambda asked: Reply(f"{asked.headers}".encode(), cut=90),
    "bad header": lambda asked: Reply(headers={"Location": f"http://[{TOKEN}"}, status=302),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_no_error_says_the_secrets(kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rig = rig_in(tmp_path)
    with MisbehavingApi(ANSWERS[kind]) as server, pytest.raises(SyncError) as raised:
        rig.read(server)
    _assert_silent(rig, *_texts(raised.value), repr(rig.events), "".join(capfd.readouterr()))


@pytest.mark.parametrize("token", [f"{TOKEN}\n", f" {TOKEN}", f"{TOKEN}\r\nX-Evil: 1", f"{TOKEN}é", ""])
def test_a_token_that_no_header_can_carry_is_refused_without_telling_it(token: str, tmp_path: Path) -> None:
    rig = replace(rig_in(tmp_path), secrets={"CRM_TOKEN": token, "CRM_KEY": KEY})
    with MisbehavingApi(GOOD) as server:
        with pytest.raises(ConfigError, match="the value of CRM_TOKEN cannot be sent") as raised:
            rig.read(server)
        assert server.asked == []
    _assert_silent(rig, *_texts(raised.value))


def _texts(error: SyncError) -> list[str]:
    pickled = pickle.dumps(error)
    assert str(pickle.loads(pickled)) == str(error)
    return [str(error), repr(vars(error)), "".join(traceback.format_exception(error)), pickled.decode("latin-1")]


def _assert_silent(rig: Rig, *texts: str) -> None:
    stored = [path for path in rig.folder.rglob("*") if path.is_file()]
    for text in (*texts, *map(str, stored), *(path.read_bytes().decode("latin-1") for path in stored)):
        assert "C4nary" not in text, text[:2000]
