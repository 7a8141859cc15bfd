"""A Label Studio to take samples from, and an update that does so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.dataset.images_kept import KeptImages
from backend.dataset.store import SampleStore
from backend.dataset.update import DatasetUpdate
from backend.images import ImageLoader
from backend.label_studio import LabelStudioClient
from tests.backend.dataset.studio import Studio, studio
from tests.factories import make_settings


@pytest.fixture
def label_studio() -> Iterator[Studio]:
    with studio() as running:
        yield running


@pytest.fixture
def update(label_studio: Studio, tmp_path: Path) -> DatasetUpdate:
    return make_update(label_studio, tmp_path)


def make_update(label_studio: Studio, folder: Path) -> DatasetUpdate:
    client = LabelStudioClient(label_studio.url, "a token")
    images = ImageLoader(make_settings(folder, allow_private_hosts=True), client)
    return DatasetUpdate(client, images, SampleStore(folder / "samples.sqlite3"), KeptImages(folder / "kept"))
