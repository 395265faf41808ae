from typing_extensions import Buffer

class Rows:
    """The rows of one answer. `columns` are (kind, wire, lake) each, as `mysql_rows` makes them; `sequence` is the
    number of the first packet. Used by one thread at a time, which holds no interpreter lock meanwhile."""

    def __init__(self, columns: tuple[tuple[int, int, int], ...], sequence: int, most_rows: int, most_bytes: int): ...
    def feed(self, data: Buffer, start: int, stop: int) -> int:
        """Parse whole packets of `data[start:stop]` until there is none, it is full, or the answer ends.

        Where the first packet begins that was not parsed. Raises ValueError for bytes that are not the protocol's.
        """

    def take(self) -> tuple[tuple[Buffer | None, Buffer | None, Buffer, int, int], ...]:
        """The rows since the last time: per column (validity, offsets, values, number of NULLs, findings)."""

    @property
    def count(self) -> int:
        """Rows that wait for `take`."""

    @property
    def full(self) -> bool:
        """As many rows, or bytes, wait as there should be at most."""

    @property
    def ended(self) -> bool:
        """The server has sent the end of the answer, or an error."""

    @property
    def error(self) -> tuple[int, str] | None:
        """The server's error number and message."""
