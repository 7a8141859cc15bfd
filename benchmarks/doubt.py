"""Which of the engine's own signs tell best that a pre-annotated task is wrong, on scenes that training never saw.

Run alone: ``.venv/bin/python benchmarks/doubt.py``. Every scene is a task: it is asked for the words of the objects that are in it
and of as many that are not. What a person would have to correct is 1 - IoU of the task, the mean over labels that are there or were found.
A sign is good if doubt goes with that (Spearman), and if the tasks that it trusts are right: area under the risk-coverage curve, told as
the share of the way from a random order (0), which is the peer, to the best possible one (1).
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from models import load_engine
from models.answer import Evidence, Judged
from models.data.emoji_scenes import CLASSES, SceneSet, ways_to_say
from models.doubt import AGGREGATES, CANDIDATES, disagreement
from models.evaluation import union_of
from models.evaluation_splits import prepare_split
from models.ssp_sam.engine import SspSamEngine
from models.types import BoolMask

SPLITS = ("openmoji", "held-out-scenes")
SCENES_OF_A_SPLIT = 500
"""As many as ``wordmask evaluate`` makes, so that both share the folder."""

LEAST_ABSENT = 4

Row = dict[str, Any]
"""One label of one scene: what the engine knew, and what was right."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="tiny", help="profile or weights folder")
    parser.add_argument("--scenes", type=int, default=100, help="of each split")
    parser.add_argument("--data", type=Path, default=Path("runs/evaluation"))
    parser.add_argument("--rows", type=Path, default=Path("runs/doubt"), help="folder of what was measured; a stopped run goes on")
    arguments = parser.parse_args()

    engine = load_engine(arguments.profile, device="cpu")
    assert isinstance(engine, SspSamEngine), "the benchmark looks at what only this engine tells"
    results = {}
    for split in SPLITS:
        scenes = prepare_split(split, SCENES_OF_A_SPLIT, arguments.data)
        rows = measured(arguments.rows / f"{engine.version}-{split}.jsonl", engine, scenes, arguments.scenes)
        results[split] = compare(rows)
        show(f"{engine.version}, {split}, {len(rows)} tasks", results[split])
    print(json.dumps({"version": engine.version, "scenes": arguments.scenes, **results}))


def measured(path: Path, engine: SspSamEngine, scenes: SceneSet, count: int) -> list[list[Row]]:
    """The labels of the first ``count`` scenes, scene by scene; what is in the file already is not measured again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    with path.open("a", encoding="utf-8") as file:
        for index in range(len(known), count):
            known.append(list(_label_rows(engine, scenes, index)))
            file.write(json.dumps(known[-1]) + "\n")
            file.flush()
    return known[:count]


def _label_rows(engine: SspSamEngine, scenes: SceneSet, index: int) -> Iterator[Row]:
    meta = scenes.meta(index)
    height, width = meta.size_hw
    image, ids = np.ascontiguousarray(scenes.image(index)[:height, :width]), scenes.ids(index)[:height, :width]
    present = list(dict.fromkeys(one.name for one in meta.objects))
    rng = np.random.default_rng([zlib.crc32(str(scenes.manifest["split"]).encode()), index])
    absent = [str(name) for name in rng.permutation(sorted(set(CLASSES) - set(present)))[: max(LEAST_ABSENT, len(present))]]
    names = present + absent
    plain, with_article, other_word = (
        engine.segment_judged(image, phrases)
        for phrases in (names, [f"the {name}" for name in names], [ways_to_say(name)[-1] for name in names])
    )
    for place, name in enumerate(names):
        truth = np.isin(ids, [one.id for one in meta.objects if one.name == name])
        mask = _mask(plain[place], truth.shape)
        yield {
            **asdict(plain[place].evidence),
            "is_there": bool(truth.any()),
            "iou": 1.0 - disagreement(mask, truth),
            "article": disagreement(mask, _mask(with_article[place], truth.shape)),
            "synonym": disagreement(mask, _mask(other_word[place], truth.shape)),
        }


def _mask(judged: Judged, size_hw: tuple[int, ...]) -> BoolMask:
    return union_of(judged.segments, size_hw)


def compare(tasks: Sequence[Sequence[Row]]) -> dict[str, Any]:
    """Figures of every sign and every way to sum it up over a task's labels."""
    risks = np.array([_risk(rows) for rows in tasks])
    figures: dict[str, Any] = {"risk": float(risks.mean())}
    for sign in (*CANDIDATES, "disagreement of article", "disagreement of synonym"):
        for aggregate, summed in AGGREGATES.items():
            doubts = np.array([summed([_doubt(sign, row) for row in rows], [_evidence(row) for row in rows]) for rows in tasks])
            figures[f"{sign}, {aggregate}"] = {
                "spearman": float(spearmanr(doubts, risks).statistic) if np.ptp(doubts) else 0.0,
                "aurc_share": _aurc_share(doubts, risks),
            }
    return figures


def _doubt(sign: str, row: Row) -> float:
    if sign.startswith("disagreement"):
        return float(row[sign.rpartition(" ")[2]])
    return CANDIDATES[sign](_evidence(row))


def _evidence(row: Row) -> Evidence:
    return Evidence(**{name: row[name] for name in Evidence.__dataclass_fields__})


def _risk(rows: Sequence[Row]) -> float:
    counted = [1.0 - row["iou"] for row in rows if row["is_there"] or row["is_found"]]
    return float(np.mean(counted)) if counted else 0.0


def _aurc_share(doubts: npt.NDArray[np.float64], risks: npt.NDArray[np.float64]) -> float:
    """How much of the way from the random order (0) to the best possible one (1) the area under the risk-coverage curve has come."""
    random = float(risks.mean())
    best = _area(np.sort(risks))
    return (random - _area(risks[np.argsort(doubts, kind="stable")])) / (random - best)


def _area(risks: npt.NDArray[np.float64]) -> float:
    return float((np.cumsum(risks) / np.arange(1, len(risks) + 1)).mean())


def show(title: str, figures: dict[str, Any]) -> None:
    print(f"{title}; mean risk {figures['risk']:.3f}, which is the random order's area")
    print(f"  {'sign, over the labels':44}{'spearman':>10}{'of the best order':>20}")
    rows = [(name, row) for name, row in figures.items() if name != "risk"]
    for name, row in sorted(rows, key=lambda item: -item[1]["aurc_share"]):
        print(f"  {name:44}{row['spearman']:10.3f}{row['aurc_share']:20.3f}")


if __name__ == "__main__":
    main()
