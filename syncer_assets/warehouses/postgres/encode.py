"""Arrow columns as PostgreSQL's binary COPY wants them, through pgpq.

Timestamps and dates go as the integers that their wire format is (microseconds and days since 2000), which carries
infinity and years before Christ; pgpq's own encoders of them do not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pgpq
import pyarrow as pa
import pyarrow.compute as pc
from pgpq.encoders import StringEncoderBuilder
from pgpq.schema import Jsonb

from . import types

Convert = Callable[[pa.Array], pa.Array]

EPOCH_MICROSECONDS = 946_684_800_000_000
EPOCH_DAYS = 10_957
TEXT_WIRE = frozenset({"text", "character varying", "character", "json", "name"})
INTEGERS = {"smallint": pa.int16(), "integer": pa.int32(), "bigint": pa.int64()}


@dataclass(frozen=True)
class Wire:
    """How a column travels: the staging column's type, the Arrow type that pgpq gets, and the way there.

    `type` equals the target's type unless the server has to cast what pgpq cannot write.
    """

    name: str
    type: str
    target: str
    arrow: pa.DataType
    convert: Convert
    jsonb: bool = False

    @property
    def cast(self) -> bool:
        """Whether the staging column has to be cast to the target's type."""
        return self.type != self.target


def wire(name: str, arrow: str, target: str) -> Wire:
    """The way of a lake column of Arrow type `arrow` into a target column of type `target`."""
    lake, natural = types.arrow_type(arrow), types.natural_type(arrow, name)
    into = types.parse(target)
    base = into.base if into and not into.dims else None
    if base == "uuid" and natural == "text":
        return Wire(name, target, target, pa.binary(16), _uuid)
    if base == "jsonb" and natural == "text":
        return Wire(name, target, target, pa.string(), _cast(pa.string()), jsonb=True)
    if base in INTEGERS and pa.types.is_integer(lake) and lake != pa.uint64():
        return Wire(name, target, target, INTEGERS[base], _cast(INTEGERS[base]))
    spelt = types.parse(natural)
    same = (spelt is not None and base == spelt.base) or (natural == "text" and base in TEXT_WIRE)
    staged = target if same else natural
    if pa.types.is_timestamp(lake):
        return Wire(name, staged, target, pa.int64(), _timestamp(lake))
    if pa.types.is_date32(lake):
        return Wire(name, staged, target, pa.int32(), _date)
    if lake == pa.float16():
        lake = pa.float32()
    return Wire(name, staged, target, lake, _cast(lake))


def encoder(wires: Sequence[Wire]) -> pgpq.ArrowToPostgresBinaryEncoder:
    """A pgpq encoder for batches that were converted by these wires, in their order."""
    schema = arrow_schema(wires)
    builders = {
        w.name: StringEncoderBuilder.new_with_output(schema.field(i), Jsonb())
        if w.jsonb
        else pgpq.ArrowToPostgresBinaryEncoder.infer_encoder(schema.field(i))
        for i, w in enumerate(wires)
    }
    return pgpq.ArrowToPostgresBinaryEncoder.new_with_encoders(schema, builders)


def arrow_schema(wires: Sequence[Wire]) -> pa.Schema:
    """The schema of converted batches."""
    return pa.schema([pa.field(w.name, w.arrow) for w in wires])


def microseconds(moments: pa.Array) -> pa.Array:
    """Timestamps as the wire has them: microseconds since 2000."""
    return _timestamp(moments.type)(moments)


def _cast(to: pa.DataType) -> Convert:
    def convert(array: pa.Array) -> pa.Array:
        return array if array.type == to else array.cast(to)

    return convert


def _timestamp(lake: pa.DataType) -> Convert:
    def convert(array: pa.Array) -> pa.Array:
        micros = array.cast(lake).view(pa.int64())
        return _shift(micros, pa.int64(), EPOCH_MICROSECONDS, 2**63 - 1)

    return convert


def _date(array: pa.Array) -> pa.Array:
    return _shift(array.cast(pa.date32()).view(pa.int32()), pa.int32(), EPOCH_DAYS, 2**31 - 1)


def _shift(numbers: pa.Array, kind: pa.DataType, epoch: int, infinity: int) -> pa.Array:
    """Numbers counted from 1970 as counted from 2000; the lake's infinities (max, -max) as PostgreSQL's (max, min)."""
    zero, origin, highest, lowest = (pa.scalar(number, kind) for number in (0, epoch, infinity, -infinity - 1))
    bounds = _call("min_max", numbers).as_py()
    if bounds["max"] is None or (bounds["max"] < infinity and bounds["min"] > -infinity):
        return _call("subtract", numbers, origin)
    finite = _call("less", _call("abs", _call("if_else", _call("equal", numbers, lowest), highest, numbers)), highest)
    shifted = _call("subtract", _call("if_else", finite, numbers, origin), origin)
    return _call("if_else", finite, shifted, _call("if_else", _call("greater", numbers, zero), highest, lowest))


def _call(function: str, *arguments: pa.Array | pa.Scalar) -> pa.Array:
    """A compute function by name: pyarrow makes them at run time, where no type checker sees them."""
    return pc.call_function(function, list(arguments))


def _uuid(array: pa.Array) -> pa.Array:
    """16 bytes each. Raises ValueError (ArrowInvalid is one) for text that is no UUID, without the text."""
    import polars as pl  # here, since it takes 0.4 s to import and few tables have such a column

    text = pl.Series(array.cast(pa.large_string()))
    decoded = text.str.replace_all("-", "", literal=True).str.decode("hex", strict=False)
    if decoded.null_count() != array.null_count:
        raise ValueError("no UUID")
    return decoded.to_arrow().cast(pa.binary()).cast(pa.binary(16))
