"""What the engine emits to in a fault test: it notes the events, and strikes once at one of them."""

from collections.abc import Callable
from dataclasses import dataclass, field

from syncer_assets_tests.faults import record


@dataclass
class Strike:
    """Does `what` at the n-th event `at`, once."""

    at: str
    what: Callable[[], object]
    nth: int = 1
    struck: bool = False
    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def __call__(self, event: str, **fields: object) -> None:
        self.events.append((event, fields))
        if not self.struck and event == self.at and len(self.told(event)) == self.nth:
            self.struck = True
            record.struck()
            self.what()

    def told(self, event: str) -> list[dict[str, object]]:
        """The fields of each event of a name, so far."""
        return [fields for name, fields in self.events if name == event]
