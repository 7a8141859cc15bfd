"""The line of versions of a project of which only the number is known, as commands and pages name it."""

from __future__ import annotations

from backend.dataset.prepare import sample_store
from backend.settings import Settings
from backend.versions.line import VersionLine


def line_of_project(settings: Settings, number: int) -> VersionLine:
    """The versions of a project; none of an older project that had its number, as far as Label Studio has told of either."""
    seen = next((project for project in sample_store(settings).projects() if project.id == number), None)
    return VersionLine(settings.shared_folder, number, seen.epoch if seen else 0.0)
