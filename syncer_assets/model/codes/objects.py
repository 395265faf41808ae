"""Object stores and other services of AWS: their error codes, and obstore's exceptions where an answer has none."""

from ..failures import Codes, Text

KEYS = "check the keys in the environment, and that they may read, write and list below the lake's prefix"
BUSY = "the store asks for fewer requests, or is down: let fewer tables run at once, and run again"

CODES = Codes(
    family="objects",
    classes={
        "new_connection": (
            *("InternalError", "InternalServerException"),
            *("500", "502", "503", "504", "GenericError"),
        ),
        "wait_longer": (
            *("SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException", "ThrottledException"),
            *("RequestThrottled", "RequestThrottledException", "TooManyRequestsException", "RequestLimitExceeded"),
            *("BandwidthLimitExceeded", "LimitExceededException", "TransactionInProgressException", "429"),
        ),
        "retry_transaction": (
            *("ConditionalRequestConflict", "OperationAborted", "409"),
            *("RequestTimeout", "RequestTimeoutException", "PriorRequestNotComplete"),
        ),
        "once": ("ExpiredToken", "ExpiredTokenException", "RequestTimeTooSkewed", "NoSuchUpload", "ConflictException"),
        "never": (
            *("AccessDenied", "NoSuchBucket", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken"),
            *("PermissionDeniedError", "UnauthenticatedError", "401", "403"),
        ),
    },
    texts=(Text(None, "NoSuchBucket|bucket does not exist", "never", "create the bucket, or correct the lake's url"),),
    fixes={
        "AccessDenied": KEYS,
        "PermissionDeniedError": KEYS,
        "UnauthenticatedError": KEYS,
        "InvalidAccessKeyId": KEYS,
        "InvalidToken": KEYS,
        "401": KEYS,
        "403": KEYS,
        "SignatureDoesNotMatch": "check the secret key in the environment, and this machine's clock",
        "RequestTimeTooSkewed": "set this machine's clock",
        "ExpiredToken": "renew the temporary credentials in the environment",
        "NoSuchBucket": "create the bucket, or correct the lake's url",
        "SlowDown": BUSY,
        "ServiceUnavailable": BUSY,
        "503": BUSY,
        "429": BUSY,
    },
)
"""What is `new_connection` or `wait_longer`, the store's client retries request by request within the budget of
`failover` (`sync/lake.py`); it is spent when the error is seen here. It repeats no 4xx, such as RequestTimeout: those
are `retry_transaction`. 412 is no error: another writer was first. The throttling codes are those of botocore's
standard mode."""
