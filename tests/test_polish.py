"""Polish of trained networks: its gradient is that of JAX, its output layer a minimum, and it makes none worse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fake_targets import Wave, wave
from flax import nnx
from scipy.optimize import OptimizeResult

from widththeory import polish as polish_module
from widththeory.fit import measure
from widththeory.metrics import evaluate
from widththeory.models.mlp import from_network, initial_network, to_network
from widththeory.polish import fit_output_layer, loss_and_gradient, polish


def test_polish_gradient_is_that_of_jax():
    network = initial_network(2, (4, 3), init="he", seed=0)
    points = np.random.default_rng(0).uniform(-1, 1, (2500, 2))  # more than one block
    values = Wave().target(points)
    loss, found = loss_and_gradient(network, points, values)
    graph, params = nnx.split(from_network(network, param_dtype=jnp.float64))
    expected = jax.grad(lambda params: jnp.mean((nnx.merge(graph, params)(jnp.asarray(points))[:, 0] - values) ** 2))(
        params
    )
    expected = to_network(nnx.merge(graph, expected))
    assert loss == pytest.approx(np.mean((evaluate(network, points) - values) ** 2), rel=1e-13)
    for one, other in zip(found, (part for layer in expected.layers for part in layer), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-13)  # sums of 2,500 terms of size 1 / 2,500


def test_least_squares_cannot_be_improved():
    network = initial_network(2, (6, 6), init="he", seed=0)
    points = np.random.default_rng(0).uniform(-1, 1, (300, 2))
    values = Wave().target(points)
    fitted = fit_output_layer(network, points, values)
    _, slope = loss_and_gradient(fitted, points, values)
    assert max(np.max(np.abs(part)) for part in slope[-2:]) < 1e-13  # a minimum over the output layer
    assert all(np.array_equal(a, b) for a, b in zip(fitted.layers[0], network.layers[0], strict=True))


def test_polish_improves_and_is_part_of_the_settings(monkeypatch):
    plain, polished = (measure([wave(2, polish_steps=steps)], 3)[0].metrics["train_mse"] for steps in (0, 30))
    assert polished < 0.5 * plain
    points = np.random.default_rng(0).uniform(-1, 1, (300, 2))
    perfect = initial_network(2, (6, 6), init="he", seed=0)
    after = polish(perfect, points, evaluate(perfect, points), 5)
    assert np.mean((evaluate(after, points) - evaluate(perfect, points)) ** 2) == 0
    for height in (1e300, np.nan):  # where L-BFGS ends in weights that overflow, or in none

        def ended(_, begin, options, height=height, **__):
            assert options["maxiter"] == 5
            return OptimizeResult(x=height * begin)

        monkeypatch.setattr(polish_module, "minimize", ended)
        with np.errstate(all="ignore"):
            after = polish(perfect, points, Wave().target(points), 5)
        error = np.mean((evaluate(after, points) - Wave().target(points)) ** 2)
        assert error <= np.mean((evaluate(perfect, points) - Wave().target(points)) ** 2)
