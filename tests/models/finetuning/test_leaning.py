"""What was learned leans towards the base by the share that is asked for."""

from __future__ import annotations

import pytest
import torch

from models.finetuning.leaning import lean_towards
from models.ssp_sam.config import contract
from tests.models.ssp_sam.networks import perturbed


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_every_parameter_goes_that_share_of_the_way(share: float) -> None:
    base, learned = perturbed(contract(), 0), perturbed(contract(), 1)
    before = {name: parameter.detach().clone() for name, parameter in learned.named_parameters()}
    lean_towards(base, learned, share)
    for name, parameter in learned.named_parameters():
        expected = share * base.get_parameter(name) + (1 - share) * before[name]
        torch.testing.assert_close(parameter, expected)


def test_what_did_not_learn_stays_bit_for_bit() -> None:
    base, learned = perturbed(contract(), 0), perturbed(contract(), 0)
    lean_towards(base, learned, 0.2)
    assert all(torch.equal(parameter, base.get_parameter(name)) for name, parameter in learned.named_parameters())
