"""Memory that runs out: smaller batches first, then one clear error."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence

import pytest
import torch

from models import EngineMemoryError
from models.out_of_memory import is_out_of_memory, memory_errors_told, run_in_parts


class Device:
    """Has room for so many items at once."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.tried: list[int] = []
        self.released = 0

    def run(self, items: Sequence[int]) -> list[int]:
        self.tried.append(len(items))
        if len(items) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return [10 * item for item in items]

    def release(self) -> None:
        self.released += 1


@pytest.mark.parametrize(
    ("count", "room", "tried"),
    [
        pytest.param(8, 8, [8], id="all fit"),
        pytest.param(8, 3, [8, 4, 2, 2, 2, 2], id="a quarter fits"),
        pytest.param(7, 3, [7, 3, 3, 1], id="an odd number"),
        pytest.param(3, 1, [3, 1, 1, 1], id="one by one"),
        pytest.param(0, 1, [], id="nothing to do"),
    ],
)
def test_a_batch_is_halved_until_it_fits_and_every_item_is_answered_in_order(count, room, tried):
    device = Device(room)
    assert list(run_in_parts(device.run, range(count), release=device.release)) == [10 * item for item in range(count)]
    assert device.tried == tried
    assert device.released == sum(size > room for size in tried)


def test_an_item_that_does_not_fit_alone_fails_as_the_device_says():
    device = Device(0)
    with pytest.raises(torch.OutOfMemoryError):
        list(run_in_parts(device.run, [1, 2, 3, 4], release=device.release))
    assert device.tried == [4, 2, 1]


def test_other_errors_are_not_taken_for_the_end_of_memory():
    tried = []

    def run(items: Sequence[int]) -> list[int]:
        tried.append(len(items))
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        list(run_in_parts(run, [1, 2], release=lambda: None))
    assert tried == [2]


def test_memory_of_a_failed_attempt_is_free_before_the_next_one():
    tensors: list[weakref.ref[torch.Tensor]] = []

    def run(items: Sequence[int]) -> Sequence[int]:
        alive = [tensor for tensor in tensors if tensor() is not None]
        assert not alive
        large = torch.zeros(10)
        tensors.append(weakref.ref(large))
        if len(items) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return items

    assert list(run_in_parts(run, [1, 2], release=gc.collect)) == [1, 2]


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        pytest.param(torch.OutOfMemoryError("CUDA out of memory"), True, id="CUDA"),
        pytest.param(RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"), True, id="Apple"),
        pytest.param(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), True, id="CPU"),
        pytest.param(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True, id="cuBLAS"),
        pytest.param(MemoryError(), True, id="NumPy"),
        pytest.param(RuntimeError("expected scalar type Float but found BFloat16"), False, id="wrong type"),
        pytest.param(ValueError("out of memory"), False, id="an error of another kind"),
    ],
)
def test_the_end_of_memory_is_recognised_on_every_device(error, is_one):
    assert is_out_of_memory(error) is is_one


def test_a_real_allocation_that_fails_is_recognised():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value)


def test_what_is_told_says_what_to_do_and_memory_is_released():
    released = []
    with (
        pytest.raises(EngineMemoryError, match=r"one image and one phrase \(CUDA out of memory\); free memory on the device, or use"),
        memory_errors_told(lambda: released.append(1)),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory\nlong details")
    assert released == [1]


def test_other_errors_pass_as_they_are():
    with pytest.raises(RuntimeError, match=r"^shapes$"), memory_errors_told(lambda: None):
        raise RuntimeError("shapes")
