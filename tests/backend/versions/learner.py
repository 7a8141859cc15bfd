"""Fine-tuning in place of :func:`models.fine_tune` where a test is about what surrounds it: it keeps a checkpoint and writes a version."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from backend.versions.train import Learner
from models import Engine, FineTuned, FineTuneError, FineTuneProgress, FineTuning, find_weights, read_version
from models.data.dataset_folder import DatasetFolder
from models.finetuning.request import ReportProgress
from models.version_folder import Base, Scores
from tests.backend.versions.drafts import make_manifest, write_draft
from tests.factories import FakeEngine


@dataclass
class SmallLearner:
    """Counts steps; its version is as good as it saw samples, so that each correction improves it.

    Args:
        steps: how many.
        step_seconds: how long each takes.
        gain: what the version scores beyond the one it begins from, per sample.
        failure: raised before anything is written.
    """

    steps: int = 4
    step_seconds: float = 0.0
    gain: float = 0.01
    failure: Exception | None = None
    trained: int = 0

    @property
    def learner(self) -> Learner:
        """For a job."""
        return Learner(self.fine_tune, self.load)

    def fine_tune(self, request: FineTuning, report: ReportProgress) -> FineTuned:
        """As :func:`models.fine_tune`."""
        samples = list(DatasetFolder(request.dataset))
        if not samples:
            raise FineTuneError("there is nothing to learn from; correct more tasks")
        identity = {"version": request.version, "samples": [sample.to_json() for sample in samples]}
        self._count(request.run_dir, identity, report)
        if self.failure is not None:
            raise self.failure
        base = find_weights(request.base)
        parent = read_version(request.parent) if request.parent else None
        before = parent.candidate.mean if parent else 0.1
        manifest = make_manifest(
            request.version,
            parent=parent.version if parent else None,
            mean=before + self.gain * len(samples),
            before=before,
            base=Base(request.base, base.version, base.digest),
        )
        write_draft(request.out, manifest, request.version.encode())
        scores: dict[str, Scores] = {"serving": manifest.serving, "candidate": manifest.candidate}
        return FineTuned(request.out, scores, manifest.is_better, tuple(manifest.curve), manifest.wall_seconds)

    def load(self, place: str | Path) -> Engine:
        """An engine of what :meth:`fine_tune` has written, or of a profile."""
        return FakeEngine(version=read_version(place).version if isinstance(place, Path) else find_weights(place).version)

    def _count(self, run_dir: Path, identity: object, report: ReportProgress) -> None:
        run_dir.mkdir(parents=True, exist_ok=True)
        checkpoint = run_dir / "checkpoint.json"
        found = json.loads(checkpoint.read_text(encoding="utf-8")) if checkpoint.exists() else {}
        first = found["step"] + 1 if found.get("identity") == identity else 1
        for step in range(first, self.steps + 1):
            self.trained += 1
            part = checkpoint.with_suffix(".part")
            part.write_text(json.dumps({"identity": identity, "step": step}), encoding="utf-8")
            part.replace(checkpoint)
            report(FineTuneProgress(step, self.steps, step, self.steps, {"loss": 1 / step, "validation": 0.1 * step}))
            time.sleep(self.step_seconds)
