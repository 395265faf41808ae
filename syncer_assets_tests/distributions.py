"""Id distributions as tables have them, each made from a seed that a failure can name.

The fixed-range loop, which they are held against, is `id > last AND id <= last + chunk` from the first id to the
ceiling, with a file for each range that has rows.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

HIGHEST = 2**63 - 1
HIGHEST_UNSIGNED = 2**64 - 1


@dataclass(frozen=True)
class Distribution:
    """Sorted, distinct ids. `unsigned` ids need a BIGINT UNSIGNED."""

    seed: str
    kind: str
    ids: tuple[int, ...]
    chunk: int

    @property
    def unsigned(self) -> bool:
        return self.ids[-1] > HIGHEST

    @property
    def span(self) -> int:
        return self.ids[-1] - self.ids[0] + 1

    @property
    def fill(self) -> float:
        """Rows an id: what `efficiency_threshold` is about."""
        return len(self.ids) / self.span

    @property
    def fixed_queries(self) -> int:
        """What the fixed-range loop asks."""
        return -(-self.span // self.chunk)

    @property
    def fixed_files(self) -> int:
        """What the fixed-range loop writes."""
        return len({(id_ - self.ids[0]) // self.chunk for id_ in self.ids})


def distributions(
    count: int, chunk: int = 50, name: str = "ids", kinds: Sequence[str] | None = None
) -> Iterator[Distribution]:
    """So many distributions, of every kind in turn or of these, sized for chunks of `chunk` rows."""
    kinds = kinds or list(KINDS)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        seed = f"{name}-{kind}-{number}"
        ids = KINDS[kind](Random(seed), chunk)
        yield Distribution(seed, kind, tuple(sorted(ids)), chunk)


def _dense(random: Random, chunk: int) -> set[int]:
    start = random.randint(1, 10**6)
    return set(range(start, start + random.randint(1, 8 * chunk)))


def _nearly_dense(random: Random, chunk: int) -> set[int]:
    span, fill = random.randint(2 * chunk, 12 * chunk), random.uniform(0.5, 0.95)
    return _some(random, 1, span, fill)


def _sparse(random: Random, chunk: int) -> set[int]:
    span, fill = random.randint(20 * chunk, 400 * chunk), random.uniform(0.001, 0.05)
    return _some(random, 1, span, fill)


def _every_nth(random: Random, chunk: int) -> set[int]:
    step = random.randint(25, 400)
    return {step * number for number in range(1, random.randint(chunk, 8 * chunk))}


def _clustered(random: Random, chunk: int) -> set[int]:
    starts = [random.randint(1, 2_000 * chunk) for _ in range(random.randint(2, 6))]
    return {start + offset for start in starts for offset in range(random.randint(1, chunk))}


def _island(random: Random, chunk: int) -> set[int]:
    far = random.choice([10**6, 10**9, 10**12]) * chunk
    return {*range(1, random.randint(2, 2 * chunk)), *range(far, far + random.randint(1, 3 * chunk))}


def _empty_start(random: Random, chunk: int) -> set[int]:
    begin = random.randint(3, 40) * chunk
    return {1, *range(begin, begin + random.randint(chunk, 6 * chunk))}


def _negative(random: Random, chunk: int) -> set[int]:
    return _some(random, -random.randint(1, 20) * chunk, random.randint(1, 20) * chunk, random.uniform(0.01, 1.0))


def _highest(random: Random, chunk: int) -> set[int]:
    span = random.randint(1, 30) * chunk
    return {HIGHEST, *_some(random, HIGHEST - span, HIGHEST, random.uniform(0.01, 1.0))}


def _highest_unsigned(random: Random, chunk: int) -> set[int]:
    span = random.randint(1, 30) * chunk
    return {HIGHEST_UNSIGNED, *_some(random, HIGHEST_UNSIGNED - span, HIGHEST_UNSIGNED, random.uniform(0.01, 1.0))}


def _both_ends(random: Random, chunk: int) -> set[int]:
    some = {random.randint(-chunk, chunk) for _ in range(random.randint(1, chunk))}
    return {-(2**63), -(2**63) + 1, *some, HIGHEST - 1, HIGHEST}


def _one_row(random: Random, chunk: int) -> set[int]:
    return {random.randint(-(10**9), 10**9)}


def _some(random: Random, low: int, high: int, fill: float) -> set[int]:
    """About a share `fill` of the ids from `low` to `high`, one at least."""
    wanted = max(1, int((high - low + 1) * fill))
    return {random.randint(low, high) for _ in range(wanted)} if fill < 0.5 else _most(random, low, high, fill)


def _most(random: Random, low: int, high: int, fill: float) -> set[int]:
    return {id_ for id_ in range(low, high + 1) if random.random() < fill} or {low}


KINDS: dict[str, Callable[[Random, int], set[int]]] = {
    "dense": _dense,
    "nearly dense": _nearly_dense,
    "sparse": _sparse,
    "every nth": _every_nth,
    "clustered": _clustered,
    "one island far away": _island,
    "first chunk nearly empty": _empty_start,
    "negative": _negative,
    "near 2^63": _highest,
    "near 2^64": _highest_unsigned,
    "at both ends": _both_ends,
    "one row": _one_row,
}
DENSE = ("dense", "nearly dense")
SPARSE = ("sparse", "every nth", "clustered", "one island far away", "at both ends")
"""Kinds that are sparse, or dense, whatever their seed; the others may be either."""
