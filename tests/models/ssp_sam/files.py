"""Files as SSP-SAM's, SAM's and CLIP's authors publish them, of networks of any size."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path

import torch

from models.ssp_sam.checkpoint import FrozenPart, Layout, export_official
from models.ssp_sam.model import SspSam


def write_official(path: Path, model: SspSam, layout: Layout = "saved", leave_out: Collection[FrozenPart] = ()) -> Path:
    """A checkpoint as the official training writes it, optimizer and arguments beside the weights."""
    state = export_official(model, layout, leave_out=leave_out)
    optimizer = {"state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.zeros(1000)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
    args = argparse.Namespace(lr=1e-4, transforms=[{"type": "Resize", "size": 224}])
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"model": state, "optimizer": optimizer, "lr_scheduler": {"epoch": 3}, "epoch": 3, "args": args}, path)
    return path


def write_sam(path: Path, model: SspSam) -> Path:
    """A whole SAM."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(model.sam.state_dict(), path)
    return path


def write_clip_archive(path: Path, model: SspSam) -> Path:
    """A CLIP in half precision inside a TorchScript archive, with OpenAI's three plain numbers; filter the warnings of TorchScript."""
    tensors = {name: tensor.half() for name, tensor in model.clip.state_dict().items()}
    extras = {name: torch.tensor(32) for name in ("input_resolution", "context_length", "vocab_size")}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.jit.script(as_module(tensors | extras)).save(path)
    return path


def as_module(tensors: dict[str, torch.Tensor]) -> torch.nn.Module:
    """A module that holds the tensors under their dotted names and computes nothing."""
    root = torch.nn.Module()
    for name, tensor in tensors.items():
        *path, last = name.split(".")
        module = root
        for part in path:
            if not hasattr(module, part):
                module.add_module(part, torch.nn.Module())
            module = getattr(module, part)
        module.register_buffer(last, tensor)
    return root
