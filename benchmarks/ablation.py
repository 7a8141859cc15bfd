"""What every part of the label-list network is worth: rows 0 to 8 of the ablation, on scenes that training never saw.

Run alone: ``.venv/bin/python benchmarks/ablation.py``; ``--write docs/ablation.md`` also keeps the tables. All rows stand on the same
weights: a part is taken away by shutting its gates, which is what the network knew while a tenth of its training images had no mask at
all. Masks are asked on SAM's 32 x 32 grid up to row 5, afterwards at our own points. Weights without a trained network, and trained ones
beside their own table, give the table of the zero-training mode, where the soft correction stands for the low-frequency injection and
nothing for the high-frequency one.

The last line is one JSON object: mode -> row -> split -> figures in percent.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

sys.path.insert(0, str(Path(__file__).parents[1]))  # for what is not installed: tools, and the files beside this one

from benchmarks.ablation_masks import Damage, anywhere, damaged, eroded, eroded_and_shifted, exactly, shifted, whole_grid
from models.data.emoji_scenes import CLASSES, SceneSet
from models.embedding_cache import EmbeddingCache
from models.evaluation_splits import prepare_split
from models.proposal_evaluation import LabelledImage, labelled_scenes
from models.proposals import EVERYTHING
from models.sam_mi.aggregation import JoinedMasks
from models.sam_mi.cost_map import Evidence
from models.sam_mi.engine import SamMiEngine
from models.sam_mi.injection import GATES
from models.sam_mi.model import SamMi
from models.sam_mi.pixels import label_map
from models.sam_mi.proposer import Frames, Look, Proposer
from models.sam_mi.question import ask
from models.sam_mi.region_points import Points
from models.sam_mi.sam_proposals import SamMasks, no_masks
from models.sam_mi.trained import TrainedProposer
from models.sam_mi.vote import vote
from models.sam_mi.weights import build_engine
from models.semantic_metrics import BACKGROUND, Counts, LabelMap, count_pairs, semantic_scores
from models.weights_folder import find_weights

SCENES_OF_A_SPLIT = 500
"""As many as ``wordmask evaluate`` makes, so that both share the folder."""
SPLITS = ("held-out-scenes", "compositions", "openmoji")
SEED = 9
CACHE_BYTES = 2**24
"""Modes share what they see of one image; of the images before nothing needs to stay."""
POINT_COUNTS = (8, 16, 41, 64)

Where = Literal["grid", "own"] | int
"""Which points SAM is asked at: all of the grid, our own, or so many."""
Use = Literal["nothing", "vote", "low", "high", "both", "soft", "injected and soft", "shipped"]
"""What becomes of the masks: they vote, are injected, correct softly what is seen, both of these, or what the weights' preset says."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    number: str
    title: str
    use: Use
    where: Where = "own"
    joined: bool = True
    damage: Damage | None = None
    trained_only: bool = False
    """Without training, there is no injection, and nothing at high frequency at all."""


ROWS = (
    Row("0", "base: no masks", "nothing"),
    Row("1", "masks of the grid vote by majority", "vote", "grid", joined=False),
    Row("2", "masks of the grid, low frequency alone", "low", "grid", joined=False),
    Row("3", "masks of the grid, high frequency alone", "high", "grid", joined=False, trained_only=True),
    Row("4", "masks of the grid, both frequencies", "both", "grid", joined=False, trained_only=True),
    Row("5", "the row before + aggregation of masks", "both", "grid"),
    Row("6", "5 at our own points", "both"),
    Row("6i", "6 and the soft correction", "injected and soft", trained_only=True),
    Row("6s", "the soft correction alone", "soft", trained_only=True),
    Row("6v", "our masks vote by majority instead", "vote"),
    Row("6w", "as shipped: the soft correction, then masks that agree decide", "shipped"),
    Row("7a", "as shipped, every mask eroded by 10 %", "shipped", damage=eroded),
    Row("7b", "as shipped, every mask shifted by 10 %", "shipped", damage=shifted),
    Row("7c", "as shipped, eroded and shifted", "shipped", damage=eroded_and_shifted),
    Row("7d", "as shipped, every mask at a random place", "shipped", damage=anywhere),
    Row("7v", "6v, eroded and shifted", "vote", damage=eroded_and_shifted),
    *(Row(f"8.{count}", f"as shipped, at {count} points", "shipped", count) for count in POINT_COUNTS),
    Row("8.1024", "as shipped, at 1024 points", "shipped", "grid"),
)


class Mode:
    """One way to answer: a proposer, and for the trained one its network with parts taken away.

    Args:
        name: for tables.
        engine: everything switched on.
    """

    def __init__(self, name: str, engine: SamMiEngine) -> None:
        self.name, self.encode = name, engine._images.features
        self.proposer: Proposer = engine._proposer
        proposer = self.proposer
        self.is_trained = isinstance(proposer, TrainedProposer)
        self.variants: dict[str, Proposer] = {}
        if isinstance(proposer, TrainedProposer):
            strength = proposer.preset.trained_correction
            self.variants = {
                "both": using(proposer, inject_masks=True, trained_correction=0.0),
                "low": using(without(proposer, "high"), inject_masks=True, trained_correction=0.0),
                "high": using(without(proposer, "low"), inject_masks=True, trained_correction=0.0),
                "soft": using(proposer, inject_masks=False, trained_correction=strength),
                "injected and soft": using(proposer, inject_masks=True, trained_correction=strength),
            }

    @property
    def rows(self) -> tuple[Row, ...]:
        """Those that mean something."""
        return tuple(row for row in ROWS if self.is_trained or not row.trained_only)


def using(proposer: TrainedProposer, *, inject_masks: bool, trained_correction: float) -> TrainedProposer:
    """The same, with masks put to another use."""
    changed = copy.copy(proposer)
    changed.preset = replace(proposer.preset, inject_masks=inject_masks, trained_correction=trained_correction)
    return changed


def without(proposer: TrainedProposer, half: str) -> TrainedProposer:
    """The same, with the gates of one half of the injection shut."""
    network: SamMi = copy.deepcopy(proposer.network)
    for gate in GATES[half]:
        network.get_parameter(gate).zero_()
    changed = copy.copy(proposer)
    changed.network = network
    return changed


class Case:
    """One image in one mode; masks are made when first asked for, and once.

    Args:
        mode: how to answer.
        wanted: the image with its right answers.
        grid: keeps the masks of the grid, the same in all modes, under their key.
    """

    def __init__(self, mode: Mode, wanted: LabelledImage, grid: dict[Where, SamMasks]) -> None:
        self.mode, self.wanted, self.features = mode, wanted, mode.encode(wanted.image)
        height, width = wanted.label_map.shape
        self.frames = Frames.of((height, width), mode.proposer.model.config)
        question = ask(CLASSES, mode.proposer.preset.background_words, EVERYTHING.stuff)
        self.look: Look = mode.proposer.look(self.features.clip_tokens, self.frames, question)
        self.side = self.look.words.nothing.shape[-1]
        self._grid = grid
        self._asked: dict[Where, SamMasks] = {}
        self._made: dict[tuple[Where, bool, Damage | None], tuple[SamMasks, LabelMap]] = {}

    @cached_property
    def own_points(self) -> Points:
        return self.mode.proposer.place_points(self.look, self.features, self.frames)

    @cached_property
    def base(self) -> Evidence:
        """What is seen without any mask."""
        nothing = no_masks(self.side, self.features.clip_tokens.device)
        return self.mode.proposer.refine(self.look, JoinedMasks(nothing, ()), self.features, self.frames)

    def points(self, where: Where) -> Points:
        if where == "own":
            return self.own_points
        if where == "grid":
            return whole_grid(self.frames.clip, self.side // 2)
        return exactly(self.own_points, where, self.frames.clip, self.side // 2)

    def masks(self, row: Row, rng: np.random.Generator) -> tuple[SamMasks, LabelMap]:
        """What the row works with, and what the ground truth would make of it."""
        key = row.where, row.joined, row.damage
        if key not in self._made:
            masks = self._ask(row.where)
            if row.damage is not None:
                masks = damaged(masks, row.damage, rng)
            if row.joined:
                seen = self.mode.proposer.describe(masks, self.look)
                masks = self.mode.proposer.join(masks, seen, self.look, self.frames, join_things=True).masks
            truth = self.wanted.label_map
            self._made[key] = masks, vote(masks, truth, np.zeros_like(truth), self.frames.clip)
        return self._made[key]

    def _ask(self, where: Where) -> SamMasks:
        known = self._grid if where == "grid" else self._asked
        if where not in known:
            known[where] = self.mode.proposer.ask_sam(self.points(where), self.features, self.frames)
        return known[where]

    def pixels(self, words: Evidence) -> LabelMap:
        return label_map(words, self.look.question.place, self.frames.clip)

    def answer(self, row: Row, masks: SamMasks) -> LabelMap:
        """The label of every pixel."""
        if row.use == "nothing":
            return self.pixels(self.base)
        if row.use == "vote":
            words = self.pixels(self.base)
            return vote(masks, words, words, self.frames.clip)
        # Without training nothing can be injected: there, the soft correction stands for it.
        proposer = self.mode.variants.get(row.use, self.mode.proposer)
        joined = JoinedMasks(masks, ())
        final = proposer.refine(self.look, joined, self.features, self.frames)
        return proposer.label_pixels(final, joined, self.look, self.frames) if row.use == "shipped" else self.pixels(final)


@dataclass
class Sums:
    """One row on one split."""

    found: Counts = field(default_factory=lambda: np.zeros((len(CLASSES) + 1,) * 2, np.int64))
    best: Counts = field(default_factory=lambda: np.zeros((len(CLASSES) + 1,) * 2, np.int64))
    points: int = 0
    masks: int = 0
    objects: int = 0
    images: int = 0

    def add(self, case: Case, row: Row) -> None:
        """Take in one image."""
        truth = case.wanted.label_map
        rng = np.random.default_rng([SEED, self.images])
        self.images += 1
        self.objects += len(case.wanted.objects)
        masks = no_masks(case.side, case.features.clip_tokens.device)
        if row.use != "nothing":
            masks, achievable = case.masks(row, rng)
            self.points += len(case.points(row.where).cells)
            self.masks += len(masks.logits)
            self.best += count_pairs(truth, achievable, len(CLASSES))
        self.found += count_pairs(truth, case.answer(row, masks), len(CLASSES))

    def figures(self) -> dict[str, float | None]:
        """mIoU and pixel accuracy; what masks labelled by the ground truth would reach; points per image, masks per object."""
        scores = semantic_scores(self.found, CLASSES, BACKGROUND)
        achievable = semantic_scores(self.best, CLASSES, BACKGROUND).miou if self.masks else None
        return {
            "miou": _percent(scores.miou),
            "pixel_accuracy": _percent(scores.pixel_accuracy),
            "achievable_miou": _percent(achievable),
            "points": self.points / self.images,
            "masks_per_object": self.masks / max(1, self.objects),
        }


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


@torch.inference_mode()
def measure(modes: Sequence[Mode], scenes: SceneSet, count: int) -> dict[str, dict[str, dict[str, float | None]]]:
    """Mode -> row -> figures on the first scenes of one split."""
    sums = {mode.name: {row.number: Sums() for row in mode.rows} for mode in modes}
    images = labelled_scenes(scenes, CLASSES, count)
    for wanted in track(images, total=count, description=str(scenes.manifest["split"]), console=Console(stderr=True), transient=True):
        grid: dict[Where, SamMasks] = {}
        for mode in modes:
            case = Case(mode, wanted, grid)
            for row in mode.rows:
                sums[mode.name][row.number].add(case, row)
    return {mode: {number: one.figures() for number, one in rows.items()} for mode, rows in sums.items()}


def markdown(mode: Mode, figures: dict[str, dict[str, dict[str, float | None]]]) -> Iterator[str]:
    """The table of one mode, line by line; ``figures`` are split -> row -> figures."""
    splits = list(figures)
    yield f"### {mode.name}\n"
    yield f"| row | | {' | '.join(f'mIoU, {split}' for split in splits)} | achievable | points | masks per object |"
    yield "|---|---|" + "---:|" * (len(splits) + 3)
    for row in mode.rows:
        first = figures[splits[0]][row.number]
        cells = [_cell(figures[split][row.number]["miou"]) for split in splits]
        cells += [_cell(first[name]) if first["points"] else "-" for name in ("achievable_miou", "points", "masks_per_object")]
        yield f"| {row.number} | {row.title} | {' | '.join(cells)} |"


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def modes_of(profile: str) -> tuple[str, list[Mode]]:
    """Version of the weights, and the modes they allow."""
    folder, cpu = find_weights(profile), torch.device("cpu")
    cache = EmbeddingCache(CACHE_BYTES)
    modes = [Mode("zero-training", build_engine(folder, cpu, cache, trained=False))]
    if "sam_mi" in folder.manifest:
        modes.insert(0, Mode("trained", build_engine(folder, cpu, cache)))
    return folder.version, modes


def main() -> None:
    """Measure, print the tables, then the figures as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--profile", default="tiny", help="profile or weights folder")
    parser.add_argument("--scenes", type=int, default=100, help="of every split")
    parser.add_argument("--data", type=Path, default=Path("runs/evaluation"))
    parser.add_argument("--write", type=Path, help="Markdown file for the tables")
    asked = parser.parse_args()
    version, modes = modes_of(asked.profile)
    found = {split: measure(modes, prepare_split(split, SCENES_OF_A_SPLIT, asked.data), asked.scenes) for split in SPLITS}
    figures: dict[str, Any] = {mode.name: {split: found[split][mode.name] for split in SPLITS} for mode in modes}
    tables = "\n\n".join("\n".join(markdown(mode, figures[mode.name])) for mode in modes)
    print(tables)
    if asked.write is not None:
        command = f".venv/bin/python benchmarks/ablation.py --scenes {asked.scenes} --write {asked.write}"
        asked.write.write_text(PAGE.format(version=version, scenes=asked.scenes, command=command, tables=tables), encoding="utf-8")
    print(json.dumps({"version": version, "scenes": asked.scenes, "modes": figures}))


PAGE = """# What every part of label lists is worth

Weights `{version}`, the first {scenes} scenes of each split, all 118 labels asked on every image, every pixel judged. The command that
prints this page:

```
{command}
```

{tables}

"Achievable" is the mIoU on held-out scenes if every mask got the label that most of its pixels really have; points and masks are those of
held-out scenes, too, masks after what the row does with them. OpenMoji is artwork that training never saw.

All rows stand on the same weights. What a row leaves out is taken away by shutting its gates, or by giving the network no masks, which it
knows from training; a network trained without that part from the start may do better than its row says. Without training, the map of words
is the base and the soft correction by masks stands wherever masks are used; nothing is injected, hence fewer rows. Row 6w is what label
lists reach: the soft correction, after which a mask that one label mostly fills is of that label as a whole, up to SAM's own edge. How much
of each is chosen on calibration scenes, in `models/sam_mi/presets.py`.

"Eroded" takes the tenth of a mask's cells that lie nearest to its border, "shifted" moves it by a tenth of the root of its area in a random
direction, always every mask, before masks are aggregated.
Rows 8 take the best of our points, and where there are fewer, cells far from all of them.
"""


if __name__ == "__main__":
    main()
