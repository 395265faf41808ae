"""The YAML of which columns leave the source, and how."""

from typing import Annotated

import dagster as dg
import pydantic
from pydantic import Field

from ..model.table import ColumnRules, MaskRule
from .fields import EnvironmentName, PositiveInt


class MaskEntry(dg.Resolvable, dg.Model):
    """What is written in place of a text: a text alone, or this block."""

    text: str = Field(default=MaskRule.text, description="The text that is written.")
    keep_last: PositiveInt | None = Field(
        default=None, description="Characters of the value's end that follow it, unless they are the whole value."
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        """`"***"` and `{text: "***"}` mean the same."""
        if not isinstance(value, str | dict | MaskEntry):
            raise ValueError('a mask is a text or a block: write "***" or {text: "***", keep_last: 4}')
        return {"text": value} if isinstance(value, str) else value

    def to_rule(self) -> MaskRule:
        return MaskRule(self.text, self.keep_last or 0)


MaskField = Annotated[MaskEntry, dg.Resolver.default(model_field_type=str | MaskEntry.model())]
"""Dagster takes a union by its own means, but not within a dictionary."""


class ColumnsEntry(dg.Resolvable, dg.Model):
    """Which columns leave the source, and how."""

    include: list[str] = Field(default=[], description="Only these columns; all if it is empty.")
    exclude: list[str] = Field(default=[], description="Not these columns.")
    hash: list[str] = Field(
        default=[], description="Columns replaced by a keyed HMAC-SHA256 before anything is written."
    )
    truncate: dict[str, PositiveInt] = Field(
        default={}, description="Text columns of which only so many first characters are written: {phone: 4}."
    )
    mask: dict[str, MaskField] = Field(
        default={}, description='Text columns replaced by a text: {name: "***", iban: {keep_last: 4}}.'
    )
    hash_key_env: EnvironmentName = Field(
        default=ColumnRules.hash_key_env, description="The NAME of the environment variable that holds the HMAC key."
    )

    def to_rules(self) -> ColumnRules:
        """The engine's form."""
        return ColumnRules(
            include=tuple(self.include),
            exclude=tuple(self.exclude),
            hash=tuple(self.hash),
            hash_key_env=self.hash_key_env,
            truncate=tuple(self.truncate.items()),
            mask=tuple((name, rule.to_rule()) for name, rule in self.mask.items()),
        )
