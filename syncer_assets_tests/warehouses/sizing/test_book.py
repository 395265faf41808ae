"""What is written down of a size is read whoever opened the page."""

from collections.abc import Sequence

from syncer_assets.model.sizing import Size
from syncer_assets.warehouses.sizing.book import Page


class FakeStatements:
    """A transaction that answers every question with these rows."""

    def __init__(self, rows: list[tuple]):
        self._rows = rows

    def execute(self, statement: str, values: Sequence[object] = ()) -> int:
        return len(self._rows)

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[tuple]:
        return self._rows


def test_the_size_found_is_read_beside_the_empty_row_of_one_that_opened_the_page_later() -> None:
    for rows in ([(None, None), ("X-Small", 8)], [("X-Small", 8), (None, None)]):
        assert Page(FakeStatements(rows), "w").found() == Size("X-Small", 8)
    assert Page(FakeStatements([(None, None), (None, None)]), "w").found() is None
