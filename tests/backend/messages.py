"""What Label Studio posts, cut down to what matters; the recorded requests are in ``tests/data/label_studio_payloads``."""

from __future__ import annotations

from typing import Any

CONFIG = """
<View>
  <Image name="image" value="$image"/>
  <BrushLabels name="brush" toName="image"><Label value="Dog"/><Label value="Cat"/></BrushLabels>
  <KeyPointLabels name="point" toName="image" smart="true"><Label value="Dog"/><Label value="Cat"/></KeyPointLabels>
  <RectangleLabels name="box" toName="image" smart="true"><Label value="Dog"/><Label value="Cat"/></RectangleLabels>
  <TextArea name="prompt" toName="image"/>
</View>
"""


def batch(tasks: list[Any], label_config: str = CONFIG, **fields: Any) -> dict[str, Any]:
    """Body of a batch ``/predict``."""
    return {"tasks": tasks, "project": "1.1700000000", "label_config": label_config, "params": {"context": None}, **fields}


def gesture(task: dict[str, Any], *result: dict[str, Any], label_config: str = CONFIG) -> dict[str, Any]:
    """Body of an interactive ``/predict``."""
    return batch([task], label_config, params={"login": None, "password": None, "context": {"result": list(result)}})


def typed(prompt: str, **fields: Any) -> dict[str, Any]:
    """A prompt submitted in a text box."""
    return {"type": "textarea", "value": {"text": [prompt]}, "from_name": "prompt", "to_name": "image", "id": "t1", **fields}


def click(x: float, y: float, label: str = "Dog", *, is_positive: bool = True, **fields: Any) -> dict[str, Any]:
    """A smart click at percent of the image."""
    value = {"x": x, "y": y, "width": 0.3, "labels": [label], "keypointlabels": [label]}
    found = {"type": "keypointlabels", "value": value, "is_positive": is_positive, "from_name": "point", "to_name": "image"}
    return {**found, "id": "k1", **fields}


def box(x: float, y: float, width: float, height: float, label: str = "Dog", rotation: float = 0, **fields: Any) -> dict[str, Any]:
    """A smart rectangle in percent of the image."""
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": rotation, "rectanglelabels": [label]}
    return {"type": "rectanglelabels", "value": value, "from_name": "box", "to_name": "image", "id": "r1", **fields}
