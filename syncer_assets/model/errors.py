"""The errors of the engine: what happened, to which table and partition, and what to do."""

from typing import Literal

from .failures import Failure

Phase = Literal["connect", "read", "write", "load", "commit", "config"]


class SyncError(Exception):
    """An error that a person can act on. Its text never holds a secret or a row value.

    `kind` is a stable word for machines, `retryable` says whether the same call may succeed later, `given_up` that it
    was tried again in vain: nothing further out does so once more.
    """

    kind = "sync_error"
    retryable = False
    given_up = False

    def __init__(self, message: str, *, table: str | None = None, partition: str | None = None, fix: str | None = None):
        where = " ".join(part for part in (table, f"[{partition}]" if partition else None) if part)
        text = f"{where}: {message}" if where else message
        super().__init__(f"{text}. Fix: {fix}" if fix else text)
        self.message, self.table, self.partition, self.fix = message, table, partition, fix


class ConfigError(SyncError):
    """The YAML or the command line asks for something that cannot be."""

    kind = "config"


class DbError(SyncError):
    """A driver's exception, reduced to kind, code, phase and class (DESIGN 10).

    `failure` is the class by which it is retried (`model/failures.py`); `retryable` alone stands for `new_connection`.
    """

    kind = "database"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        phase: Phase = "read",
        retryable: bool = False,
        failure: Failure | None = None,
        table: str | None = None,
        partition: str | None = None,
        fix: str | None = None,
    ):
        super().__init__(message, table=table, partition=partition, fix=fix)
        self.code, self.phase = code, phase
        self.failure: Failure = failure or ("new_connection" if retryable else "never")
        self.retryable = self.failure != "never"


class CommitUnknown(DbError):
    """The connection ended while COMMIT was on its way: the ledger decides whether it took effect."""

    kind = "commit_unknown"


class ObjectStoreError(SyncError):
    """The lake could not be read or written. What a request could be retried for, the store's client has retried."""

    kind = "object_store"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        failure: Failure = "never",
        table: str | None = None,
        partition: str | None = None,
        fix: str | None = None,
    ):
        super().__init__(message, table=table, partition=partition, fix=fix)
        self.code, self.failure = code, failure
        self.retryable = failure in ("once", "retry_transaction")


class LakeCorrupt(SyncError):
    """An object that a manifest names is missing, or has another size or hash. The target was not touched."""

    kind = "lake_corrupt"


class IdentityChanged(SyncError):
    """Another source, lake generation or target table than the one the marks belong to (DESIGN 6)."""

    kind = "identity_changed"


class LostRace(SyncError):
    """Another writer committed this `seq`, or took the target's epoch: this attempt changes nothing."""

    kind = "lost_race"
    retryable = True


class AttemptVoid(SyncError):
    """The source changed under the read (another server, other columns): the attempt is thrown away and made anew."""

    kind = "attempt_void"
    retryable = True


class AssertionFailed(SyncError):
    """The engine counted and the numbers do not agree; nothing was committed."""

    kind = "assertion"


class SchemaChanged(SyncError):
    """The columns of the source or the target are not the ones that the sync was made for."""

    kind = "schema_changed"


class RefusedByGuard(SyncError):
    """A full refresh would empty or suddenly shrink the target."""

    kind = "guard"
