"""Device and precision are chosen in one place; a machine without CUDA is told what a machine with it would do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models import EngineOptions
from models.devices import Compute, choose_device, choose_dtype, in_float32

CPU = torch.device("cpu")


def pretend_cuda(monkeypatch: pytest.MonkeyPatch, *, count: int = 2, capability: tuple[int, int] = (9, 0)) -> None:
    """What PyTorch says on a machine with so many GPUs; nothing is computed on them."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    monkeypatch.setattr(torch, "empty", lambda *size, device: None)


@pytest.mark.parametrize(
    ("name", "worker", "device"),
    [
        pytest.param("cuda", 0, "cuda:0", id="the first worker"),
        pytest.param("cuda", 1, "cuda:1", id="the second worker"),
        pytest.param("cuda", 2, "cuda:0", id="more workers than GPUs"),
        pytest.param("auto", 1, "cuda:1", id="auto"),
        pytest.param("cuda:1", 0, "cuda:1", id="a GPU by its number"),
        pytest.param("cpu", 1, "cpu", id="the processor has no numbers"),
    ],
)
def test_each_worker_gets_a_gpu_of_its_own(monkeypatch, name, worker, device):
    pretend_cuda(monkeypatch)
    assert choose_device(name, worker) == torch.device(device)


@pytest.mark.parametrize(
    ("capability", "precision", "dtype"),
    [
        pytest.param((9, 0), "auto", torch.bfloat16, id="new GPU"),
        pytest.param((7, 5), "auto", torch.float32, id="old GPU"),
        pytest.param((7, 5), "fp16", torch.float16, id="old GPU, as told"),
        pytest.param((9, 0), "fp32", torch.float32, id="new GPU, as told"),
    ],
)
def test_precision_on_a_gpu(monkeypatch, capability, precision, dtype):
    pretend_cuda(monkeypatch, capability=capability)
    assert choose_dtype(precision, torch.device("cuda:0")) == dtype


def test_a_gpu_without_bf16_refuses_it(monkeypatch):
    pretend_cuda(monkeypatch, capability=(7, 5))
    with pytest.raises(ValueError, match="a GPU does not compute in bf16; use precision 'fp16' or 'fp32'"):
        choose_dtype("bf16", torch.device("cuda:0"))


def test_a_processor_computes_exactly_unless_told_otherwise():
    assert choose_dtype("auto", CPU) == torch.float32
    assert choose_dtype("bf16", CPU) == torch.bfloat16


def test_reduced_weights_give_what_autocast_gives_to_the_bit():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(2), nn.LayerNorm(36), nn.Linear(36, 5)).eval().requires_grad_(False)
    compute, images = Compute(CPU, torch.bfloat16), torch.randn(2, 3, 8, 8)
    with compute.autocast():
        expected = network(images)
    compute.reduce(network)
    with compute.autocast():
        assert torch.equal(network(images), expected)
    assert [layer.weight.dtype for layer in (network[0], network[2], network[3])] == [torch.bfloat16, torch.float32, torch.bfloat16]


def test_exact_computing_leaves_weights_and_products_alone():
    layer, compute = nn.Linear(4, 4), Compute(CPU)
    compute.reduce(layer)
    with compute.autocast():
        assert layer(torch.zeros(1, 4)).dtype == torch.float32
    assert layer.weight.dtype == torch.float32


def test_delicate_steps_are_exact_inside_of_autocast():
    a = torch.randn(4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert (a @ a).dtype == torch.bfloat16
        with in_float32(CPU):
            assert torch.equal(a @ a, a.mm(a))
            assert (a @ a).dtype == torch.float32


def test_shapes_can_be_computed_without_a_device():
    with in_float32(torch.device("meta")):
        assert (torch.zeros(2, 3, device="meta") @ torch.zeros(3, 4, device="meta")).shape == (2, 4)


@pytest.mark.parametrize(
    ("micro_batch", "device", "images"),
    [
        pytest.param(None, "cpu", 1, id="the processor, by itself"),
        pytest.param(None, "cuda", 8, id="a GPU, by itself"),
        pytest.param(3, "cpu", 3, id="the processor, as told"),
        pytest.param(1, "cuda", 1, id="off"),
    ],
)
def test_how_many_images_share_a_run(micro_batch, device, images):
    assert EngineOptions(micro_batch=micro_batch).images_at_once(device) == images


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"micro_batch": 0}, "at least 1, found 0", id="batch"),
        pytest.param({"micro_batch_wait_seconds": -1.0}, "not be negative, found -1.0", id="wait"),
    ],
)
def test_options_out_of_range_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        EngineOptions(**change)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_uploads_go_through_pinned_memory():
    compute = Compute(torch.device("cuda"))
    assert torch.equal(compute.upload(torch.arange(5)).cpu(), torch.arange(5))
    compute.release()
