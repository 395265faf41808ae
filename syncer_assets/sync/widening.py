"""Which columns of older manifests may be read as the newest one has them: those of which no value becomes another one.

What a source makes of values when the type of a column is altered is its own affair (a time zone, a rounding, a text),
and is not repeated here.
"""

from collections.abc import Sequence

import pyarrow as pa

from ..model.columns import Column
from ..model.errors import SchemaChanged
from ..model.manifest import Manifest
from ..sources.arrow import arrow_type

BITS = {8: 3, 16: 5, 32: 10, 64: 20}
"""Decimal digits that hold every integer of so many bits."""


def check_columns(columns: Sequence[Column], manifests: Sequence[Manifest]) -> None:
    """Raises SchemaChanged where rows of one of these manifests may not become what `columns` are."""
    newest = {column.name: column for column in columns}
    for manifest in manifests:
        for column in manifest.columns:
            into = newest[column.name]
            if not holds(arrow_type(into.type), arrow_type(column.type)):
                raise SchemaChanged(
                    f"column {column.name!r} was {column.type} ({column.source_type}) in manifest {manifest.seq}, which"
                    f" is not loaded yet, and is {into.type} ({into.source_type}) by now",
                    table=manifest.table,
                    partition=manifest.partition,
                    fix="read the table anew with `syncer run --full`",
                )


def holds(wide: pa.DataType, narrow: pa.DataType) -> bool:
    """Whether every value of `narrow` is one of `wide`, and the same."""
    if wide == narrow:
        return True
    if pa.types.is_integer(narrow):
        if pa.types.is_decimal(wide):
            return wide.precision - wide.scale >= BITS[narrow.bit_width]
        signed = pa.types.is_signed_integer(narrow)
        same_sign = pa.types.is_integer(wide) and pa.types.is_signed_integer(wide) == signed
        return (same_sign or (pa.types.is_signed_integer(wide) and not signed)) and wide.bit_width > narrow.bit_width
    if pa.types.is_decimal(narrow) and pa.types.is_decimal(wide):
        return wide.scale >= narrow.scale and wide.precision - wide.scale >= narrow.precision - narrow.scale
    if pa.types.is_floating(narrow):
        return pa.types.is_floating(wide) and wide.bit_width > narrow.bit_width
    texts = (pa.types.is_string, pa.types.is_large_string), (pa.types.is_binary, pa.types.is_large_binary)
    return any(any(is_(wide) for is_ in pair) and any(is_(narrow) for is_ in pair) for pair in texts)
