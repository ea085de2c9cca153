"""Tries again, with back-off, what object stores and networks refuse for a moment."""

import errno
from collections.abc import Callable
from typing import TypeVar

from aiohttp import ClientError as HttpError
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ProfileNotFound
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

T = TypeVar("T")

#: Tries of one step of a block, each of which s3fs and botocore have already tried several times.
ATTEMPTS = 4
#: Longest pause between two tries, seconds; the first is about one.
LONGEST_PAUSE_S = 20.0

#: What S3's 500 and 503, and broken connections, become in Python.
_PASSING = {
    errno.EBUSY, errno.EIO, errno.EREMOTEIO, errno.ETIMEDOUT, errno.EPIPE, errno.EHOSTUNREACH,
    errno.ENETUNREACH, errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED, errno.ESTALE,
}  # fmt: skip


def persistently(call: Callable[..., T], *arguments: object) -> T:
    """Call, and call again after a pause when the failure may pass.

    Raises:
        Exception: What the last try raised, or the first one that will not pass.
    """
    tries = Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential_jitter(initial=1, max=LONGEST_PAUSE_S),
        retry=retry_if_exception(may_pass),
        reraise=True,
    )
    return tries(call, *arguments)


def may_pass(error: BaseException | None) -> bool:
    """Whether the same call may succeed a little later."""
    if error is None:
        return False
    if isinstance(error, ClientError):
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return status >= 500 or status == 429
    if isinstance(error, NoCredentialsError | ProfileNotFound):
        return False
    if isinstance(error, TimeoutError | ConnectionError | HttpError | BotoCoreError):
        return True
    if isinstance(error, OSError):
        return error.errno in _PASSING
    # Errors with a clear message carry the store's own as their cause.
    return may_pass(error.__cause__)
