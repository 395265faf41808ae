"""Markdown and the page: well formed, self-contained, and telling what the figures say."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from syncer_assets.sync.report.markdown import markdown
from syncer_assets.sync.report.page import page
from syncer_assets.sync.report.plot import Series, plot, short
from syncer_assets.sync.report.report import make_report
from syncer_assets_tests.sync.report.samples import at, fast, history, load, slow, sync

VOID = {"meta", "br", "link", "img", "input", "hr"}
HOSTILE = 'shop.a|b<script>alert("1")</script>`_*'


class Page(HTMLParser):
    """Reads a page strictly: every tag is closed in order; `loads` are addresses that a browser would fetch."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.loads: list[str] = []
        self.text: list[str] = []
        self.dots: list[tuple[float, float]] = []
        self.feed(text)
        self.close()
        assert not self.open, f"{self.open} is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.loads += [str(value) for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        if tag == "circle":
            found = dict(attrs)
            self.dots.append((float(str(found["cx"])), float(str(found["cy"]))))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes what is not open"

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def many(count: int) -> list:
    return [sync(number / 10, 100 + number, seconds=1.0, queries=1) for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, 2, 300, 2000])
def test_a_page_is_well_formed_and_loads_nothing(count: int) -> None:
    found = make_report([history(many(count), [])], at(400), "lake-1")
    text = page(found)
    read = Page(text)
    assert not read.loads
    assert "script" not in read.seen
    assert not re.search(r"https?:|@import|url\(", text)
    assert ("svg" in read.seen) == (count > 0)
    assert len(text) < 1_000_000


def test_names_are_text_whatever_they_hold() -> None:
    found = make_report([history([sync(0, 1), sync(1, 1)], [], table=HOSTILE, error="it <b>failed</b>")], at(2), None)
    read = Page(page(found))
    assert "script" not in read.seen
    assert any(HOSTILE in text for text in read.text)
    lines = markdown(found).splitlines()
    assert not any("<script" in line.replace("\\<", "") for line in lines)
    rows = [line for line in lines if line.startswith("| shop.a")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {10, 12}, "a cell more than the header has"


def test_markdown_tells_the_figures_and_the_comparison() -> None:
    from syncer_assets.sync.report.baseline import Baseline, BaselineTable
    from syncer_assets.sync.report.figures import figures

    before = slow()
    tables = {(before.table, before.target): BaselineTable(figures(before.syncs, before.loads), {})}
    found = make_report([fast()], at(3), None, baseline=Baseline(at(1), None, tables))
    text = markdown(found)
    assert "Since the baseline of 2024-05-02 12:00 UTC, until 2024-05-04 12:00 UTC." in text
    assert "| shop.orders | 20,000 | 1.9 | 1 | 2 | 5.0 | 4,000 | 200 | - |" in text
    assert "| shop.orders | 4.00x | 2.00x | 2.00x | 18 | 3 | 3 |" in text
    assert "baseline: 1k" in page(found)


def test_a_long_history_is_cut_to_its_end_and_says_so() -> None:
    table = history([sync(number, 1, f"{number:02}") for number in range(40)], [])
    text = markdown(make_report([table], at(50), None))
    assert "The last 12 of 40." in text
    assert "| 39 |" in text and "| 27 |" not in text


def test_the_sum_of_all_is_there_where_there_are_several() -> None:
    one, other = slow(), replace(slow(), table="shop.items")
    assert "| all | 20,000 |" in markdown(make_report([one, other], at(3), None))
    assert "| all |" not in markdown(make_report([one], at(3), None))


def test_points_lie_where_their_values_are() -> None:
    """From 0 at the bottom to 10 at the top; from the first time at the left to the last at the right."""
    drawn = plot("rows", [Series("lake", "lake", [(at(0), 0.0), (at(1), 5.0), (at(4), 10.0)])])
    (x0, y0), (x1, y1), (x2, y2) = Page(drawn).dots
    assert y0 > y1 > y2
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
    assert (x1 - x0) * 3 == pytest.approx(x2 - x1, abs=0.4)


def test_one_point_and_none() -> None:
    assert plot("rows", [Series("lake", "lake", [])]) == ""
    assert len(Page(plot("rows", [Series("lake", "lake", [(at(0), 0.0)])])).dots) == 1


def test_numbers_on_an_axis_are_short() -> None:
    values = (0, 0.25, 12, 999, 1500, 2e6, 5e9)
    assert [short(value) for value in values] == ["0", "0.25", "12", "999", "1.5k", "2M", "5G"]


def test_a_table_without_its_warehouse_says_so() -> None:
    found = make_report([history([sync(0, 1)], [load(0, 1)], error="it does not answer")], at(1), None)
    assert "Without the warehouse: it does not answer" in markdown(found)
    assert "Without the warehouse: it does not answer" in page(found)
