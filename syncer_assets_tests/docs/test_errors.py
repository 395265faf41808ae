"""The page of errors is what the code says today."""

from syncer_assets_tests.docs.errors import PAGE, page


def test_the_page_of_errors_is_current() -> None:
    """Made anew by `python -m syncer_assets_tests.docs.errors`."""
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(text)
