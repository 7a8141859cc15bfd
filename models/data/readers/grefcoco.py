"""gRefCOCO: ``instances.json`` and ``grefs(unc).json``, whose expressions refer to one object, to several or to none.

Source of the format: https://github.com/henghuiding/gRefCOCO. The kind of an expression is the number of its targets.
"""

from __future__ import annotations

from models.data.readers.gathering import Gathering
from models.data.readers.refer import add_reference, find_references, load_references, read_instances
from models.data.readers.source import DatasetSource
from models.data.sample import Category


def read(source: DatasetSource, gathering: Gathering) -> tuple[Category, ...]:
    """Gather images and annotations of ``instances.json``, and the expressions.

    Raises:
        DatasetReadError: a file is missing or cannot be read at all.
    """
    references = find_references(source, "grefs")
    categories = read_instances(source, references, gathering)
    for reference in load_references(source, references):
        add_reference(source, reference, gathering, tell_kind=True)
    return categories
