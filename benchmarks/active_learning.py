"""Does correcting help, and does it matter which images are corrected? A simulated annotator in a real Label Studio, webhooks and all.

Run alone: ``.venv/bin/python benchmarks/active_learning.py`` (hours), or for a trial with ``--labels 6 --others 8 --pool 10 --rounds 4,8
--held-out 4 --base 4 --seeds 1 --steps 4``. The scenes are drawn with OpenMoji, artwork that the shipped weights never saw. As in most
pictures of the world, the labels of the project are a few of the many classes that they show (16 of 80, as many as COCO has): half of the
images show none of them, and nobody marks the rest. Where nearly every image shows some, as with ``--others 8``, there is less to choose.
After every round the Train button is pressed, and the version that serves is measured on scenes that nobody corrects.

``miou``: mean IoU over the labels that a held-out scene shows; ``strict``: also over those that were found where they are not, which
count 0. The same is measured on scenes of the same classes drawn with artwork that the weights know: the gap. ``base`` is the referring
mIoU there on all classes, which must not be forgotten. The peer of choosing by doubt is choosing at random, from the same tasks. A stopped
run goes on after its last finished round.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # for what is not installed: tools, and the files beside this one

from backend.versions.line import VersionLine
from benchmarks.learning_figure import draw_learning_curve
from benchmarks.simulated_annotator import Annotator, Place, running
from models import Engine, load_engine
from models.data.emoji_scenes import CLASSES, SPLITS, SceneSet, build_bank, generate
from models.doubt import disagreement
from models.evaluation import Sample, evaluate_referring, union_of
from models.evaluation_splits import EVALUATION_SEED, prepare_split, scene_samples

SCENES_OF_A_SPLIT = 500
"""As many as ``wordmask evaluate`` makes, so that both share the folder."""
CLASSES_SEED = 0
"""Draws the labels, and the other classes."""
POOLS = 2
"""Projects are drawn from so many times the tasks that they have, so that those of different seeds differ."""
SPARE = 3
"""So many times the scenes that measure are drawn, as only those that show a label do."""

STRATEGIES = ("random", "doubt", "select")
"""``doubt``: as Label Studio's label stream gives tasks out; ``select``: as ``wordmask select`` does."""

BASE = "base"
PROFILE = "tiny"


def main() -> None:
    options = _options()
    drawn = [str(name) for name in np.random.default_rng(CLASSES_SEED).permutation(CLASSES)[: options.labels + options.others]]
    labels = sorted(drawn[: options.labels])
    pools = POOLS * options.pool
    count = pools + SPARE * options.held_out
    scenes, known = (project_scenes(split, drawn, count, options.data) for split in ("openmoji", "test"))
    held_out, in_domain = (with_labels(some, labels, range(pools, count))[: options.held_out] for some in (scenes, known))
    fewest = min(len(held_out), len(in_domain))
    if fewest < options.held_out:
        sys.exit(f"only {fewest} of {options.held_out} held-out scenes show a label; ask for fewer --others or more --labels")
    everything = prepare_split("held-out-scenes", SCENES_OF_A_SPLIT, options.data)
    base_samples = list(islice(scene_samples(everything), options.base))
    measure = Measure(options.work / "measured.json", (scenes, held_out), (known, in_domain), labels, base_samples)
    base = measure(BASE, PROFILE)
    print(f"labels: {', '.join(labels)}", flush=True)
    print("before: " + ", ".join(f"{name} {value:.3f}" for name, value in base.items()), flush=True)
    curves: dict[str, list[list[dict[str, Any]]]] = {strategy: [] for strategy in options.strategies}
    with running(options.work, **settings(options.steps)) as place:
        for seed in range(options.seeds):
            pool = sorted(int(one) for one in np.random.default_rng(seed).choice(pools, options.pool, replace=False))
            for strategy in options.strategies:
                run = Run(place, Annotator(place, scenes, labels), measure, strategy, seed)
                curve: list[dict[str, Any]] = [{"corrected": 0, **base}]
                for one in run.rounds(options.work / f"{strategy}-{seed}.json", pool, options.rounds):
                    show(strategy, seed, one)
                    curve.append(one)
                curves[strategy].append(curve)
    figures = {**summary(curves, base, "miou"), "strict": summary(curves, base, "strict")}
    draw_learning_curve(options.figure, curves, base["known_miou"])
    for name, value in figures.items():
        print(f"{name:28}{json.dumps(value)}")
    print(json.dumps(figures))


def settings(steps: int) -> dict[str, str]:
    """Of a service on a machine that has nothing else to do; ``steps`` as the option."""
    return {
        "WORDMASK_TRAINER_NICENESS": "0",
        "WORDMASK_TRAINER_THREADS": str(os.cpu_count() or 1),
        "WORDMASK_REFRESHED_TASKS": "100000",
        **({"WORDMASK_TRAIN_STEPS": str(steps)} if steps else {}),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, default=16, help="classes of the project")
    parser.add_argument("--others", type=int, default=64, help="classes that its images show as well")
    parser.add_argument("--pool", type=int, default=240, help="tasks of a project")
    parser.add_argument("--rounds", type=lambda text: [int(one) for one in text.split(",")], default=[20, 50, 100], help="corrected in all")
    parser.add_argument("--held-out", type=int, default=120, help="scenes that measure")
    parser.add_argument("--base", type=int, default=60, help="scenes of the known domain that tell what is forgotten")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--strategies", type=lambda text: text.split(","), default=["random", "doubt"], help=", ".join(STRATEGIES))
    parser.add_argument("--steps", type=int, default=0, help="of a training job; 0: as a service does it")
    parser.add_argument("--data", type=Path, default=Path("runs/evaluation"))
    parser.add_argument("--work", type=Path, default=Path("runs/active-learning"), help="folder that a stopped run goes on from")
    parser.add_argument("--figure", type=Path, default=Path("runs/active-learning/learning-curve.png"))
    return parser.parse_args()


class Run:
    """One project from its first correction to its last; what is done is on disk.

    Args:
        place: where it is.
        annotator: who corrects.
        measure: what its versions are worth.
        strategy: how tasks are chosen.
        seed: of the pool and of random choices.
    """

    def __init__(self, place: Place, annotator: Annotator, measure: Measure, strategy: str, seed: int) -> None:
        self._place = place
        self._annotator = annotator
        self._measure = measure
        self._strategy = strategy
        self._seed = seed
        self._state: dict[str, Any] = {}

    def rounds(self, path: Path, pool: Sequence[int], targets: Sequence[int]) -> Iterator[dict[str, Any]]:
        """The rounds, those of an earlier run first.

        Args:
            path: of the state.
            pool: numbers of the scenes that are tasks.
            targets: how many are to be corrected after each round.
        """
        if path.exists():
            self._state = json.loads(path.read_text())
        else:
            project, tasks = self._annotator.new_project(f"{self._strategy} {self._seed}", pool)
            self._state = {"project": project, "tasks": {str(task): index for task, index in tasks.items()}, "done": [], "rounds": []}
            if self._strategy == "doubt":
                self._place.wordmask("preannotate", "--project", str(project))  # Label Studio's stream needs scores
        for target in targets:
            if all(one["corrected"] != target for one in self._state["rounds"]):
                self._round(path, target)
            yield next(one for one in self._state["rounds"] if one["corrected"] == target)

    def _round(self, path: Path, target: int) -> None:
        project, done, started = self._state["project"], self._state["done"], time.monotonic()
        tasks = {int(task): index for task, index in self._state["tasks"].items()}
        waiting, rng = [task for task in tasks if task not in done], np.random.default_rng([self._seed, target])
        for task in self._annotator.choose(self._strategy, project, waiting, target - len(done), rng):
            self._annotator.annotate(task, tasks[task])
            done.append(task)
            path.write_text(json.dumps(self._state))
        annotated = time.monotonic()
        said = self._annotator.train(project)
        trained = time.monotonic()
        serving = VersionLine(self._place.data_dir, project).serving()
        version, weights = (serving.name, str(serving.folder)) if serving else (BASE, PROFILE)
        figures = self._measure(f"{path.stem} {version}" if serving else BASE, weights)
        seconds = {"annotate": annotated - started, "train": trained - annotated, "all": time.monotonic() - started}
        self._state["rounds"].append({"corrected": target, **figures, "version": version, "said": said, "seconds": seconds})
        path.write_text(json.dumps(self._state))


Measuring = tuple[SceneSet, Sequence[int]]


class Measure:
    """Measures versions, each once.

    Args:
        path: of what was measured.
        new: scenes of the new domain, and the numbers of those that measure.
        known: the same for the domain of the weights.
        labels: of the project.
        base: scenes of the known domain, with all that is said of them, tell what is forgotten.
    """

    def __init__(self, path: Path, new: Measuring, known: Measuring, labels: Sequence[str], base: Sequence[Sample]) -> None:
        self._path = path
        self._new = new
        self._known = known
        self._labels = labels
        self._base = base

    def __call__(self, name: str, weights: str) -> dict[str, float]:
        """``miou`` and ``strict`` on the new domain, ``base``; of the base weights also ``known_miou`` and ``known_strict``."""
        measured = json.loads(self._path.read_text()) if self._path.exists() else {}
        if name not in measured:
            engine = load_engine(weights, device="cpu", cache_bytes=0)
            found = label_scores(engine, *self._new, self._labels)
            if name == BASE:
                found |= {f"known_{figure}": value for figure, value in label_scores(engine, *self._known, self._labels).items()}
            targets = evaluate_referring(engine, self._base)["all"].targets
            measured[name] = {**found, "base": targets.miou if targets else 0.0}
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps(measured, indent=1))
        return dict(measured[name])


def label_scores(engine: Engine, scenes: SceneSet, indices: Sequence[int], labels: Sequence[str]) -> dict[str, float]:
    """Mean IoU over the labels that scenes show, and over those together with the ones that were found where they are not."""
    there: list[float] = []
    false_alarms = 0
    for index in indices:
        meta = scenes.meta(index)
        height, width = meta.size_hw
        image, ids = np.ascontiguousarray(scenes.image(index)[:height, :width]), scenes.ids(index)[:height, :width]
        for label, segments in zip(labels, engine.segment(image, labels), strict=True):
            truth, found = np.isin(ids, [one.id for one in meta.objects if one.name == label]), union_of(segments, ids.shape)
            if truth.any():
                there.append(1.0 - disagreement(found, truth))
            elif found.any():
                false_alarms += 1
    return {"miou": float(np.mean(there)), "strict": float(np.sum(there) / (len(there) + false_alarms))}


def project_scenes(split: str, classes: Sequence[str], count: int, data: Path) -> SceneSet:
    """Scenes of a split that show some classes only; made if they are missing."""
    told = zlib.crc32(",".join(sorted(classes)).encode())
    bank = build_bank(data / "glyph_packages", SPLITS[split].styles).only(classes)
    folder = data / f"project-{split}-{count}-{told:08x}"
    return SceneSet(generate(folder, split, count, seed=EVALUATION_SEED, glyphs=bank, workers=1, progress=False))


def with_labels(scenes: SceneSet, labels: Sequence[str], among: Iterable[int]) -> list[int]:
    """Those of the scenes ``among`` that show one of the labels at least."""
    wanted = set(labels)
    return [index for index in among if wanted & {one.name for one in scenes.meta(index).objects}]


def summary(curves: Mapping[str, list[list[dict[str, Any]]]], base: Mapping[str, float], figure: str) -> dict[str, Any]:
    """What counts, over the seeds: of the last strategy, which is to be better than the first. ``figure`` is what is measured."""
    first, last = next(iter(curves)), list(curves)[-1]
    gap = base[f"known_{figure}"] - base[figure]
    areas = {strategy: [area(curve, figure) for curve in runs] for strategy, runs in curves.items()}
    over = [own - other for own, other in zip(areas[last], areas[first], strict=True)]
    seconds = [one["seconds"]["all"] for runs in curves.values() for curve in runs for one in curve[1:]]
    return {
        "gap": gap,
        "wanted_20": max(0.05, gap / 3),
        **_spread("gain_20", _gains(curves[last], base, figure, 20)),
        **_spread("gap_closed_100", [gain / gap for gain in _gains(curves[last], base, figure, 100)]),
        **_spread("forgetting", [base["base"] - curve[-1]["base"] for curve in curves[last]]),
        **_spread("auc_over_random", over),
        **{name: value for strategy, values in areas.items() for name, value in _spread(f"auc_{strategy}", values).items()},
        **_spread("seconds_of_a_round", seconds),
    }


def _gains(runs: Sequence[Sequence[Mapping[str, Any]]], base: Mapping[str, float], figure: str, corrected: int) -> list[float]:
    return [one[figure] - base[figure] for curve in runs for one in curve if one["corrected"] == corrected]


def area(curve: Sequence[Mapping[str, Any]], figure: str) -> float:
    """Mean of a figure over the number of corrected images."""
    places, values = [one["corrected"] for one in curve], [one[figure] for one in curve]
    return float(np.trapezoid(values, places) / (places[-1] - places[0]))


def _spread(name: str, values: Sequence[float]) -> dict[str, Any]:
    """The mean under the name itself, ``None`` of nothing, and beside it how far the seeds lie apart."""
    if not values:
        return {name: None}
    spread = {"sd": float(np.std(values)), "least": float(np.min(values)), "most": float(np.max(values))}
    return {name: float(np.mean(values)), f"{name}_spread": spread}


def show(strategy: str, seed: int, one: Mapping[str, Any]) -> None:
    seconds = one["seconds"]
    figures = "  ".join(f"{name} {one[name]:.3f}" for name in ("miou", "strict", "base"))
    spent = f"annotated in {seconds['annotate']:.0f} s, trained in {seconds['train']:.0f} s, {seconds['all']:.0f} s in all"
    print(f"{strategy:8}seed {seed}  {one['corrected']:4} corrected  {figures}  {spent}  {one['said'][:90]}", flush=True)


if __name__ == "__main__":
    main()
