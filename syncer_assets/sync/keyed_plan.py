"""Batches of a keyed update: prefixes by their measured sizes, split where they are large, joined where small."""

from collections.abc import Callable, Iterable, Sequence

from ..model.keyed_update import Batch, BatchSettings, Prefix

Measure = Callable[[int, Sequence[Prefix] | None], list[Prefix]]
"""`measure(length, within)`: how many rows each prefix of that length has, of all rows or of those of `within`."""


def plan_batches(
    measured: Iterable[Prefix], measure: Measure, settings: BatchSettings, longest: int | None = None
) -> list[Batch]:
    """Each measured row in exactly one batch; no batch has more than `settings.rows` rows, but for a prefix that cannot
    be split: one of the longest length, or a value that is no longer than its prefix.

    Asks `measure` once for each length that something has to be split to."""
    fitting, large = _sorted_out(measured, settings)
    most = max(longest or settings.longest, max((prefix.length for prefix in large), default=0))
    while large:
        length = max(prefix.length for prefix in large) + 1
        if length > most:
            fitting += large
            break
        parts = measure(length, large)
        whole = [prefix for prefix in parts if len(prefix.text) < length]  # a value that ends here
        ready, large = _sorted_out((prefix for prefix in parts if len(prefix.text) == length), settings)
        fitting += [*whole, *ready]
    return _joined(sorted(fitting, key=lambda prefix: (prefix.length, prefix.text)), settings.rows)


def _sorted_out(prefixes: Iterable[Prefix], settings: BatchSettings) -> tuple[list[Prefix], list[Prefix]]:
    """Those that fit a batch, and those that are too large and may be split."""
    fitting: list[Prefix] = []
    large: list[Prefix] = []
    for prefix in prefixes:
        can_split = len(prefix.text) == prefix.length
        (large if prefix.rows > settings.rows and can_split else fitting).append(prefix)
    return fitting, large


def _joined(prefixes: Sequence[Prefix], most: int) -> list[Batch]:
    """Neighbours of one length together, until a batch is full."""
    batches: list[list[Prefix]] = []
    rows = 0
    for prefix in prefixes:
        if batches and batches[-1][-1].length == prefix.length and rows + prefix.rows <= most:
            batches[-1].append(prefix)
            rows += prefix.rows
        else:
            batches.append([prefix])
            rows = prefix.rows
    return [Batch(number, tuple(group)) for number, group in enumerate(batches, 1)]
