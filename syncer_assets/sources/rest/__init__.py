"""An API as a source: pages of JSON, each cut into the records that it has."""

from .client import Client, Response
from .errors import ApiError
from .limiter import RateLimiter
from .page import Page, ids_of, read_page
from .paging import Position, Request, first_position, followed, next_position, relative_request, request_for

__all__ = [
    "ApiError",
    "Client",
    "Page",
    "Position",
    "RateLimiter",
    "Request",
    "Response",
    "first_position",
    "followed",
    "ids_of",
    "next_position",
    "read_page",
    "relative_request",
    "request_for",
]
