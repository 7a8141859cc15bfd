"""A network that will be filled from a file draws no random numbers first."""

from __future__ import annotations

import torch
from torch import nn

from models.ssp_sam.config import contract
from models.ssp_sam.model import SspSam
from models.uninitialised import Uninitialised


def test_nothing_is_drawn_inside_and_everything_works_again_outside():
    kept = torch.full((3, 3), 7.0)
    with Uninitialised():
        for draw in (nn.init.kaiming_uniform_, nn.init.uniform_, nn.init.normal_):
            assert draw(kept) is kept
        assert nn.init.normal_(tensor=kept) is kept
        assert torch.equal(torch.ones(2) + 1, torch.tensor([2.0, 2.0]))
        state = torch.get_rng_state()
        nn.Linear(3, 4)
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(kept, torch.full((3, 3), 7.0))
    assert not torch.equal(nn.init.normal_(kept.clone()), kept)


def test_a_network_has_all_its_tensors_and_its_buffers_are_computed():
    with Uninitialised():
        model = SspSam(contract())
    usual = SspSam(contract())
    assert {name: tensor.shape for name, tensor in model.state_dict().items()} == {
        name: tensor.shape for name, tensor in usual.state_dict().items()
    }
    kept = [name for name, _ in usual.named_buffers() if name not in usual.state_dict()]
    assert kept
    assert all(torch.equal(model.get_buffer(name), usual.get_buffer(name)) for name in kept)
