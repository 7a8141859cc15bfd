"""The first part of every job: the samples of a project as they are now, in the form that training reads."""

from __future__ import annotations

from pathlib import Path

from backend.dataset.folder import write_folder
from backend.dataset.images_kept import KeptImages
from backend.dataset.store import SampleStore
from backend.dataset.update import DatasetUpdate
from backend.errors import SettingsError
from backend.images import ImageLoader
from backend.jobs.job import JobContext, Work
from backend.label_studio import LabelStudioClient, client_of
from backend.label_studio_errors import RETRY_SECONDS
from backend.settings import Settings

_REPORT_EVERY = 20


def sample_store(settings: Settings) -> SampleStore:
    """The samples that the settings place."""
    return SampleStore(settings.data_dir / "samples.sqlite3")


def dataset_update(settings: Settings, client: LabelStudioClient, *, is_patient: bool) -> DatasetUpdate:
    """What updates them.

    Args:
        settings: limits and the data folder.
        client: Label Studio.
        is_patient: wait while Label Studio does not answer, instead of leaving it at one attempt.
    """
    kept = KeptImages(settings.data_dir / "sample-images")
    return DatasetUpdate(client, ImageLoader(settings, client), sample_store(settings), kept, RETRY_SECONDS if is_patient else ())


def dataset_folder(settings: Settings, project: int) -> Path:
    """Where the samples of a project are written for training."""
    return settings.data_dir / "datasets" / str(project)


def prepare_samples(settings: Settings) -> Work:
    """A job that brings the samples of its project up to date and writes them to :func:`dataset_folder`."""

    def work(context: JobContext) -> str:
        client = client_of(settings)
        if client is None:
            raise SettingsError("LABEL_STUDIO_URL is not set, so annotations cannot be fetched; set it and LABEL_STUDIO_API_KEY")

        def on_progress(done: int, total: int) -> None:
            if done % _REPORT_EVERY == 0 or done == total:
                context.report(f"task {done} of {total}")

        update = dataset_update(settings, client, is_patient=True)
        report = update.whole_project(context.job.project, on_progress)
        for line in report.findings.lines():
            print(line)  # noqa: T201 - into the job's log
        counts = write_folder(update.store, context.job.project, dataset_folder(settings, context.job.project))
        return f"{counts['samples']} samples with {counts['targets']} regions and {counts['expressions']} expressions are ready ({report})"

    return work
