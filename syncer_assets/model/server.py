"""What an operator says of a database's server, since SQL cannot read it."""

from dataclasses import dataclass

GB = 1024**3


@dataclass(frozen=True)
class ServerSize:
    """The machine's memory, and how large the database may grow. None: nobody said, and nothing is guessed."""

    memory_gb: float | None = None
    storage_gb: float | None = None

    @property
    def memory_bytes(self) -> int | None:
        return None if self.memory_gb is None else round(self.memory_gb * GB)

    @property
    def storage_bytes(self) -> int | None:
        return None if self.storage_gb is None else round(self.storage_gb * GB)


def size(count: float) -> str:
    """Bytes for people: `512 MB`, `12.3 GB`."""
    for unit, name in ((1024**4, "TB"), (GB, "GB"), (1024**2, "MB"), (1024, "kB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}" if count < 1000 * unit else f"{count / unit:,.0f} {name}"
    return f"{count:.0f} bytes"


def setting(count: float) -> str:
    """Bytes as PostgreSQL and MySQL's people write a setting: the power of two at or above, `512MB`, `4GB`."""
    megabytes = 1
    while megabytes * 1024**2 < count:
        megabytes *= 2
    return f"{megabytes // 1024}GB" if megabytes >= 1024 else f"{megabytes}MB"
