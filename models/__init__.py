"""Text-prompted segmentation models. The names below are public; each is loaded when first used.

``import models`` loads no torch, so that a web server, a test or a command line can read the value types at no cost.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.checkpoints.registry import Checkpoint, Profile, Registry, RegistryError, read_registry
    from models.checkpoints.verify import CheckpointReport, verify_checkpoint
    from models.data.dataset_folder import DatasetWriter
    from models.data.sample import Category, Expression, Sample, Target
    from models.engine import Engine
    from models.evaluation_splits import REPORTED_SPLITS, evaluate_split, prepare_split
    from models.figures import figure_tables
    from models.image_digest import image_digest
    from models.loading import load_engine
    from models.masks import coco_rle_to_mask, mask_to_coco_rle
    from models.model_card import ModelCard
    from models.render import draw_overlay
    from models.training.tiny_recipe import TrainingRun, train_tiny
    from models.types import BoolMask, Box, RgbImage, Segment
    from models.weights_folder import WeightsError, WeightsFolder, find_weights, profiles

_HOME_OF = {
    "BoolMask": "models.types",
    "Box": "models.types",
    "Category": "models.data.sample",
    "Checkpoint": "models.checkpoints.registry",
    "CheckpointReport": "models.checkpoints.verify",
    "DatasetWriter": "models.data.dataset_folder",
    "Engine": "models.engine",
    "Expression": "models.data.sample",
    "ModelCard": "models.model_card",
    "Profile": "models.checkpoints.registry",
    "REPORTED_SPLITS": "models.evaluation_splits",
    "Registry": "models.checkpoints.registry",
    "RegistryError": "models.checkpoints.registry",
    "RgbImage": "models.types",
    "Sample": "models.data.sample",
    "Segment": "models.types",
    "Target": "models.data.sample",
    "TrainingRun": "models.training.tiny_recipe",
    "WeightsError": "models.weights_folder",
    "WeightsFolder": "models.weights_folder",
    "coco_rle_to_mask": "models.masks",
    "draw_overlay": "models.render",
    "evaluate_split": "models.evaluation_splits",
    "figure_tables": "models.figures",
    "find_weights": "models.weights_folder",
    "image_digest": "models.image_digest",
    "load_engine": "models.loading",
    "mask_to_coco_rle": "models.masks",
    "prepare_split": "models.evaluation_splits",
    "profiles": "models.weights_folder",
    "read_registry": "models.checkpoints.registry",
    "train_tiny": "models.training.tiny_recipe",
    "verify_checkpoint": "models.checkpoints.verify",
}

__all__ = [
    "REPORTED_SPLITS",
    "BoolMask",
    "Box",
    "Category",
    "Checkpoint",
    "CheckpointReport",
    "DatasetWriter",
    "Engine",
    "Expression",
    "ModelCard",
    "Profile",
    "Registry",
    "RegistryError",
    "RgbImage",
    "Sample",
    "Segment",
    "Target",
    "TrainingRun",
    "WeightsError",
    "WeightsFolder",
    "coco_rle_to_mask",
    "draw_overlay",
    "evaluate_split",
    "figure_tables",
    "find_weights",
    "image_digest",
    "load_engine",
    "mask_to_coco_rle",
    "prepare_split",
    "profiles",
    "read_registry",
    "train_tiny",
    "verify_checkpoint",
]


def __getattr__(name: str) -> Any:
    """Import the module that holds a public name, on first use."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'models' has no public name {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
