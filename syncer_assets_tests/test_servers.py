"""The stand-ins are as strict as the promises that are tested on them."""

from concurrent.futures import ThreadPoolExecutor

import obstore
import pytest
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store, from_url

from syncer_assets_tests import servers
from syncer_assets_tests.servers import Bucket, Database, free_ports, poll


@pytest.mark.server
def test_one_of_many_writers_of_an_object_wins(s3: Bucket) -> None:
    def wins(writer: int) -> bool:
        try:
            obstore.put(s3.store, "manifest", str(writer).encode(), mode="create")
        except AlreadyExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        winners = [writer for writer, won in enumerate(pool.map(wins, range(8))) if won]
    assert [bytes(obstore.get(s3.store, "manifest").bytes()).decode()] == [str(winner) for winner in winners]


@pytest.mark.server
def test_the_environment_suffices_to_reach_a_bucket(s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    obstore.put(from_url(f"{s3.url}/lake"), "object", b"1")
    assert [found["path"] for found in obstore.list(s3.store).collect()] == ["lake/object"]


@pytest.mark.server
def test_a_wrong_secret_is_refused(s3: Bucket) -> None:
    stranger = S3Store(
        s3.name,
        endpoint=s3.endpoint,
        access_key_id=s3.access_key,
        secret_access_key="wrong",
        region="us-east-1",
        client_options={"allow_http": True},
    )
    with pytest.raises(BaseError, match="403"):
        obstore.put(stranger, "object", b"1")


def test_each_database_is_of_its_own_and_empty(database: Database, source_db: Database, warehouse_db: Database) -> None:
    assert len({database.dsn, source_db.dsn, warehouse_db.dsn}) == 3
    database.execute("CREATE TABLE one (id int); INSERT INTO one VALUES (1)")
    assert database.scalar("SELECT id FROM one WHERE id = %s", [1]) == 1
    assert source_db.scalar("SELECT to_regclass('one')") is None


def test_poll_gives_up_at_its_deadline() -> None:
    with pytest.raises(TimeoutError, match="was still False after 0"):
        poll(lambda: False, deadline_seconds=0)


def test_a_port_is_given_once_though_nobody_listens_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """To this process or another: what holds it is a name that the kernel gives once."""
    [given] = free_ports(1)
    monkeypatch.setattr(servers, "_UNTRIED", [*servers._UNTRIED[:50], given])
    [another] = free_ports(1)
    assert another != given and given not in servers._UNTRIED, "it was tried"
