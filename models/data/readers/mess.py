"""The 22 data sets of the MESS benchmark (arXiv 2306.15521), as the package ``mess-benchmark`` registers and prepares them.

The package knows names, folders and classes; it holds no images. Its ``DATASETS.md`` says how to get and prepare them. A pixel's value is
the place of its class, from 0, and 255 is not judged.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from models.data.readers.gathering import Gathering
from models.data.readers.label_map_files import add_label_map
from models.data.readers.label_maps import read_values
from models.data.readers.source import DatasetReadError, DatasetSource
from models.data.sample import Category
from models.semantic_metrics import IGNORED

ROOT_VARIABLE = "DETECTRON2_DATASETS"
"""Where the package looks for its data when it is imported."""


def read(source: DatasetSource, gathering: Gathering) -> tuple[Category, ...]:
    """Gather the data set that ``source.split`` names; ``source.path`` is the folder of all of them.

    Raises:
        DatasetReadError: the package is not installed, knows no such data set, or its files are not there.
    """
    datasets, metadata = _catalogues(source.path)
    if source.split is None or source.split not in datasets.list():
        raise DatasetReadError(f"say with --split which data set of MESS is meant, found {source.split!r}; it has {_listed(datasets)}")
    about = metadata.get(source.split)
    if not Path(about.image_root).resolve().is_relative_to(source.path.resolve()):
        raise DatasetReadError(
            f"mess-benchmark was told before that its data are elsewhere ({about.image_root}); read one folder a process"
        )
    try:
        records = datasets.get(source.split)
    except (OSError, AssertionError) as error:
        raise DatasetReadError(
            f"{source.split} is not prepared in {source.path} ({error}); follow DATASETS.md of mess-benchmark"
        ) from error
    categories = tuple(Category(number, name) for number, name in enumerate(about.stuff_classes, start=1))
    for number, record in enumerate(records, start=1):
        _add(source, record, about.get("ignore_label", 255), categories, gathering)
        source.on_progress(source.split, number, len(records))
    return categories


def _catalogues(root: Path) -> tuple[Any, Any]:
    """The package's own catalogues, or those of detectron2 if that is installed: names to loaders, names to what is known of them."""
    os.environ[ROOT_VARIABLE] = str(root)  # the package reads nothing else
    try:
        importlib.import_module("mess.datasets")
        catalogues = importlib.import_module("mess.datasets.TorchvisionDataset")
    except ModuleNotFoundError as error:
        raise DatasetReadError(f"the package mess-benchmark cannot be used ({error}); install it, for example as wordmask[mess]") from error
    return catalogues.DatasetCatalog, catalogues.MetadataCatalog


def _listed(datasets: Any) -> str:
    return ", ".join(name for name in sorted(datasets.list()) if "_sem_seg_" in name)


def _add(source: DatasetSource, record: dict[str, Any], ignored: int, categories: tuple[Category, ...], gathering: Gathering) -> None:
    name = os.path.relpath(record["file_name"], source.path)
    try:
        values = read_values(Path(record["sem_seg_file_name"])).astype(np.int32)
    except ValueError as error:
        source.lost("bad-png", str(error), image=name)
        return
    height, width = values.shape
    gathering.add_image(name, name, (height, width), source.split)
    # A value without a class is as good as none.
    labels = np.where((values == ignored) | (values >= len(categories)), IGNORED, values + 1).astype(np.int32)
    add_label_map(gathering, name, labels, categories)
