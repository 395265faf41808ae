"""The reference is what the code says today."""

from syncer_assets_tests.docs.reference import PAGE, reference


def test_the_reference_is_current() -> None:
    """Made anew by `python -m syncer_assets_tests.docs.reference`."""
    assert PAGE.read_text(encoding="utf-8") == reference()


def test_every_field_and_option_is_explained() -> None:
    unexplained = [line for line in reference().splitlines() if line.startswith("| `") and line.endswith("|  |")]
    assert unexplained == []
