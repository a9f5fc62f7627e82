"""The arithmetic of an ensemble piece by piece: differences, kinks, precision, blocks, streams, and what it costs."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from abstract_networks import subprograms
from fake_targets import Wave, wave

from widththeory import compiled, ensemble, training
from widththeory.models.cost import forward_flops
from widththeory.network import Network
from widththeory.polish import loss_and_gradient
from widththeory.resident import (
    Resident,
    block_size,
    combine,
    in_blocks,
    initial_weights,
    run_resident,
    squared_residuals,
    trained_layers,
)
from widththeory.training import batch_order, choose_program, device_program, sample_data, sample_targets

# One class of shapes, width at most 8 and depth at most 4; the widest is wider than any, the deepest as deep as any.
MIXED = [wave(0, width=5, depth=3), wave(1, width=7, depth=4), wave(2, width=6, depth=3, target_seed=1)]


def mixed(products):
    """The program of the three, their weights with biases off zero where there is a unit, points and values."""
    data = sample_targets(MIXED)
    program = replace(device_program(MIXED[0], 3), products=products)
    weights = initial_weights(program, MIXED, data.train)
    rng = np.random.default_rng(0)
    for member, one in enumerate(MIXED):
        for layer in (weights.first, *weights.hidden[: one.depth - 1]):
            layer.bias[member, : one.width] = rng.uniform(0.1, 0.5, one.width)
    return program, weights, data.train.T[:, :20], data.train_values[data.member][:, :20]


@pytest.mark.parametrize("products", ["dot", "sum"])
def test_gradients_of_members_that_are_filled_up_are_differences_of_their_losses(products):
    program, weights, inputs, values = mixed(products)
    # awaited: on a CPU the program may read the arrays below, which are changed, and not copies of them
    found, _ = jax.block_until_ready(
        jax.jit(ensemble.gradient, static_argnums=0)(program, weights, inputs, values, None)
    )

    @jax.jit
    def losses(weights):
        return jnp.mean((ensemble.predict(program, weights, inputs, None) - values) ** 2, axis=1)

    trained = trained_layers(program, MIXED)
    kept = [np.ones(3)] * 2 + [to for to in trained for _ in range(2)] + [np.ones(3)] * 2
    for leaf, slopes, to in zip(jax.tree.leaves(weights), jax.tree.leaves(found), kept, strict=True):
        for place in np.ndindex(leaf.shape[1:]):
            was = leaf[(slice(None), *place)].copy()
            ends = []
            for change in (1e-6, -1e-6):
                leaf[(slice(None), *place)] = was + change
                ends.append(np.asarray(losses(weights)))
            leaf[(slice(None), *place)] = was
            slope = np.asarray(slopes)[(slice(None), *place)]
            # rounding of losses of size 1 by 1e-16 or so, over 2e-6; where a layer stands in it is not trained
            np.testing.assert_allclose(to * slope, to * (ends[0] - ends[1]) / 2e-6, rtol=0, atol=1e-8)
    for member, one in enumerate(MIXED):
        for layer in (found.first, *(part for part, to in zip(found.hidden, trained, strict=True) if to[member])):
            assert not np.any(layer.weight[member, one.width :])
            assert not np.any(layer.bias[member, one.width :])
        assert not np.any(found.last.weight[member, one.width :])


@pytest.mark.parametrize("depth", [1, 2])
def test_at_a_kink_the_slope_is_zero(depth):
    """The first layer gives zeros alone; what is above it is active."""
    layers = [(np.zeros((5, 2)), np.zeros(5)), (np.ones((5, 5)), np.ones(5)), (np.ones((1, 5)), np.zeros(1))]
    network, one = Network([layers[0], *layers[3 - depth :]]), wave(width=5, depth=depth)
    data = sample_data([one])
    stacked = replace(choose_program(one, 1), batch_size=100)
    assert stacked.stacked
    for program in (stacked, replace(stacked, stacked=False, depth=depth)):
        found, _ = ensemble.gradient(
            program,
            jax.tree.map(jnp.asarray, compiled.pack(program, [network])),
            data.train.T,
            data.train_values,
            depth,
            ensemble.scratch_space(program),
        )
        assert not np.any(found.first.weight)
        assert not np.any(found.first.bias)
        assert np.all(found.last.bias != 0)
    _, (weight, bias, *_, last) = loss_and_gradient(network, data.train, data.train_values[0])
    assert not np.any(weight)
    assert not np.any(bias)
    assert last[0] == pytest.approx(float(found.last.bias[0]), rel=1e-12)  # the same 100 residuals


def products_in(program):
    for equation in program.eqns:
        if equation.primitive.name == "dot_general":
            yield equation
        for part in subprograms(equation):
            yield from products_in(part)


def test_no_product_is_rounded_to_fewer_bits():
    """As a GPU rounds the factors of float32 products unless it is told not to."""
    chunk = [wave(seed, dtype="float32") for seed in range(2)]
    stacked = choose_program(chunk[0], 2)
    networks = [Network([(np.ones((5, 2)), np.ones(5)), *[(np.ones((5, 5)), np.ones(5))] * 2, (np.ones((1, 5)), [0])])]
    for program in (stacked, replace(stacked, stacked=False, depth=3)):
        weights, zeros = compiled.pack(program, networks * 2), jnp.zeros((2, 32), jnp.float32)
        space = ensemble.scratch_space(program)
        for function, rest in ((ensemble.predict, (3,)), (ensemble.gradient, (zeros, 3, space))):
            found = list(products_in(jax.make_jaxpr(partial(function, program))(weights, zeros, *rest).jaxpr))
            assert len(found) >= 3
            assert {one.params["precision"] for one in found} == {(jax.lax.Precision.HIGHEST,) * 2}
    (first, second) = products_in(jax.make_jaxpr(tent.jax)(jnp.zeros((4, 1), jnp.float32)).jaxpr)
    assert first.params["precision"] == second.params["precision"] == (jax.lax.Precision.HIGHEST,) * 2


tent = Network([([[1.0], [1.0]], [0.0, -0.5]), ([[2.0, -4.0]], [0.0])])


def test_errors_in_several_blocks_are_those_of_all_points():
    program, weights, *_ = mixed("dot")
    targets = sample_targets(MIXED)
    points, values = targets.test[:41], targets.test_values[:, :41]
    square = (ensemble.predict(program, weights, points.T, None) - values[targets.member]) ** 2
    blocks = in_blocks(points.T, 16), in_blocks(values, 16)
    assert blocks[0].shape == (3, 2, 16)
    found = combine(jax.jit(squared_residuals, static_argnums=0)(program, weights, *blocks, targets.member, 41))
    # sums of 41 numbers of size one, in two orders
    np.testing.assert_allclose(found.mean, np.mean(square, axis=1), rtol=1e-13)
    np.testing.assert_allclose(found.spread, np.var(square, axis=1) * 41, rtol=1e-12)
    np.testing.assert_allclose(found.largest, np.max(square, axis=1), rtol=1e-13)
    assert found.count.tolist() == [41] * 3
    assert [block_size(program, number) for number in (1, 2, 41, 64, 65)] == [2, 2, 64, 64, 128]
    assert block_size(replace(program, ensemble=2**20), 10**6) == 16


def test_losses_on_the_way_are_those_at_the_first_points():
    program, weights, *_ = mixed("dot")
    program, targets = replace(program, num_eval=30), sample_targets(MIXED)
    resident = Resident(
        targets.train.T, targets.train_values, targets.member, trained_layers(program, MIXED), np.ones(3)
    )
    rows, scalars = jnp.zeros((program.segment, 32), jnp.int32), jnp.zeros((program.segment, 2))
    state = compiled.start_from(program, weights)
    with jax.disable_jit():  # there are no steps, so that nothing need be compiled for them
        found = run_resident(program, state, jax.tree.map(jnp.asarray, resident), rows, scalars, 0, 7)
    gaps = ensemble.predict(program, weights, targets.train[:30].T, None) - targets.train_values[targets.member][:, :30]
    np.testing.assert_allclose(found.loss, np.mean(gaps**2, axis=1), rtol=1e-13)  # sums of 30, in two orders
    assert np.array_equal(found.best_loss, found.loss)
    assert found.best_step.tolist() == [7] * 3


def test_training_points_test_points_and_order_are_drawn_apart(monkeypatch):
    drawn, default = [], np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda seed: drawn.append(tuple(seed)) or default(seed))
    for data_seed in (0, 1):
        one = wave(data_seed=data_seed)
        data = sample_data([one])
        batch_order(one)
        assert not np.isin(data.train, data.test).any()
        assert np.array_equal(data.test_values[0], Wave().target(data.test))
        assert np.array_equal(data.train_values[0], Wave().target(data.train))
    # each ends in a number that is not zero: SeedSequence fills up with zeros
    assert len(set(drawn)) == 6
    assert all(stream for _, stream in drawn)


def test_each_epoch_has_an_order_of_its_own_and_uses_all_that_fills_batches():
    order = batch_order(wave(num_steps=9, batch_size=30))
    assert order.shape == (9, 30)
    for epoch in np.split(order, 3):
        assert len(np.unique(epoch)) == 90  # of 100 points; three batches
        assert not np.array_equal(epoch.ravel(), np.sort(epoch.ravel()))
    assert len({tuple(np.sort(epoch.ravel())) for epoch in np.split(order, 3)}) == 3
    whole = batch_order(wave(num_steps=2, batch_size=100))
    assert all(np.array_equal(np.sort(batch), np.arange(100)) for batch in whole)


def test_a_fit_costs_its_points_times_the_network():
    one = wave(num_steps=24, batch_size=32, num_train=2000, num_test=200, polish_steps=5)
    looks = 20 * 1024  # each at a part of the training points
    points = 3 * 24 * 32 + looks + 2000 + 200 + 3 * 5 * 2000
    assert one.cost == points * forward_flops(one.size)
    assert choose_program(one, 1).num_eval == one.num_check_points == 1024
    assert wave(num_train=100).num_check_points == 100
    assert [choose_program(replace(one, num_steps=steps), 1).segment for steps in (0, 24, 41, 10**6)] == [1, 2, 3, 500]
    depths = {depth: choose_program(replace(one, depth=depth), 1).depth for depth in (1, 12, 13, 24, 25)}
    assert depths == {1: 12, 12: 12, 13: 24, 24: 24, 25: 48}
    assert device_program(one, 1).products == "sum"
    assert device_program(replace(one, width=training.SUMMED_WIDTH + 1), 1).products == "dot"
