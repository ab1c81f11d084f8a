"""Brings one file to its key so that it ends as one object, whatever was there and whoever else writes.

Put if absent; where something is there, the same bytes are taken for what they are, others are exchanged for the very
object that was seen. After it the object is looked at: size and SHA-256 must be those of the file.
"""

import random
from collections.abc import Awaitable, Callable
from typing import BinaryIO, TypeVar

from harvester.cloud.bucket import BACKOFF_FIRST_S, BACKOFF_MAX_S, Bucket, RefusedError
from harvester.cloud.refusals import Meaning
from harvester.errors import CredentialsError, StoppedError
from harvester.publication import Deliverable, Stored

T = TypeVar("T")

RACES_MAX = 5
"""How often another writer may be first before we give up: a second one is a mistake of the set-up."""


class Courier:
    """Brings files to one bucket.

    Args:
        bucket: where to.
        now_s: a clock that only goes forward, in seconds.
        pause: waits so many seconds before something is tried again, or raises HarvestError where nothing is to be.
        rng: spreads the waits of many.
    """

    def __init__(
        self,
        bucket: Bucket,
        now_s: Callable[[], float],
        pause: Callable[[float], Awaitable[None]],
        rng: random.Random,
    ) -> None:
        self.bucket = bucket
        self._now_s = now_s
        self._pause = pause
        self._rng = rng

    async def deliver(self, deliverable: Deliverable, content: bytes | BinaryIO, *, is_known: bool) -> None:
        """See that the object is this file.

        Args:
            deliverable: which file.
            content: its bytes; or the file itself, open, where it is to go up in parts.
            is_known: whether an object is probably there.

        Raises:
            HarvestError: it could not be done; the same call may be made again.
        """
        await self._patiently(lambda: self._deliver(deliverable, content, is_known=is_known))

    async def remove(self, key: str) -> None:
        """See that there is no such object; errors as above."""
        await self._patiently(lambda: self.bucket.delete(key))

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try again while network or store fail, for as long as the bucket's patience lasts after the first failure."""
        give_up_s, wait_s = None, BACKOFF_FIRST_S
        while True:
            try:
                return await attempt()
            except RefusedError as refusal:
                now_s = self._now_s()
                give_up_s = now_s + self.bucket.patience_s if give_up_s is None else give_up_s
                if refusal.meaning is not Meaning.AGAIN or now_s + wait_s > give_up_s:
                    raise refusal.trouble from None
            await self._pause(self._rng.uniform(0, wait_s))
            wait_s = min(2 * wait_s, BACKOFF_MAX_S)

    async def _deliver(self, deliverable: Deliverable, content: bytes | BinaryIO, *, is_known: bool) -> None:
        key = deliverable.path
        # A large file has no conditional request: look first, so that its parts are not sent in vain.
        is_looked_for = is_known or not isinstance(content, bytes)
        seen = await self._look_before(key) if is_looked_for else None
        for race in range(RACES_MAX):
            if seen is not None and await self._is_whole(deliverable, seen):
                return
            if race:
                await self._pause(self._rng.uniform(0, BACKOFF_FIRST_S * 2**race))
            await self._put(deliverable, content, seen)
            seen = await self.bucket.look(key)
        if seen is None or not await self._is_whole(deliverable, seen):
            raise StoppedError(
                f"{self.bucket.url}/{key}: after {RACES_MAX} uploads the object is still another one.",
                "Let only one state folder publish to a prefix; then the same command goes on.",
            )

    async def _look_before(self, key: str) -> Stored | None:
        """Look at an object that may be absent: who may not list is then refused by S3, as if all were forbidden."""
        try:
            return await self.bucket.look(key)
        except RefusedError as refusal:
            if isinstance(refusal.trouble, CredentialsError):
                return None
            raise

    async def _put(self, deliverable: Deliverable, content: bytes | BinaryIO, seen: Stored | None) -> None:
        """Put the file in the place of what was seen; nothing happens if that has moved."""
        if not isinstance(content, bytes):
            content.seek(0)
            await self.bucket.overwrite(deliverable, content)
            return
        try:
            if seen is None:
                await self.bucket.create(deliverable, content)
            else:
                await self.bucket.exchange(deliverable, content, seen)
        except RefusedError as refusal:
            if refusal.meaning is Meaning.NO_CONDITIONS:
                await self.bucket.overwrite(deliverable, content)
            elif refusal.meaning is not Meaning.MOVED:
                raise

    async def _is_whole(self, deliverable: Deliverable, seen: Stored) -> bool:
        """Tell whether what was seen is the file; read again where the store keeps no remark of ours."""
        if seen.bytes != deliverable.bytes or seen.sha256 is not None:
            return seen.is_of(deliverable)
        return await self.bucket.digest(deliverable.path) == deliverable.sha256
