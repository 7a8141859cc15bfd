"""A request on many images holds one of them at a time: ten annotators with large photographs fit into memory."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import pytest

from backend.app import create_app
from backend.images import ImageLoader, LoadedImage
from tests.backend.messages import CONFIG, batch, box, click, gesture, typed
from tests.factories import FakeEngine, make_data_uri, make_image, make_settings, make_task

PAGES = CONFIG.replace('value="$image"', 'valueList="$pages"')
TASK = make_task(data={"pages": [make_data_uri(make_image(colour=(shade, 0, 0))) for shade in (10, 20, 30)]})


class WatchedLoader(ImageLoader):
    """Counts the decoded images that are alive whenever one more is asked for."""

    loaded: list[weakref.ref[Any]]
    most_held: int

    def load(self, uri: str, *, task_id: int | None) -> LoadedImage:
        self.most_held = max(self.most_held, sum(image() is not None for image in self.loaded))
        found = super().load(uri, task_id=task_id)
        self.loaded.append(weakref.ref(found.rgb))
        return found


@pytest.mark.parametrize(
    ("body", "images"),
    [
        pytest.param(batch([make_task(1), make_task(2)]), 2, id="tasks"),
        pytest.param(batch([TASK], PAGES), 3, id="a list of images"),
        pytest.param(gesture(TASK, typed("a dog"), label_config=PAGES), 3, id="a prompt for a list"),
        pytest.param(gesture(TASK, *(click(1, 1, item_index=i) for i in range(3)), label_config=PAGES), 3, id="clicks on several"),
        pytest.param(gesture(TASK, *(box(1, 1, 9, 9, item_index=i) for i in range(3)), label_config=PAGES), 3, id="boxes on several"),
    ],
)  # fmt: skip
def test_no_decoded_image_is_held_while_the_next_one_is_loaded(tmp_path: Path, body: dict[str, Any], images: int) -> None:
    settings = make_settings(tmp_path)
    loader = WatchedLoader(settings, None)
    loader.loaded, loader.most_held = [], 0
    answer = create_app(settings, FakeEngine(), loader).test_client().post("/predict", json=body)
    assert answer.get_json()["results"][0]["result"]
    assert (len(loader.loaded), loader.most_held) == (images, 0)
