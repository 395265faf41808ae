"""The pages of the documentation, and what stands in them: fenced blocks and links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PAGES = sorted([*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md"), *(CHECKOUT / "deploy").rglob("*.md")])

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block, and where it stands."""

    page: str
    line: int
    heading: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def name_of(page: Path) -> str:
    """A page as people know it: `docs/status.md`."""
    return page.relative_to(CHECKOUT).as_posix()


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, with the heading above each."""
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        before = _FENCE.sub("", text[: found.start()])  # comments in blocks look like headings
        headings = _HEADING.findall(before)
        yield Block(
            name_of(page), text.count("\n", 0, found.start()) + 1, headings[-1] if headings else "", *found.group(2, 3)
        )


def links(page: Path) -> Iterator[tuple[str, str]]:
    """The links to files of ours: path (empty: this page) and anchor."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in _LINK.findall(text):
        if not re.match(r"[a-z]+:", link):
            path, _, anchor = link.partition("#")
            yield path, anchor


def anchors(page: Path) -> set[str]:
    """What a link to a heading of the page may name, by GitHub's rule."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in _HEADING.findall(text)}
