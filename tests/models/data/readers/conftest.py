from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.data.readers import DatasetReading, DatasetSource, ReaderRemark, read_dataset
from models.data.sample import Category, Sample

Read = Callable[..., "Heard"]


class Heard:
    """What a reader gave and what it told."""

    def __init__(self, name: str, path: Path, **options: Any) -> None:
        self.remarks: list[ReaderRemark] = []
        self.progress: list[tuple[str, int, int]] = []
        source = DatasetSource(path, self.remarks.append, lambda *told: self.progress.append(told), **options)
        reading: DatasetReading
        with read_dataset(name, source) as reading:
            self.categories: tuple[Category, ...] = reading.categories
            self.samples: list[Sample] = list(reading.samples)
            assert reading.count == len(self.samples)

    @property
    def kinds(self) -> list[str]:
        """Kinds of all remarks, in order."""
        return [remark.kind for remark in self.remarks]


@pytest.fixture
def read() -> Read:
    """Reads a data set of a format, with all its remarks."""
    return Heard
