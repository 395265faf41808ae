"""Every command of the documentation is run, page by page, on a demo shop of its own; or it says here why it is not.

Where a page tells what to do after a loss, the loss happens first (`losses`), and both sides are equal afterwards.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer_assets.demo.server import EmbeddedPostgres
from syncer_assets.demo.shop import fill
from syncer_assets_tests.docs.losses import LOSSES
from syncer_assets_tests.docs.pages import CHECKOUT, PAGES, Block, blocks, name_of
from syncer_assets_tests.docs.shell import Shell, statements
from syncer_assets_tests.docs.site import DEFS, Site, copy_of
from syncer_assets_tests.servers import Database

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PAGES_NOT_RUN = {
    "docs/deploy.md": "makes a system user and units of systemd; deploy/test_production.py runs what it installs",
    "docs/scale-out.md": "needs a broker and workers; scale/ runs the same set-up",
}
LINES_NOT_RUN = {
    r"export (SHOP|ANALYTICS)_DSN=.*": "the databases here are the test's own",
    r"\.venv/bin/python -m syncer_assets_tests\.docs\.reference": "test_reference calls it",
}
PLACES = {"s3://my-bucket/lake": "file://./lake"}
"""What stands for a place that the test does not have."""

OF_MAKE = re.compile(r"^(?:\w+=\S+ )*make\s+(.*)$")
BEGIN_WITHOUT_DEFINITIONS = {"README.md", "docs/quick-start.md"}
SCALE = 0.002
THREE_MONTHS = "UPDATE orders SET updated_at = timestamptz '2024-01-05 00:00+00' + interval '80 days' * id / 2000"
"""A partition costs a second; the demo's orders fill three years of them."""

WITH_COMMANDS = [page for page in PAGES if any(block.language == "sh" for block in blocks(page))]


@pytest.fixture(scope="module")
def shop(postgres: EmbeddedPostgres) -> Iterator[Database]:
    """Filled once; a page gets a copy."""
    database = Database.create(postgres, "shop")
    fill(database.admin_dsn, scale=SCALE)
    database.execute(THREE_MONTHS)
    yield database
    database.drop()


@pytest.fixture
def site(shop: Database, warehouse_db: Database, tmp_path: Path) -> Iterator[Site]:
    source = copy_of(shop, "source")
    env = {
        "SHOP_DSN": source.dsn,
        "ANALYTICS_DSN": warehouse_db.dsn,
        "FINANCE_DSN": warehouse_db.dsn,
        "SYNCER_HASH_KEY": "a key for the tests of the docs",
        "SYNCER_DEFS": str(tmp_path / "my_defs"),
    }
    yield Site(tmp_path, source, warehouse_db, Shell(tmp_path, env))
    source.drop()


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name_of)
def test_the_commands_of_a_page_do_what_it_says(page: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    if name_of(page) in PAGES_NOT_RUN:
        pytest.skip(PAGES_NOT_RUN[name_of(page)])
    if name_of(page) not in BEGIN_WITHOUT_DEFINITIONS:
        for path, text in DEFS.items():
            (site.folder / "my_defs" / path).parent.mkdir(parents=True)
            (site.folder / "my_defs" / path).write_text(text)
    seen: dict[str, int] = {}
    done: set[str] = set()
    for block in blocks(page):
        if block.language == "sh":
            number = seen[block.heading] = seen.get(block.heading, 0) + 1
            loss = LOSSES.get((name_of(page), block.heading, number))
            if loss:
                loss.strike(site, monkeypatch)
            for statement in statements(block.text):
                if loss or statement not in done:  # once is enough, unless it is to mend something
                    _run(block, statement, site.shell, monkeypatch)
                done.add(statement)
            if loss:
                site.assert_equal(f"after {block}")


def test_losses_belong_to_headings_that_are_there() -> None:
    there = {(block.page, block.heading) for page in WITH_COMMANDS for block in blocks(page)}
    assert {(page, heading) for page, heading, _ in LOSSES} <= there


def _run(block: Block, statement: str, shell: Shell, patch: pytest.MonkeyPatch) -> None:
    if any(re.fullmatch(pattern, statement.strip()) for pattern in LINES_NOT_RUN):
        return
    if made := OF_MAKE.match(statement.strip()):
        _assert_target(block, made[1])
        return
    for place, ours in PLACES.items():
        statement = statement.replace(place, ours)
    try:
        shell.run(statement, patch)
    except AssertionError as error:
        raise AssertionError(f"{block}: {error}") from None


def _assert_target(block: Block, arguments: str) -> None:
    """What `make` is told to make exists; the targets themselves are run elsewhere, and take minutes."""
    asked = [
        word for word in shlex.split(arguments.split("&&")[0], comments=True) if word[0] != "-" and "=" not in word
    ]
    known = re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
    assert set(asked) <= set(known), f"{block}: make {arguments}: known are {', '.join(known)}"
