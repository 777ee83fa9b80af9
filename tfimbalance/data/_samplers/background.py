"""One draw an epoch, the next one made in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class EpochDraws(Generic[T]):
    """Draws of epochs: the one that is read, and the next, which a thread makes meanwhile."""

    def __init__(
        self, draw: Callable[[int], T], first_epoch: int, first: T, *, ahead: bool = True
    ) -> None:
        # Without `ahead`, all epochs share one draw.
        made: Future[T] = Future()
        made.set_result(first)
        self._draw, self._ahead = draw, ahead
        self._key = first_epoch
        self._futures = {first_epoch: made}
        self._lock = threading.Lock()
        # One thread: a draw that is needed now was asked for before the one that comes next.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="tfimbalance-draw")

    def get(self, epoch: int) -> T:
        """Return the draw of an epoch, waiting for it if need be, and have the next one made."""
        if not self._ahead:
            return self._futures[self._key].result()
        with self._lock:
            wanted = (epoch, epoch + 1)
            for other in [key for key in self._futures if key not in wanted]:
                # What is let go here leaves the memory before the next one enters it.
                self._futures.pop(other).cancel()
            for key in wanted:
                if key not in self._futures:
                    self._futures[key] = self._executor.submit(self._draw, key)
            future = self._futures[epoch]
        try:
            return future.result()
        except CancelledError:
            return self.get(epoch)  # Another iterator is at another epoch.
        except Exception as error:
            raise RuntimeError(
                f"Drawing the rows of epoch {epoch} failed: {type(error).__name__}: {error}"
            ) from error

    def close(self) -> None:
        """Wait for a draw under way, and make no more."""
        self._executor.shutdown(wait=True, cancel_futures=True)
