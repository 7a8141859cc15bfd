"""Image features by content: memory under a byte budget, disk on request.

Keys name the image's pixels and the weights that saw them, so a cache never answers with features of another image or of other weights,
and values are immutable: threads share the cache, never a state. A second prompt on a known image runs no image encoder.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.digests import image_digest

__all__ = ["EmbeddingCache", "Features", "image_digest"]

Features = dict[str, Tensor]
"""Named tensors of one image."""


class EmbeddingCache:
    """Least recently used image features.

    Args:
        max_bytes: budget of the memory side; features larger than it are not kept.
        folder: where features are also written, one file each; ``None`` for memory only.
    """

    def __init__(self, max_bytes: int, folder: Path | None = None) -> None:
        if max_bytes < 0:
            raise ValueError(f"an embedding cache's budget must not be negative, found {max_bytes}")
        self._max_bytes = max_bytes
        self._folder = folder
        self._entries: OrderedDict[str, Features] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def get(self, key: str, make: Callable[[], Features]) -> Features:
        """The features of ``key``, made by ``make`` when they are nowhere. Threads that ask for one key at once make it once."""
        known = self._recall(key)
        if known is not None:
            return known
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            try:
                known = self._recall(key) or self._read(key)
                if known is None:
                    known = make()
                    self._write(key, known)
                self._keep(key, known)
            finally:
                with self._lock:
                    self._making.pop(key, None)
        return known

    @property
    def used_bytes(self) -> int:
        """Bytes held in memory."""
        return self._bytes

    def _recall(self, key: str) -> Features | None:
        with self._lock:
            features = self._entries.get(key)
            if features is not None:
                self._entries.move_to_end(key)
            return features

    def _keep(self, key: str, features: Features) -> None:
        size = _size(features)
        with self._lock:
            if size > self._max_bytes or key in self._entries:
                return
            self._entries[key] = features
            self._bytes += size
            while self._bytes > self._max_bytes:
                _, dropped = self._entries.popitem(last=False)
                self._bytes -= _size(dropped)

    def _read(self, key: str) -> Features | None:
        if self._folder is None:
            return None
        try:
            return load_file(self._folder / f"{key}.safetensors")
        except (OSError, SafetensorError):
            return None  # never written, unreadable, or half a file of another program: make it anew

    def _write(self, key: str, features: Features) -> None:
        if self._folder is None:
            return
        # A full disk must not cost an answer: the cache is a help, not a duty.
        with contextlib.suppress(OSError, SafetensorError):
            handle, partial = tempfile.mkstemp(dir=self._folder, suffix=".partial")
            os.close(handle)
            try:
                save_file({name: tensor.contiguous() for name, tensor in features.items()}, partial)
                os.replace(partial, self._folder / f"{key}.safetensors")
            except BaseException:
                os.unlink(partial)
                raise


def _size(features: Features) -> int:
    return sum(tensor.element_size() * tensor.nelement() for tensor in features.values())
