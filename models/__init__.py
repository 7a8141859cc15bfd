"""Text-prompted segmentation models. The names below are public; each is loaded when first used.

``import models`` loads no torch, so that a web server, a test or a command line can read the value types at no cost.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.answer import SAME_OBJECT_IOU, Evidence, Judged, JudgingEngine
    from models.before_after import write_before_after
    from models.checkpoints.convert import convert_checkpoint
    from models.checkpoints.registry import Checkpoint, Profile, Registry, RegistryError, UpstreamPart, read_registry
    from models.checkpoints.verify import CheckpointReport, verify_checkpoint
    from models.coco_files import evaluate_coco_files
    from models.data.dataset_folder import DatasetError, DatasetFolder, DatasetWriter
    from models.data.readers import (
        DATASET_FORMATS,
        DatasetReadError,
        DatasetReading,
        DatasetSource,
        ReaderRemark,
        detect_dataset_format,
        read_dataset,
    )
    from models.data.sample import Category, Expression, Sample, Target
    from models.dataset_evaluation import EVALUATION_TASKS, Selection, evaluate_dataset, select_samples
    from models.device_report import DeviceReport, list_devices
    from models.digests import image_digest
    from models.doubt import answer_doubt, proposal_doubt, segment_judged, task_doubt
    from models.engine import Engine, EngineMemoryError, PlacedEngine
    from models.engine_options import EngineOptions
    from models.evaluation_splits import REPORTED_SPLITS, evaluate_split, prepare_split
    from models.figures import figure_tables
    from models.finetuning.finetune import fine_tune
    from models.finetuning.request import (
        FineTuneConfig,
        FineTuned,
        FineTuneError,
        FineTuneProgress,
        FineTuning,
        published_finetuning,
    )
    from models.image_vectors import image_vector
    from models.loading import load_engine
    from models.masks import coco_rle_to_mask, mask_to_coco_rle
    from models.model_card import ModelCard
    from models.phrase_parts import parts_of
    from models.proposal_figure import draw_stages
    from models.proposals import Proposal, ProposalOptions, Proposals, ProposalStages, ProposingEngine
    from models.render import draw_overlay
    from models.report.charts import Series, line_chart
    from models.report.comparison_page import write_comparison
    from models.report.page import write_report
    from models.results.comparison import compare_results
    from models.results.document import Results, RowWriter, load_results, save_results
    from models.results.scenes import evaluate_split_with_rows
    from models.results.tables import comparison_tables, instance_tables, result_tables
    from models.selection import choose_batch
    from models.training.photograph_recipe import PHOTOGRAPH_RECIPES, train_on_photographs
    from models.training.sam_mi_recipe import train_sam_mi
    from models.training.tiny_recipe import TrainingRun, train_tiny
    from models.types import BoolMask, Box, RgbImage, Segment
    from models.version_folder import VersionManifest, read_version
    from models.weights_folder import WeightsError, WeightsFolder, find_weights, profiles

_HOME_OF = {
    "BoolMask": "models.types",
    "Box": "models.types",
    "Category": "models.data.sample",
    "Checkpoint": "models.checkpoints.registry",
    "CheckpointReport": "models.checkpoints.verify",
    "DATASET_FORMATS": "models.data.readers",
    "DatasetError": "models.data.dataset_folder",
    "DatasetFolder": "models.data.dataset_folder",
    "DatasetReadError": "models.data.readers",
    "DatasetReading": "models.data.readers",
    "DatasetSource": "models.data.readers",
    "DatasetWriter": "models.data.dataset_folder",
    "DeviceReport": "models.device_report",
    "EVALUATION_TASKS": "models.dataset_evaluation",
    "Engine": "models.engine",
    "EngineMemoryError": "models.engine",
    "EngineOptions": "models.engine_options",
    "Evidence": "models.answer",
    "Expression": "models.data.sample",
    "Judged": "models.answer",
    "JudgingEngine": "models.answer",
    "FineTuneConfig": "models.finetuning.request",
    "FineTuneError": "models.finetuning.request",
    "FineTuneProgress": "models.finetuning.request",
    "FineTuned": "models.finetuning.request",
    "FineTuning": "models.finetuning.request",
    "ModelCard": "models.model_card",
    "PHOTOGRAPH_RECIPES": "models.training.photograph_recipe",
    "PlacedEngine": "models.engine",
    "Profile": "models.checkpoints.registry",
    "Proposal": "models.proposals",
    "ProposalOptions": "models.proposals",
    "ProposalStages": "models.proposals",
    "Proposals": "models.proposals",
    "ProposingEngine": "models.proposals",
    "REPORTED_SPLITS": "models.evaluation_splits",
    "ReaderRemark": "models.data.readers",
    "Registry": "models.checkpoints.registry",
    "RegistryError": "models.checkpoints.registry",
    "Results": "models.results.document",
    "RgbImage": "models.types",
    "RowWriter": "models.results.document",
    "SAME_OBJECT_IOU": "models.answer",
    "Sample": "models.data.sample",
    "Segment": "models.types",
    "Selection": "models.dataset_evaluation",
    "Series": "models.report.charts",
    "Target": "models.data.sample",
    "TrainingRun": "models.training.tiny_recipe",
    "UpstreamPart": "models.checkpoints.registry",
    "VersionManifest": "models.version_folder",
    "WeightsError": "models.weights_folder",
    "WeightsFolder": "models.weights_folder",
    "answer_doubt": "models.doubt",
    "choose_batch": "models.selection",
    "coco_rle_to_mask": "models.masks",
    "compare_results": "models.results.comparison",
    "comparison_tables": "models.results.tables",
    "convert_checkpoint": "models.checkpoints.convert",
    "detect_dataset_format": "models.data.readers",
    "draw_overlay": "models.render",
    "draw_stages": "models.proposal_figure",
    "evaluate_coco_files": "models.coco_files",
    "evaluate_dataset": "models.dataset_evaluation",
    "evaluate_split": "models.evaluation_splits",
    "evaluate_split_with_rows": "models.results.scenes",
    "figure_tables": "models.figures",
    "find_weights": "models.weights_folder",
    "fine_tune": "models.finetuning.finetune",
    "image_digest": "models.digests",
    "image_vector": "models.image_vectors",
    "instance_tables": "models.results.tables",
    "line_chart": "models.report.charts",
    "list_devices": "models.device_report",
    "load_engine": "models.loading",
    "load_results": "models.results.document",
    "mask_to_coco_rle": "models.masks",
    "parts_of": "models.phrase_parts",
    "prepare_split": "models.evaluation_splits",
    "profiles": "models.weights_folder",
    "published_finetuning": "models.finetuning.request",
    "read_dataset": "models.data.readers",
    "read_registry": "models.checkpoints.registry",
    "read_version": "models.version_folder",
    "result_tables": "models.results.tables",
    "save_results": "models.results.document",
    "segment_judged": "models.doubt",
    "select_samples": "models.dataset_evaluation",
    "proposal_doubt": "models.doubt",
    "task_doubt": "models.doubt",
    "train_on_photographs": "models.training.photograph_recipe",
    "train_sam_mi": "models.training.sam_mi_recipe",
    "train_tiny": "models.training.tiny_recipe",
    "verify_checkpoint": "models.checkpoints.verify",
    "write_before_after": "models.before_after",
    "write_comparison": "models.report.comparison_page",
    "write_report": "models.report.page",
}

__all__ = [
    "DATASET_FORMATS",
    "EVALUATION_TASKS",
    "PHOTOGRAPH_RECIPES",
    "REPORTED_SPLITS",
    "SAME_OBJECT_IOU",
    "BoolMask",
    "Box",
    "Category",
    "Checkpoint",
    "CheckpointReport",
    "DatasetError",
    "DatasetFolder",
    "DatasetReadError",
    "DatasetReading",
    "DatasetSource",
    "DatasetWriter",
    "DeviceReport",
    "Engine",
    "EngineMemoryError",
    "EngineOptions",
    "Evidence",
    "Expression",
    "FineTuneConfig",
    "FineTuneError",
    "FineTuneProgress",
    "FineTuned",
    "FineTuning",
    "Judged",
    "JudgingEngine",
    "ModelCard",
    "PlacedEngine",
    "Profile",
    "Proposal",
    "ProposalOptions",
    "ProposalStages",
    "Proposals",
    "ProposingEngine",
    "ReaderRemark",
    "Registry",
    "RegistryError",
    "Results",
    "RgbImage",
    "RowWriter",
    "Sample",
    "Segment",
    "Selection",
    "Series",
    "Target",
    "TrainingRun",
    "UpstreamPart",
    "VersionManifest",
    "WeightsError",
    "WeightsFolder",
    "answer_doubt",
    "choose_batch",
    "coco_rle_to_mask",
    "compare_results",
    "comparison_tables",
    "convert_checkpoint",
    "detect_dataset_format",
    "draw_overlay",
    "draw_stages",
    "evaluate_coco_files",
    "evaluate_dataset",
    "evaluate_split",
    "evaluate_split_with_rows",
    "figure_tables",
    "find_weights",
    "fine_tune",
    "image_digest",
    "image_vector",
    "instance_tables",
    "line_chart",
    "list_devices",
    "load_engine",
    "load_results",
    "mask_to_coco_rle",
    "parts_of",
    "prepare_split",
    "profiles",
    "proposal_doubt",
    "published_finetuning",
    "read_dataset",
    "read_registry",
    "read_version",
    "result_tables",
    "save_results",
    "segment_judged",
    "select_samples",
    "task_doubt",
    "train_on_photographs",
    "train_sam_mi",
    "train_tiny",
    "verify_checkpoint",
    "write_before_after",
    "write_comparison",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Import the module that holds a public name, on first use."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'models' has no public name {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
