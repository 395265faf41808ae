"""Whatever the order in which files come, change and are loaded: of each id the newest file's last line is there."""

import random
from typing import Any

import pytest

from syncer_assets_tests.files.rig import Files

IDS, FILES, STEPS = 5, 5, 14
ROUNDS_MOST = 30


class Model:
    """What the files say, by their present content."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[tuple[float, str], list[dict[str, Any]]]] = {}

    def put(self, path: str, modified: float, documents: list[dict[str, Any]], *, by_path: bool) -> None:
        self.files[path] = ((0 if by_path else modified, path), documents)

    def rows(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for _, documents in sorted(self.files.values(), key=lambda file: file[0]):
            found |= {str(document["id"]): document for document in documents}
        return found


@pytest.mark.parametrize("newest", ["modified", "path"])
@pytest.mark.parametrize("seed", range(8))
def test_the_newest_file_wins_in_whatever_order_files_come_and_change(files: Files, seed: int, newest: str) -> None:
    chance, model = random.Random(seed), Model()
    files.change(newest=newest, files_per_load=chance.choice([1, 2, 100]))
    for _ in range(STEPS):
        path = f"{chance.randrange(FILES)}.jsonl"
        modified = 1_700_000_000 + chance.randrange(1000)
        ids = [chance.randrange(IDS) for _ in range(chance.randrange(6))]
        documents = [{"id": i, "value": chance.randrange(2)} for i in ids]
        files.put(path, documents, modified)
        model.put(path, (files.folder / path).stat().st_mtime_ns, documents, by_path=newest == "path")
        if chance.random() < 0.6:
            files.load()
    for _ in range(ROUNDS_MOST):
        files.load()
        if not files.pending():
            break
    assert not files.pending()
    assert files.rows() == model.rows()
    ledger = files.ledger()
    assert {path: lines[0] for path, lines in ledger.items()} == {p: len(d) for p, (_, d) in model.files.items()}


X, Y, Z = ({"id": 1, "value": value} for value in "xyz")

HISTORIES = {
    "late, between two that say the same": ([("a", 1, X)], [("b", 3, X)], [("c", 2, Y)]),
    "changed, below one that said the same": ([("a", 1, X)], [("b", 3, X)], [("a", 2, Y)]),
    "the winner loses its row": ([("a", 1, X)], [("b", 2, Y)], [("b", 3, None)]),
    "the winner's winner loses its row": ([("a", 1, X)], [("b", 2, Y)], [("c", 3, Z)], [("c", 4, None)]),
    "the owner loses its row, another said the same": ([("a", 1, X)], [("b", 2, X)], [("a", 3, None)]),
    "owner and heir change at once": ([("a", 1, X)], [("a", 3, None), ("b", 2, X)], [("a", 4, Y)], [("a", 5, None)]),
    "the heir is older than the owner that lost it": ([("a", 1, X)], [("a", 9, None), ("b", 2, X)], [("c", 5, Y)]),
    "restored with an older time": ([("a", 5, X)], [("b", 4, Y)], [("a", 3, X)]),
    "restored, in one load with another": ([("a", 5, X)], [("a", 1, None), ("b", 2, Y)]),
    "late and old": ([("a", 5, X)], [("b", 1, Y)]),
}
"""Loads, each of some files: name, time, and the document that it holds, if any."""


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_histories_that_have_to_end_with_the_newest_document(
    files: Files, history: tuple[list[tuple[str, int, dict[str, Any] | None]], ...]
) -> None:
    model = Model()
    for loads in history:
        for name, time, document in loads:
            documents = [document] if document else []
            files.put(f"{name}.jsonl", [*documents, {"id": f"own {name}"}], 1_700_000_000 + time)
            model.put(f"{name}.jsonl", time, [*documents, {"id": f"own {name}"}], by_path=False)
        files.load()
        assert files.rows() == model.rows()
        assert not files.pending()
