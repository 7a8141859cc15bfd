"""Tasks with masks for tests of exports and imports: small, exact, every field overridable."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backend import bitmask, brush_rle
from backend.errors import ImageUnavailable
from backend.export.image_files import ImageFile
from backend.export.label_scheme import read_scheme
from backend.export.records import ConvertOptions
from backend.export.run import ExportJob, ExportSummary, run_export
from backend.export.task_images import TaskImage
from backend.findings import Findings
from models import BoolMask

CONFIG = """<View><Image name="image" value="$image"/>
<BrushLabels name="brush" toName="image"><Label value="Dog"/><Label value="Cat"/><Label value="Cow"/></BrushLabels>
<BitmaskLabels name="bitmask" toName="image"><Label value="Cat"/></BitmaskLabels>
<PolygonLabels name="polygon" toName="image"><Label value="Dog"/></PolygonLabels>
<RectangleLabels name="rectangle" toName="image"><Label value="Dog"/></RectangleLabels>
<EllipseLabels name="ellipse" toName="image"><Label value="Dog"/></EllipseLabels></View>"""


def ring_and_island(size_hw: tuple[int, int] = (33, 47)) -> BoolMask:
    """A mask of an odd size with a hole, an island in the hole, and an island apart."""
    mask = np.zeros(size_hw, dtype=np.bool_)
    mask[2:25, 3:30] = True
    mask[6:20, 8:24] = False
    mask[11:14, 12:19] = True
    mask[28:, 40:] = True
    return mask


def brush_region(mask: npt.NDArray[Any], region_id: str | None = "r1", labels: Sequence[str] = ("Dog",), **fields: Any) -> dict[str, Any]:
    """A brush region as the editor stores it; ``mask`` may be soft (uint8 alpha)."""
    value = {"format": "rle", "rle": brush_rle.encode(mask), "brushlabels": list(labels)}
    return _region("brush", mask.shape, value, region_id, fields)


def bitmask_region(mask: BoolMask, region_id: str | None = "r1", **fields: Any) -> dict[str, Any]:
    """A bitmask region as the editor stores it."""
    return _region("bitmask", mask.shape, {"imageDataURL": bitmask.encode(mask), "bitmasklabels": ["Cat"]}, region_id, fields)


def shape_region(
    kind: str, value: Mapping[str, Any], size_hw: tuple[int, int], region_id: str | None = "r1", **fields: Any
) -> dict[str, Any]:
    """A polygon, rectangle or ellipse."""
    return _region(kind, size_hw, {**value, f"{kind}labels": ["Dog"]}, region_id, fields)


def _region(kind: str, size_hw: Any, value: dict[str, Any], region_id: str | None, fields: Mapping[str, Any]) -> dict[str, Any]:
    own = {} if region_id is None else {"id": region_id}
    sizes = {"original_width": int(size_hw[1]), "original_height": int(size_hw[0]), "image_rotation": 0}
    names = {"from_name": kind, "to_name": "image", "type": f"{kind}labels", "origin": "manual"}
    return own | names | sizes | {"value": value} | dict(fields)


def annotated(task_id: int, regions: Sequence[Any], image: str = "", **fields: Any) -> dict[str, Any]:
    """A task with one submitted annotation."""
    annotation = {"id": 100 + task_id, "result": list(regions), "completed_by": 3, "was_cancelled": False, "ground_truth": False}
    times = {"created_at": "2026-11-20T10:00:00Z", "updated_at": "2026-11-20T10:00:00Z"}
    data = {"image": image or f"/data/upload/1/{task_id}.png"}
    return {"id": task_id, "data": data, "annotations": [annotation | times], "predictions": [], "drafts": []} | fields


def write_tasks(path: Path, tasks: Iterable[Any]) -> Path:
    """An export file of Label Studio."""
    path.write_text(json.dumps(list(tasks)), encoding="utf-8")
    return path


class NoFiles:
    """Where no image can be had."""

    def get(self, image: TaskImage, task_id: int) -> ImageFile:
        raise ImageUnavailable(f"there is no {image.uri}")


def export(
    folder: Path, tasks: Iterable[Any], *, config: str = CONFIG, name: str = "out", convert: Mapping[str, Any] | None = None, **job: Any
) -> tuple[Path, ExportSummary, Findings]:
    """Export tasks in one go: the folder that was written, the numbers, and what was found."""
    tasks_path = write_tasks(folder / "tasks.json", tasks)
    options = ConvertOptions(read_scheme(config).scheme, **(convert or {}))
    job = {"out": folder / name, "files": NoFiles(), **job}
    summary, findings = run_export(ExportJob(tasks=tasks_path, convert=options, **job))
    return folder / name, summary, findings


def read_json(path: Path) -> Any:
    """A written file; numbers that are no JSON fail."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
