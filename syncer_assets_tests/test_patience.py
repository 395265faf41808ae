"""What makes a test red on a busy machine, or at midnight, though nothing is wrong."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent
LEAST_SECONDS = 60
CLOCKS = {"datetime.now", "datetime.utcnow", "date.today", "time.time"}


@cache
def modules() -> tuple[tuple[str, ast.Module], ...]:
    """Those that name `poll` or a clock."""
    texts = ((str(path.relative_to(TESTS)), path.read_text()) for path in sorted(TESTS.rglob("*.py")))
    return tuple(
        (name, ast.parse(text)) for name, text in texts if any(f"{word}(" in text for word in {"poll", *CLOCKS})
    )


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Each call, by the name of what is called as it is written."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield ast.unparse(node.func), node


def test_nobody_waits_for_less_than_a_minute() -> None:
    """`poll` returns as soon as it can: a longer deadline costs nothing where all is well."""
    hasty = []
    for module, tree in modules():
        for name, call in calls(tree):
            named = [word.value for word in call.keywords if word.arg == "deadline_seconds"]
            for deadline in [*call.args[1:2], *named] if name == "poll" else []:
                seconds = deadline.value if isinstance(deadline, ast.Constant) else None
                if isinstance(seconds, int | float) and 0 < seconds < LEAST_SECONDS:
                    hasty.append(f"{module}:{call.lineno}")
    assert hasty == []


def test_no_module_remembers_the_day_of_its_import() -> None:
    """Its tests run up to half an hour later, which may be another day, month or year."""
    found = []
    for module, tree in modules():
        for statement in tree.body:
            if isinstance(statement, ast.Assign | ast.AnnAssign | ast.Expr):
                found += [f"{module}:{call.lineno}" for name, call in calls(statement) if name in CLOCKS]
    assert found == []
