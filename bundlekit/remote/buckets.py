"""A bundle in a bucket, read by ranges: S3, Google Cloud Storage, Azure. The only user of ``obstore``.

One thread waits for all answers, so that a caller who waits can be interrupted. Bytes that will be read in order are
requested in blocks ahead of their reader.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from bundlekit._version import __version__
from bundlekit.errors import UnreadableError
from bundlekit.remote import source
from bundlekit.remote.faults import (
    ENCODED,
    IGNORED,
    OTHER_RANGE,
    changed_object,
    explained,
    is_whole_answer,
    server_error,
)
from bundlekit.remote.source import SKIPPED, START, ObjectVersion, RemoteSource
from bundlekit.remote.url import http_allowed, is_loopback

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from concurrent.futures import Future

    from obstore import GetOptions, GetResult
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

    from bundlekit.remote.url import RemoteUrl

_Answer = TypeVar("_Answer")

BLOCK: Final = 2 * 1024 * 1024
"""Bytes of one request of a reading in order."""

DEADLINE: Final = 600
"""Seconds for a block: 3.5 KiB per second."""

AHEAD: Final = 8
"""Blocks that are requested ahead of their readers, all threads together."""

CLOSING: Final = 2
"""Seconds that closing takes at most."""

GRACE: Final = 0.05
"""Seconds for the threads of the library to let go of requests that were ended. If the interpreter ended meanwhile, it
would abort the process."""


class BucketSource(RemoteSource):
    """An object in a bucket. Raises UnreadableError if it cannot be reached, or the library is not installed."""

    def __init__(self, url: RemoteUrl) -> None:
        self._ahead = 0
        self._counting = threading.Lock()
        self._store, self._key = _store(url)
        self._loop = asyncio.new_event_loop()
        self._waiting = threading.Thread(target=self._loop.run_forever, name="bundlekit.remote", daemon=True)
        self._waiting.start()
        try:
            super().__init__(url)
        except BaseException:
            self.close()
            raise

    def first(self) -> tuple[ObjectVersion, memoryview]:
        """The first bytes, and the version that their answer states."""
        return self._wait(self._submit(self._first()), opened=False)

    def get(self, start: int, stop: int) -> memoryview:
        """The bytes of a range."""
        return self._wait(self._submit(self._get(start, stop)))

    def reading(self, start: int, stop: int) -> BlockReading:
        """Request the first block of a range, and more if few are under way."""
        return BlockReading(self, start, stop)

    def request(self, start: int, stop: int, *, first: bool) -> Future[memoryview] | None:
        """Request a block for a thread. None if it is not the ``first``, and enough are under way."""
        with self._counting:
            if not first and self._ahead >= AHEAD:
                return None
            self._ahead += 1
        return self._submit(self._get(start, stop))

    def taken(self, block: Future[memoryview]) -> memoryview:
        """The bytes of a block that was requested, as soon as they have arrived."""
        try:
            return self._wait(block)
        finally:
            self.dropped(1)

    def dropped(self, count: int) -> None:
        """Blocks are no longer under way."""
        with self._counting:
            self._ahead -= count

    def close(self) -> None:
        """End all requests, and the thread."""
        if self._loop.is_closed():
            return
        with contextlib.suppress(TimeoutError):
            self._submit(_end()).result(CLOSING)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._waiting.join(CLOSING)
        if not self._waiting.is_alive():
            self._loop.close()

    def _submit(self, work: Coroutine[object, object, _Answer]) -> Future[_Answer]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _wait(self, answer: Future[_Answer], *, opened: bool = True) -> _Answer:
        """The answer. An error of the library is one sentence here, without the URL and what the server sent."""
        from obstore.exceptions import BaseError

        try:
            return answer.result()
        except UnreadableError:
            raise
        except (BaseError, OSError, ValueError) as error:
            failure = explained(self.name, error, opened=opened)
        raise failure  # outside of the handler, so that the error of the library is not its context

    async def _first(self) -> tuple[ObjectVersion, memoryview]:
        async with asyncio.timeout(source.RETRIED + DEADLINE):
            answer = await self._answer(0, START, {})
            version = _version(answer)
            return version, await self._body(answer, 0, min(START, version.size))

    async def _get(self, start: int, stop: int) -> memoryview:
        async with asyncio.timeout(source.RETRIED + DEADLINE):
            condition: GetOptions = {"if_match": self.version.condition} if self.version.condition else {}
            answer = await self._answer(start, stop, condition)
            if _version(answer) != self.version:
                raise changed_object(self.name)
            return await self._body(answer, start, stop)

    async def _answer(self, start: int, stop: int, condition: GetOptions) -> GetResult:
        """The answer to a request for a range. Some servers send no range if it is all of the object."""
        from obstore import get_async
        from obstore.exceptions import GenericError

        try:
            return await get_async(self._store, self._key, options={"range": (start, stop), **condition})
        except GenericError as error:
            if start or not is_whole_answer(error):
                raise
        answer = await get_async(self._store, self._key, options=condition)
        if answer.meta["size"] > stop:
            raise server_error(self.name, IGNORED)
        return answer

    async def _body(self, answer: GetResult, start: int, stop: int) -> memoryview:
        if answer.attributes.get("Content-Encoding", "identity") != "identity":
            raise server_error(self.name, ENCODED)
        data = memoryview(await answer.bytes_async())
        if tuple(answer.range) != (start, stop) or len(data) != stop - start:
            raise server_error(self.name, OTHER_RANGE)
        return data


async def _end() -> None:
    under_way = asyncio.all_tasks() - {asyncio.current_task()}
    for task in under_way:
        task.cancel()
    if under_way:
        await asyncio.wait(under_way)
        await asyncio.sleep(GRACE)


class BlockReading:
    """A range that one thread reads in order, and the blocks of it that are under way."""

    def __init__(self, bucket: BucketSource, start: int, stop: int) -> None:
        self._bucket = bucket
        self._at, self._asked, self._stop = start, start, stop
        self._block = memoryview(b"")
        self._under_way: deque[Future[memoryview]] = deque()
        self._ask()

    def has(self, start: int, stop: int) -> bool:
        """Whether these bytes come next, or soon after bytes that the caller has in memory."""
        return self._at <= start <= self._at + SKIPPED and stop <= self._stop

    def take(self, start: int, buffer: memoryview) -> None:
        """Fill ``buffer`` with the bytes from ``start`` on."""
        done = self._at - start  # 0, or below it for bytes to skip
        while done < len(buffer):
            if not self._block:
                self._ask()
                self._block = self._bucket.taken(self._under_way.popleft())
                self._ask()
            part = self._block[: len(buffer) - done if done >= 0 else -done]
            if done >= 0:
                buffer[done : done + len(part)] = part
            self._block = self._block[len(part) :]
            done += len(part)
        self._at = start + len(buffer)

    def _ask(self) -> None:
        while self._asked < self._stop:
            stop = min(self._asked + BLOCK, self._stop)
            block = self._bucket.request(self._asked, stop, first=not self._under_way and not self._block)
            if block is None:
                return
            self._under_way.append(block)
            self._asked = stop

    def drop(self) -> None:
        """End the requests that are under way."""
        for block in self._under_way:
            block.cancel()
        self._bucket.dropped(len(self._under_way))
        self._under_way.clear()


def _version(answer: GetResult) -> ObjectVersion:
    meta = answer.meta
    modified = meta["last_modified"]  # 1970 if it is missing
    return ObjectVersion(meta["e_tag"] or "", modified.isoformat() if modified.timestamp() > 0 else "", meta["size"])


def _store(url: RemoteUrl) -> tuple[ObjectStore, str]:
    """The store, and the name of the object in it. Access is configured by the environment variables of each cloud."""
    try:
        from obstore.exceptions import BaseError
        from obstore.store import AzureStore, GCSStore, S3Store
    except ImportError as error:
        raise UnreadableError(
            f"{url}: the library obstore, which reads bundles from buckets, is not installed",
            next_step="Install it with `pip install 'bundlekit[remote]'`.",
        ) from error
    client: ClientConfig = {
        "allow_http": _plain_endpoint(url.scheme),
        "connect_timeout": timedelta(seconds=source.CONNECT),
        "read_timeout": timedelta(seconds=source.SILENCE),
        "timeout": timedelta(seconds=DEADLINE),
        "user_agent": f"bundlekit/{__version__}",
    }
    retry: RetryConfig = {
        "max_retries": source.RETRIES,
        "retry_timeout": timedelta(seconds=source.RETRIED),
        "backoff": {"init_backoff": timedelta(seconds=source.PAUSE), "max_backoff": timedelta(seconds=5), "base": 8},
    }
    try:
        if url.scheme == "s3":
            return S3Store(url.host, client_options=client, retry_config=retry), url.key
        if url.scheme == "gs":
            return GCSStore(url.host, client_options=client, retry_config=retry), url.key
        return AzureStore(url.host, client_options=client, retry_config=retry), url.key
    except (BaseError, OSError, ValueError) as error:
        failure = explained(str(url), error, opened=False)
    raise failure


ENDPOINTS: Final = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT",),
}
"""The variables that name another server than that of the cloud."""


def _plain_endpoint(scheme: str) -> bool:
    """Whether the server is reached without TLS: on this machine, or elsewhere if the operator allows that."""
    from urllib.parse import urlsplit

    named = [os.environ[name] for name in ENDPOINTS.get(scheme, ()) if os.environ.get(name)]
    return any(
        one.startswith("http://") and (http_allowed() or is_loopback(urlsplit(one).hostname or "")) for one in named
    )
