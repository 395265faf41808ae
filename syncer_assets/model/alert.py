"""An alert: something that a person should look at, as all channels tell it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Alert:
    """`key` says which trouble it is: while that goes on it is told once in a while, not at every turn of it."""

    key: str
    title: str
    table: str
    partition: str | None
    cause: str
    command: str
    page: str | None = None

    @property
    def text(self) -> str:
        """What a person reads: what, where, why, and where to go on."""
        where = f"{self.table}, partition {self.partition}" if self.partition else self.table
        lines = [f"{self.title}: {where}", f"cause: {self.cause}", f"next: {self.command}", self.page or ""]
        return "\n".join(line for line in lines if line)
