"""Every link of the documentation leads somewhere, and every page is found from the index."""

import re
from pathlib import Path

import pytest
import yaml

from syncer_assets_tests.docs.pages import CHECKOUT, PAGES, anchors, links, name_of

OTHER_FOLDERS = {"deploy/", "syncer_assets_tests/"}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in links(page):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name_of(page)} links to {path}, which is not there"
        if anchor:
            assert anchor in anchors(target), f"{name_of(page)} links to {path}#{anchor}, and there is no such heading"


@pytest.mark.parametrize(
    ("name", "least"),
    [("README.md", 8), ("docs/promises.md", 15), ("docs/reliability.md", 15), ("docs/scale-out.md", 2)],
)
def test_the_tests_that_a_promise_names_are_there(name: str, least: int) -> None:
    text = (CHECKOUT / name).read_text(encoding="utf-8")
    named = {path for path in re.findall(r"`([a-z_*]+/[a-z_*/]*(?:\.py)?)`", text) if path not in OTHER_FOLDERS}
    assert len(named) >= least
    for path in sorted(named):
        assert list((CHECKOUT / "syncer_assets_tests").glob(path)), f"{name} names {path}, which is not there"


def test_the_hooks_before_a_commit_are_local_and_as_strict_as_lint() -> None:
    config = yaml.safe_load((CHECKOUT / ".pre-commit-config.yaml").read_text())
    assert {repository["repo"] for repository in config["repos"]} == {"local"}
    entries = [hook["entry"] for repository in config["repos"] for hook in repository["hooks"]]
    for program in ("ruff check", "ruff format --check", "pyright"):
        assert any(program in entry for entry in entries), program


def test_every_page_is_linked_from_another() -> None:
    linked = {(page.parent / path).resolve() for page in PAGES for path, _ in links(page) if path}
    missing = {name_of(page) for page in (CHECKOUT / "docs").rglob("*.md") if page not in linked}
    assert not missing
