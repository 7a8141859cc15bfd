"""Which optimiser moves what."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from models.training.optimizer import MuonAndAdamW, layer_matrices, make_optimizer


class Network(nn.Module):
    """One of everything."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(10, 8)
        self.attention = nn.MultiheadAttention(8, 2)
        self.position_table = nn.Parameter(torch.randn(6, 8))
        self.convolution = nn.Conv2d(3, 8, 3)
        self.layer = nn.Linear(8, 16)
        self.score = nn.Linear(16, 1)

    def groups(self) -> list[dict[str, object]]:
        return [{"params": list(self.parameters()), "lr": 0.1, "weight_decay": 0.0}]


def names(network: nn.Module, parameters: list[nn.Parameter]) -> set[str]:
    wanted = {id(parameter) for parameter in parameters}
    return {name for name, parameter in network.named_parameters() if id(parameter) in wanted}


def learn(network: Network, optimizer: MuonAndAdamW | torch.optim.Optimizer, scale: float = 1.0) -> None:
    optimizer.zero_grad()
    torch.manual_seed(1)
    (scale * sum((parameter * torch.randn_like(parameter)).sum() for parameter in network.parameters())).backward()
    optimizer.step()


def test_matrices_of_layers_are_neither_tables_nor_convolutions_nor_single_vectors():
    network = Network()
    assert names(network, layer_matrices(network)) == {"attention.in_proj_weight", "attention.out_proj.weight", "layer.weight"}


def test_muon_moves_a_matrix_in_all_directions_alike_and_adamw_the_rest():
    network = Network()
    before = {name: value.clone() for name, value in network.named_parameters()}
    optimizer = make_optimizer("muon", network.groups(), layer_matrices(network))
    learn(network, optimizer)
    moved = {name: value.detach() - before[name] for name, value in network.named_parameters()}
    singular = torch.linalg.svdvals(moved["layer.weight"])
    assert singular.min() / singular.max() > 0.5, "a random gradient's are .3 and less"
    assert torch.allclose(moved["words.weight"].abs(), torch.tensor(0.1), atol=1e-4), "AdamW's first step is its rate everywhere"
    assert all(value.abs().max() > 0 for value in moved.values())


def test_what_both_remember_comes_back():
    one, other = Network(), Network()
    other.load_state_dict(one.state_dict())
    first, second = (make_optimizer("muon", network.groups(), layer_matrices(network)) for network in (one, other))
    learn(one, first, 3.0)
    learn(other, second)
    other.load_state_dict(one.state_dict())
    second.load_state_dict(deepcopy(first.state_dict()))
    learn(one, first)
    learn(other, second)
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_a_rate_that_is_written_into_a_group_counts():
    network = Network()
    optimizer = make_optimizer("muon", network.groups(), layer_matrices(network))
    before = {name: value.clone() for name, value in network.named_parameters()}
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    learn(network, optimizer)
    assert all(torch.equal(value, before[name]) for name, value in network.named_parameters())


def test_adamw_alone_is_torchs_own():
    network = Network()
    assert isinstance(make_optimizer("adamw", network.groups(), layer_matrices(network)), torch.optim.AdamW)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_parameters_without_a_gradient_stay(name):
    network = Network()
    before = network.layer.weight.clone()
    optimizer = make_optimizer(name, network.groups(), layer_matrices(network))
    optimizer.zero_grad()
    network.convolution.weight.sum().backward()
    optimizer.step()
    assert torch.equal(network.layer.weight, before)
