"""The image that a task names, as pixels: uploads, local files, http(s), data URIs and cloud storage."""

from __future__ import annotations

import base64
import binascii
import re
import time
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote_to_bytes, urlencode, urlsplit, urlunsplit

from backend.errors import ImageUnavailable
from backend.host_rules import HostRules
from backend.image_cache import ImageCache
from backend.image_decode import decode_image
from backend.image_fetch import Fetcher
from backend.label_studio import LabelStudioClient
from backend.label_studio_auth import origin_of
from backend.settings import Settings
from models import RgbImage

CACHE_BYTES = 1 << 30
"""Bound of the cache of downloaded files, under ``images`` in the data folder."""

FRESH_SECONDS = 60.0
"""For this long a downloaded file counts as current; after that its server is asked whether it changed."""

_CLOUD_SCHEMES = ("s3", "gs", "azure-blob")
_SIGNING = re.compile(
    r"x-(amz|goog)-.*|awsaccesskeyid|googleaccessid|key-pair-id|signature|policy|expires|se|sig|ske|skoid|sks|skt|sktid|skv|sp|spr|sr|st|sv"
)


@dataclass(frozen=True, slots=True, eq=False)
class LoadedImage:
    """A decoded image: uint8 ``[H, W, 3]``, turned as its EXIF orientation says."""

    rgb: RgbImage

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.rgb.shape[0], self.rgb.shape[1]


class ImageLoader:
    """Loads images under the limits of the settings. Safe to share between threads; holds no image.

    Args:
        settings: limits, allowed hosts, data folder.
        label_studio: where uploads, local files and cloud storage are fetched; without it only http(s) and data URIs work.
    """

    def __init__(self, settings: Settings, label_studio: LabelStudioClient | None) -> None:
        self._settings = settings
        self._label_studio = label_studio
        rules = HostRules(
            allowed=settings.allowed_hosts,
            allow_private=settings.allow_private_hosts,
            label_studio=origin_of(label_studio.url) if label_studio else None,
        )
        self._fetcher = Fetcher(rules, label_studio, seconds=settings.image_timeout_seconds, max_bytes=settings.image_max_bytes)
        self._cache = ImageCache(settings.data_dir / "images", CACHE_BYTES)

    def load(self, uri: str, *, task_id: int | None) -> LoadedImage:
        """Fetch and decode one image.

        Args:
            uri: what the task's data holds: ``/data/upload/..``, ``/data/local-files/?d=..`` (also as full addresses), ``http(s)://``,
                ``data:``, or ``s3://``, ``gs://``, ``azure-blob://`` for storages that Label Studio knows.
            task_id: the task, by which Label Studio finds the storage of a cloud address.

        Raises:
            ImageUnavailable: there is no such image, it cannot be decoded, or it must not be fetched.
        """
        return self.load_file(uri, task_id=task_id)[1]

    def load_file(self, uri: str, *, task_id: int | None) -> tuple[bytes, LoadedImage]:
        """The bytes of an image's file and the image in it; as :meth:`load` otherwise."""
        if not isinstance(uri, str):
            raise ImageUnavailable(f"the address of an image must be text, found {type(uri).__name__}; correct the task's data")
        uri = uri.strip()
        scheme = uri.partition(":")[0].lower() if ":" in uri[:20] else ""
        if scheme == "data":
            return self._decode(self._read_data_uri(uri))
        return self._load_cached(*self._address(uri, scheme, task_id))

    def _decode(self, body: bytes) -> tuple[bytes, LoadedImage]:
        return body, LoadedImage(decode_image(body, max_pixels=self._settings.image_max_pixels))

    def _load_cached(self, url: str, name: str) -> tuple[bytes, LoadedImage]:
        entry = self._cache.get(name)
        if entry and 0 <= time.time() - entry.confirmed < FRESH_SECONDS:
            return self._decode(entry.body)
        fetched = self._fetcher.fetch(url, entry.validators if entry else None)
        if entry and fetched.body is None:
            self._cache.confirm(name)
            return self._decode(entry.body)
        body = fetched.body or b""
        found = self._decode(body)  # only what is an image is kept: an error page must not outlive its cause
        self._cache.put(name, body, fetched.validators)
        return found

    def _address(self, uri: str, scheme: str, task_id: int | None) -> tuple[str, str]:
        """The http(s) address to fetch for ``uri``, and the name that the file has in the cache."""
        if scheme in ("http", "https"):
            return uri, cache_name(uri)
        if uri.startswith(("/data/", "/storage-data/")):
            url = self._needed_label_studio("an uploaded or local file").absolute(uri)
            return url, url
        if scheme in _CLOUD_SCHEMES:
            client = self._needed_label_studio(f"a file at {scheme}://")
            if task_id is None:
                raise ImageUnavailable(
                    f"a file at {scheme}:// is found through its task, but this task has no id; send the task with its id"
                )
            encoded = base64.urlsafe_b64encode(uri.encode()).decode()
            return client.absolute(f"/tasks/{task_id}/presign/?fileuri={encoded}"), f"{client.url} {uri}"
        shown = uri.partition("?")[0].rpartition("@")[2][:100]
        raise ImageUnavailable(
            f"{shown!r} is not an address that images are fetched from; use an upload, Label Studio's local files, http(s), "
            "a data: URI, or s3://, gs:// or azure-blob:// of a storage that Label Studio knows"
        )

    def _needed_label_studio(self, what: str) -> LabelStudioClient:
        if self._label_studio is None:
            raise ImageUnavailable(f"{what} is fetched from Label Studio; set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY")
        return self._label_studio

    def _read_data_uri(self, uri: str) -> bytes:
        limit = self._settings.image_max_bytes
        header, comma, content = uri.partition(",")
        if not comma:
            raise ImageUnavailable("the data: URI has no comma; it must be data:image/png;base64,...")
        body = unquote_to_bytes(content)
        if header.lower().rstrip().endswith(";base64"):
            try:
                body = base64.b64decode(body)
            except binascii.Error as error:
                raise ImageUnavailable(f"the data: URI is not valid base64 ({error}); encode the image again") from error
        if len(body) > limit:
            raise ImageUnavailable(
                f"the data: URI is larger than {limit / 2**20:g} MiB; make the image smaller, or raise WORDMASK_IMAGE_MAX_BYTES"
            )
        return body


def cache_name(uri: str) -> str:
    """Under which name the file at ``uri`` is cached: the address without what only signs it, so that a new signature finds the old file.

    Only names that signing schemes of S3, Google, CloudFront and Azure use are left out, and only when the query holds a signature; all
    other parameters may choose the file.
    """
    try:
        parts = urlsplit(uri)
    except ValueError:
        return uri  # malformed; it will not be fetched either
    query = parse_qsl(parts.query, keep_blank_values=True)
    is_signed = any(key.lower() in ("signature", "sig") or key.lower().endswith("-signature") for key, _ in query)
    if not is_signed:
        return uri
    kept = [(key, value) for key, value in query if not _SIGNING.fullmatch(key.lower())]
    return urlunsplit(parts._replace(query=urlencode(kept), fragment=""))
