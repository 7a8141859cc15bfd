"""What a job runs: samples are brought up to date, a version is trained from the one that serves, and it serves if it is better.

May be killed at any moment; it then begins again with its folder. Training goes on from its checkpoint unless samples came meanwhile, and
what is published already is not made twice.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.app import weights_version
from backend.checkpoints.profiles import weights_place
from backend.dataset.prepare import dataset_folder, prepare_samples, sample_store
from backend.errors import BackendError
from backend.jobs.job import JobContext, Work
from backend.jobs.record import TrainingRecord, forget_old_jobs
from backend.label_studio import LabelStudioClient, client_of
from backend.settings import Settings
from backend.versions.announce import ADOPTION_SECONDS, Announcer
from backend.versions.lessons import last_lesson, lesson_of, note_lesson
from backend.versions.line import PICTURES, Version, VersionLine
from backend.versions.manifest import VersionError, compared, read_manifest
from backend.versions.refresh import doubtful_tasks, refresh
from models import Engine, find_weights

if TYPE_CHECKING:
    from models import FineTuneConfig, FineTuned, FineTuneProgress, FineTuning

logger = logging.getLogger(__name__)

_PUBLISHED = "ssp-sam-"
"""How the configurations of published weights are called."""

FineTune = Callable[["FineTuning", Callable[["FineTuneProgress"], None]], "FineTuned"]


@dataclass(frozen=True, slots=True)
class Learner:
    """The two things that a job needs of the models; tests bring smaller ones.

    Args:
        fine_tune: trains a version; :func:`models.fine_tune`.
        load: makes the engine of a version's folder or of a profile: to predict again what older versions had predicted, and to draw what
            a version changed.
    """

    fine_tune: FineTune
    load: Callable[[str | Path], Engine]


def train_version(settings: Settings, learner: Learner | None = None) -> Work:
    """A job that trains, publishes and tells; see the module."""
    prepare = prepare_samples(settings)

    def work(context: JobContext) -> str:
        forget_old_jobs(settings.data_dir)
        print(prepare(context))  # noqa: T201 - into the job's log
        return _Training(settings, context, learner or _models(settings)).run()

    return work


class _Training:
    """One job after its samples are ready."""

    def __init__(self, settings: Settings, context: JobContext, learner: Learner) -> None:
        self._settings = settings
        self._context = context
        self._learner = learner
        self._project = context.job.project
        self._dataset = dataset_folder(settings, self._project)
        self._record = TrainingRecord(context.folder)
        self._base = weights_version(settings)
        known = sample_store(settings).known_project(self._project)
        since = _seconds(known.created_at) if known is not None else 0.0
        self._line = VersionLine(settings.shared_folder, self._project, since)
        self._client = client_of(settings)

    def run(self) -> str:
        """Train, publish, tell; the job's last line."""
        with self._line.training():
            try:
                published = self._published()
                version = published if published is not None and self._has_learned_all(published) else self._train(published)
            finally:
                self._line.discard_drafts()
            if isinstance(version, Version):
                for name in self._line.prune(self._settings.kept_versions):
                    print(f"removed the old version {name}")  # noqa: T201
        if isinstance(version, Version):
            told = self._tell(version)
            self._draw(version)
            version = f"{version.name} serves: {compared(version.manifest)}; {told}"
        self._record.tidy()
        return version

    def _published(self) -> Version | None:
        """The version that an earlier attempt of this job has published before it was killed."""
        publishes = self._record.told.get("publishes")
        found = next((version for version in self._line.versions() if version.manifest.to_json() == publishes), None)
        if found is not None and not self._record.told.get("published"):
            self._line.serve(found, instead_of=self._record.told.get("instead_of"))
        return found

    def _has_learned_all(self, published: Version) -> bool:
        """False if more came after the job was broken off: the jobs that came with it were merged into this one."""
        return bool(self._record.told.get("lesson") == lesson_of(self._dataset, published.name))

    def _train(self, published: Version | None) -> Version | str:
        """A version that serves now, or why there is none.

        Args:
            published: by an earlier attempt of this job; the answer if there is nothing better.
        """
        serving = self._serving()
        parent = serving if serving is not None and serving.manifest.base.version == self._base else None
        served_by = parent.name if parent else self._base
        lesson = lesson_of(self._dataset, served_by)
        if last_lesson(self._line) == lesson:
            nothing_new = f"nothing new: the last job of this project has learned from these very samples, and {served_by} goes on serving"
            return published or nothing_new
        name = f"{self._base}.p{self._project}.v{self._line.next_number()}"
        draft = self._line.new_draft()
        self._record.note(version=name, published=published is not None)
        tuned = self._fine_tune(name, parent, draft)
        if isinstance(tuned, str):
            return published or tuned
        manifest = read_manifest(draft)
        self._record.note(candidate=manifest.to_json())
        if not tuned.is_better:
            note_lesson(self._line, lesson)
            return published or f"no improvement: {compared(manifest)}; {served_by} goes on serving"
        learned = lesson_of(self._dataset, name)
        instead_of = serving.name if serving else None
        self._record.note(
            tasks=self._doubtful(), lesson=learned, publishes=manifest.to_json(), instead_of=instead_of, published=False
        )  # fmt: skip
        version = self._line.publish(draft)
        self._record.note(published=True)
        note_lesson(self._line, learned)
        return version

    def _fine_tune(self, name: str, parent: Version | None, draft: Path) -> FineTuned | str:
        from models import FineTuneError, FineTuning

        request = FineTuning(
            base=weights_place(self._settings),
            parent=parent.folder if parent else None,
            dataset=self._dataset,
            run_dir=self._context.folder / "run",
            out=draft,
            version=name,
            config=_configuration(self._settings),
            replay=self._settings.replay_dataset,
        )
        try:
            return self._learner.fine_tune(request, self._on_progress)
        except FineTuneError as error:
            return f"nothing to learn from yet: {error}"

    def _serving(self) -> Version | None:
        try:
            return self._line.serving()
        except VersionError as error:
            logger.warning("%s; the base weights are trained from", error)
            return None

    def _on_progress(self, progress: FineTuneProgress) -> None:
        figures = dict(progress.figures)
        if "validation" in figures:
            before = [point for point in self._record.told.get("curve") or [] if point["epoch"] < progress.epoch]
            self._record.told["curve"] = [*before, {"epoch": progress.epoch, **figures}]
        place = {"epoch": progress.epoch, "epochs": progress.epochs, "step": progress.step, "steps": progress.steps}
        if self._record.note_now_and_then(**place, figures=figures):
            told = "".join(f", {name} {value:.3f}" for name, value in figures.items())
            self._context.report(f"epoch {progress.epoch} of {progress.epochs}, step {progress.step} of {progress.steps}{told}")

    # --- once it serves

    def _doubtful(self) -> list[int]:
        """Tasks to predict again, in their order, asked for while Label Studio still tells the scores of the older version."""
        if self._client is None or not self._settings.refreshed_tasks:
            return []
        try:
            return doubtful_tasks(self._client, self._project)[: self._settings.refreshed_tasks]
        except BackendError as error:
            print(f"which tasks to predict again cannot be told: {error}")  # noqa: T201
            return []

    def _tell(self, version: Version) -> str:
        """Tell Label Studio, and predict again. The version serves whatever comes of this, so nothing here fails the job."""
        if self._client is None:
            return "Label Studio is not told, as no address is set"
        try:
            time.sleep(ADOPTION_SECONDS)
            Announcer(self._client, self._settings, self._base).tell(self._line)
            return self._refresh(self._client, version)
        except BackendError as error:
            return f"Label Studio was not told all of it: {error}"

    def _draw(self, version: Version) -> None:
        """Pictures for the page, of what it changed; it serves already, and is as good without them."""
        from models import write_before_after

        self._context.report(f"{version.name} serves; its pictures are drawn")
        try:
            parent = version.manifest.parent
            before = self._line.find(parent).folder if parent else weights_place(self._settings)
            engines = self._learner.load(before), self._learner.load(version.folder)
            write_before_after(version.folder / PICTURES, *engines, self._dataset)
        except Exception:  # whatever it is, the job has done its work
            logger.exception("%s gets no pictures", version.name)

    def _refresh(self, client: LabelStudioClient, version: Version) -> str:
        tasks: list[int] = self._record.told.get("tasks") or []
        serving = self._line.serving()
        if serving is None or serving.name != version.name:
            return "it was rolled back meanwhile"
        if not tasks:
            return "no older prediction to make anew"
        done = 0

        def on_report(report: Any) -> None:
            nonlocal done
            done += 1
            self._context.report(f"{version.name} serves; predicted task {done} of {len(tasks)} again")

        summary = refresh(client, self._project, tasks, self._learner.load(version.folder), self._settings, on_report)
        for reason, failed in summary.tasks_by_reason.items():
            print(f"{reason} (tasks {', '.join(map(str, failed[:10]))})")  # noqa: T201
        return f"{done - summary.counts['failed']} of {len(tasks)} older predictions made anew"


def _configuration(settings: Settings) -> FineTuneConfig:
    """How much is learned and how fast, as the weights were made: small ones here, or published ones by their authors."""
    from models import FineTuneConfig, published_finetuning

    made_by = str(find_weights(weights_place(settings)).manifest.get("config", ""))
    config = published_finetuning() if made_by.startswith(_PUBLISHED) else FineTuneConfig()
    config = replace(config, device=settings.device)
    if settings.train_steps is None:
        return config
    return replace(config, steps=settings.train_steps, label_steps=min(settings.train_steps, config.label_steps))


def _models(settings: Settings) -> Learner:
    from models import fine_tune, load_engine

    return Learner(fine_tune, lambda folder: load_engine(folder, device=settings.device, options=settings.engine_options))


def _seconds(time_of_label_studio: str) -> float:
    """Whole seconds, as in the project's ``ID.EPOCH``."""
    try:
        return float(int(datetime.fromisoformat(time_of_label_studio).timestamp()))
    except ValueError:
        return 0.0
