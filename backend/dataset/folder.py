"""The samples of a project as a data set folder, the form that training and evaluation read."""

from __future__ import annotations

from pathlib import Path

from backend.dataset.store import SampleStore
from backend.errors import BadRequest
from backend.export.label_scheme import read_scheme
from models import Category, DatasetWriter


def write_folder(store: SampleStore, project: int, path: Path, *, replace: bool = True) -> dict[str, int]:
    """Write every sample of a project; the folder appears, or replaces an older one, when it is complete.

    Args:
        store: of the samples.
        project: whose.
        path: the folder. Images stay where they are kept.
        replace: a data set that is there gives way.

    Returns:
        Numbers of samples, targets and expressions.

    Raises:
        BadRequest: the project was never seen, or the folder cannot be written.
    """
    known = store.known_project(project)
    if known is None:
        raise BadRequest(f"nothing of project {project} is here; fetch it with `wordmask dataset pull --project {project}`")
    categories = [Category(number, name) for number, name in enumerate(read_scheme(known.label_config).scheme.categories, 1)]
    try:
        with DatasetWriter(path, f"Label Studio, project {project}", replace=replace) as writer:
            for sample in store.samples(project):
                writer.add(sample)
            return dict(writer.commit(categories).counts)
    except OSError as error:
        raise BadRequest(f"the data set cannot be written to {path}: {error}") from error
