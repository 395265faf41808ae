"""Arrow types by the names that manifests use."""

import re
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from ..model.columns import Column

_DECIMAL = re.compile(r"decimal(128|256)\((\d+), (\d+)\)")
_NAMED = {
    "float": pa.float32(),
    "double": pa.float64(),
    "timestamp[us]": pa.timestamp("us"),
    "timestamp[us, tz=UTC]": pa.timestamp("us", "UTC"),
    "time64[us]": pa.time64("us"),
    "date32[day]": pa.date32(),
}


def arrow_type(name: str) -> pa.DataType:
    """The type that `str(type)` named so."""
    if match := _DECIMAL.fullmatch(name):
        make = pa.decimal128 if match[1] == "128" else pa.decimal256
        return make(int(match[2]), int(match[3]))
    return _NAMED[name] if name in _NAMED else pa.type_for_alias(name)


def arrow_schema(columns: Iterable[Column]) -> pa.Schema:
    """The schema of a lake file with these columns."""
    return pa.schema([pa.field(column.name, arrow_type(column.type)) for column in columns])


def apply(function: str, *arguments: pa.Array | pa.Scalar) -> pa.Array:
    """A compute function by name: pyarrow makes them at run time, where no type checker sees them."""
    return pc.call_function(function, list(arguments))
