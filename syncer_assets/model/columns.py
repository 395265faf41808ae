"""Columns as the lake and the warehouse see them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column of a manifest: its Arrow type in the lake and the type it has in its database.

    `source_type` is spelt as the source's catalogue spells it (`numeric(12,2)`); `portable` says that another
    database of the same engine knows that type by that name (no enum, domain or extension type). `transform` says that
    the lake does not have the value as it was: the rule of `columns` that hides it (`hash:<fingerprint of the key>`,
    `truncate:4`, `mask:..`), or `lossy` where `allow_lossy` named it.
    """

    name: str
    type: str
    source_type: str
    nullable: bool = True
    portable: bool = True
    transform: str | None = None

    @property
    def hidden(self) -> bool:
        """True if a rule of `columns` keeps the value back, so that it cannot be compared with the source's."""
        return self.transform not in (None, "lossy")

    def to_json(self) -> dict[str, object]:
        """The manifest's form."""
        row: dict[str, object] = {"name": self.name, "type": self.type, "source_type": self.source_type}
        if not self.nullable:
            row["nullable"] = False
        if not self.portable:
            row["portable"] = False
        if self.transform:
            row["transform"] = self.transform
        return row

    @classmethod
    def from_json(cls, row: dict[str, object]) -> "Column":
        """The inverse of `to_json`."""
        return cls(
            name=str(row["name"]),
            type=str(row["type"]),
            source_type=str(row["source_type"]),
            nullable=bool(row.get("nullable", True)),
            portable=bool(row.get("portable", True)),
            transform=str(row["transform"]) if row.get("transform") else None,
        )
