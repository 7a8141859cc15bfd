"""One image of a data set with what is marked in it and what is said about it: plain values, and their form in JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.masks import CocoRle, coco_rle_to_mask
from models.types import BoolMask, Box


@dataclass(frozen=True, slots=True)
class Category:
    """A class of objects; ``isthing`` is false for what cannot be counted, such as sky."""

    id: int
    name: str
    isthing: bool = True

    def to_json(self) -> dict[str, Any]:
        """As it stands in a manifest."""
        return {"id": self.id, "name": self.name, "isthing": self.isthing}


@dataclass(frozen=True, slots=True)
class Target:
    """One marked region of an image: a mask, or only a box where nothing better is known.

    Args:
        id: tells it from the other targets of its image.
        rle: COCO's compressed RLE of the mask, at the size of the image.
        box: in pixels; without ``rle`` it is all that is known (weak).
        label: name of its category.
        iscrowd: stands for several objects that are not told apart.
        attributes: whatever else the source knew, JSON values.

    Raises:
        ValueError: there is neither mask nor box, or the box has no area or no finite corner.
    """

    id: int
    rle: CocoRle | None
    box: Box | None = None
    label: str | None = None
    iscrowd: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rle is None and self.box is None:
            raise ValueError(f"target {self.id} has neither a mask nor a box; leave it out instead")
        if self.box is not None:
            x0, y0, x1, y1 = self.box
            if not all(map(math.isfinite, self.box)) or x1 <= x0 or y1 <= y0:
                raise ValueError(f"the box of target {self.id} must be (x0, y0, x1, y1) with x0 < x1 and y0 < y1, found {self.box}")

    def to_json(self) -> dict[str, Any]:
        """Without what is at its default, which keeps large sets small."""
        optional = {"rle": self.rle, "box": self.box and list(self.box), "label": self.label, "attributes": dict(self.attributes)}
        return {"id": self.id, **_without_nothing(optional), **({"iscrowd": True} if self.iscrowd else {})}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Target:
        """The reverse of :meth:`to_json`."""
        x0_y0_x1_y1 = record.get("box")
        box = None if x0_y0_x1_y1 is None else _to_box(x0_y0_x1_y1)
        return cls(
            record["id"], record.get("rle"), box, record.get("label"), bool(record.get("iscrowd", False)), record.get("attributes", {})
        )


@dataclass(frozen=True, slots=True)
class Expression:
    """Words about an image and the targets they refer to.

    Args:
        text: the words.
        target_ids: empty when the words refer to nothing in the image.
        kind: row of a result table, for example ``spatial``.
        split: of this expression; ``None``: that of its sample. In some sets one image serves several splits.
        id: as in the source.
    """

    text: str
    target_ids: tuple[int, ...]
    kind: str | None = None
    split: str | None = None
    id: int | str | None = None

    def to_json(self) -> dict[str, Any]:
        """Without what is at its default."""
        optional = {"kind": self.kind, "split": self.split, "id": self.id}
        return {"text": self.text, "target_ids": list(self.target_ids), **_without_nothing(optional)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Expression:
        """The reverse of :meth:`to_json`."""
        return cls(record["text"], tuple(record["target_ids"]), record.get("kind"), record.get("split"), record.get("id"))


@dataclass(frozen=True, slots=True)
class Sample:
    """One image with its targets and expressions.

    Args:
        image: path of the image file, relative to the folder of the data set or absolute.
        size_hw: height and width of the image in pixels.
        split: of all expressions that name none themselves.
        targets: what is marked; ids are unique.
        expressions: what is said; empty where the set has labels only.
        attributes: whatever else the source knew, JSON values.

    Raises:
        ValueError: ids are given twice, an expression names a target that is not there, or a mask has another size than the image.
    """

    image: str
    size_hw: tuple[int, int]
    split: str | None = None
    targets: tuple[Target, ...] = ()
    expressions: tuple[Expression, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.image or min(self.size_hw) < 1:
            raise ValueError(f"a sample needs the path and the size of its image, found {self.image!r} of {self.size_hw}")
        known = {target.id for target in self.targets}
        if len(known) != len(self.targets):
            raise ValueError(f"{self.image}: two targets have the same id; give each its own")
        for target in self.targets:
            if target.rle is not None and tuple(target.rle["size"]) != self.size_hw:
                raise ValueError(f"{self.image}: the mask of target {target.id} is {target.rle['size']}, the image {list(self.size_hw)}")
        for expression in self.expressions:
            if not known.issuperset(expression.target_ids):
                missing = sorted(set(expression.target_ids) - known)
                raise ValueError(f"{self.image}: {expression.text!r} refers to targets {missing}, which the sample does not have")

    def mask_of(self, target_ids: Iterable[int]) -> BoolMask:
        """The union of some targets' masks, bool ``[H, W]``; all false for none.

        Raises:
            ValueError: a target has only a box, or its RLE is damaged.
            KeyError: there is no such target.
        """
        by_id = {target.id: target for target in self.targets}
        union = np.zeros(self.size_hw, np.bool_)
        for target_id in target_ids:
            rle = by_id[target_id].rle
            if rle is None:
                raise ValueError(f"{self.image}: target {target_id} has only a box, a mask was asked for")
            union |= coco_rle_to_mask(rle)
        return union

    def split_of(self, expression: Expression) -> str | None:
        """The split that an expression of this sample belongs to."""
        return expression.split or self.split

    def to_json(self) -> dict[str, Any]:
        """One line of a data set."""
        optional = {"split": self.split, "attributes": dict(self.attributes)}
        return {
            "image": self.image,
            "size_hw": list(self.size_hw),
            **_without_nothing(optional),
            "targets": [target.to_json() for target in self.targets],
            "expressions": [expression.to_json() for expression in self.expressions],
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Sample:
        """The reverse of :meth:`to_json`.

        Raises:
            KeyError, TypeError, ValueError: the record is none.
        """
        height, width = record["size_hw"]
        targets = tuple(map(Target.from_json, record["targets"]))
        expressions = tuple(map(Expression.from_json, record["expressions"]))
        return cls(record["image"], (height, width), record.get("split"), targets, expressions, record.get("attributes", {}))


def _to_box(corners: Iterable[float]) -> Box:
    x0, y0, x1, y1 = corners
    return x0, y0, x1, y1


def _without_nothing(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None and value != {}}
