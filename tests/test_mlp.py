"""The Flax module: its meaning of depth, its way to and from `Network`, its initial laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from widththeory.models.cost import forward_flops
from widththeory.models.mlp import INITIALIZERS, MLP, from_network, initial_network, to_network
from widththeory.network import Network


def network_of(widths, input_dim=2, output_dim=1, seed=0):
    rng = np.random.default_rng(seed)
    sizes = [input_dim, *widths, output_dim]
    return Network([(rng.standard_normal((o, i)), rng.standard_normal(o)) for i, o in zip(sizes, sizes[1:])])  # noqa: B905


@pytest.mark.parametrize("widths", [(), (5,), (5, 3), (2, 7, 4)])
def test_module_and_network_are_one_function(widths):
    network = network_of(widths, output_dim=3)
    points = np.random.default_rng(1).standard_normal((50, 2))
    model = from_network(network, param_dtype=jnp.float64)
    # Two orders of summation in float64 over at most 8 terms a unit: a few ulps of values of size 10.
    np.testing.assert_allclose(np.asarray(model(jnp.asarray(points))), network(points), rtol=0, atol=1e-12)
    for (weight, bias), (same, also) in zip(to_network(model).layers, network.layers, strict=True):
        assert np.array_equal(weight, same)
        assert np.array_equal(bias, also)


def test_a_module_of_another_activation_is_not_taken_for_one_of_relu():
    class Tanh(nnx.Module):
        def __init__(self):
            self.layers = MLP(2, (4,), rngs=nnx.Rngs(0)).layers

    with pytest.raises(TypeError, match=r"^model must be an MLP, got Tanh; of a ReLU network of other modules give"):
        to_network(Tanh())


def test_depth_counts_hidden_layers():
    assert to_network(MLP(2, (), rngs=nnx.Rngs(0))).size.depth == 0
    assert to_network(MLP(2, (8, 8), rngs=nnx.Rngs(0))).size.widths == (8, 8)


def test_parameters_have_the_dtype_asked_for():
    for dtype in (jnp.float32, jnp.float64):
        leaves = jax.tree.leaves(nnx.state(MLP(2, (4,), param_dtype=dtype, rngs=nnx.Rngs(0))))
        assert {leaf.dtype for leaf in leaves} == {jnp.dtype(dtype)}


@pytest.mark.parametrize("init", INITIALIZERS)
def test_both_initialisers_draw_from_the_stated_law(init):
    variance = {"lecun": 1 / 300, "he": 2 / 300, "glorot": 2 / (300 + 200)}[init]
    drawn = (
        to_network(MLP(300, (200,), init=init, rngs=nnx.Rngs(0))),
        initial_network(300, (200,), init=init, seed=0),
    )
    for network in drawn:
        weight, bias = network.layers[0]
        # The relative standard error of a variance from 60,000 normal draws is sqrt(2/60000) = 0.6 %; five of them.
        assert abs(np.var(weight) / variance - 1) < 0.03
        assert not np.any(bias)


def test_initial_networks_of_two_seeds_differ_and_of_one_seed_do_not():
    one, same, other = (initial_network(2, (3,), init="he", seed=seed).layers[0].weight for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.any(one == other)


def test_initial_weights_are_not_the_numbers_of_a_target_of_the_same_seed():
    weight, _ = initial_network(1, (50,), init="lecun", seed=3).layers[0]
    assert not np.isin(weight, np.random.default_rng(3).standard_normal(1000)).any()


def test_hinges_pass_through_points():
    points = np.random.default_rng(1).normal(size=(20, 3))
    hinged = initial_network(3, (50, 4), init="hinged", seed=0, points=points)
    (weight, bias), *_ = hinged.layers
    heights = np.abs(points @ weight.T + bias)
    assert np.all(heights.min(axis=0) < 1e-14)  # sums of three products of size one
    assert len(set(heights.argmin(axis=0))) > 10  # of twenty points, drawn fifty times
    plain = initial_network(3, (50, 4), init="he", seed=0).layers
    assert all(np.array_equal(one.weight, other.weight) for one, other in zip(hinged.layers, plain, strict=True))
    assert not any(layer.bias.any() for layer in hinged.layers[1:])
    with pytest.raises(ValueError, match="points must be given for init 'hinged'"):
        initial_network(3, (5,), init="hinged", seed=0)


def test_flops_are_two_a_weight():
    size = network_of((5, 3), output_dim=2).size
    assert forward_flops(size) == 2 * (2 * 5 + 5 * 3 + 3 * 2)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"widths\[1\] must be an integer of at least 1, got 0"):
        MLP(2, (3, 0), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="init must be one of"):
        initial_network(2, (3,), init="sigmoid", seed=0)
