"""The folder of a run: what a killed one left is gone on from if it was the same run, and thrown away if not."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.weights_tensors import replacing

logger = logging.getLogger(__name__)

IDENTITY = "identity.json"
CHECKPOINTS = "steps"
"""Folder of what must not outlive a change of data or configuration; embeddings, which know what they are of, may."""


def claim_run_folder(run_dir: Path, identity: Mapping[str, Any]) -> Path:
    """Make the folder of a run's checkpoints, without those of another run.

    Args:
        run_dir: of the run.
        identity: everything that decides what comes of it, JSON values.
    """
    steps = run_dir / CHECKPOINTS
    wanted = json.loads(json.dumps(identity))
    found = _read(run_dir / IDENTITY)
    if found != wanted:
        if steps.exists():
            changed = sorted(key for key in wanted if not isinstance(found, dict) or found.get(key) != wanted[key])
            logger.warning("the checkpoint in %s is of another run (%s changed): it is thrown away", run_dir, ", ".join(changed))
        # In this order: killed in between, the next attempt finds no identity and throws away again.
        (run_dir / IDENTITY).unlink(missing_ok=True)
        shutil.rmtree(steps, ignore_errors=True)
        run_dir.mkdir(parents=True, exist_ok=True)
        with replacing(run_dir / IDENTITY) as file:
            file.write(json.dumps(wanted).encode())
    steps.mkdir(parents=True, exist_ok=True)
    return steps


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
