"""The compiled ensemble version against the NumPy one, and what happens when the capacity is too small."""

import jax.numpy as jnp
import numpy as np
import pytest

from widththeory.exact.one_dim import CosineSum, Piecewise, Polynomial, piecewise
from widththeory.exact.one_dim_jax import ensemble_distances
from widththeory.network import Network

SHAPE = (6, 6)


def ensemble(num_members, widths=SHAPE, seed=0):
    rng = np.random.default_rng(seed)
    sizes = [1, *widths, 1]
    layers = [
        (1.4 / np.sqrt(i) * rng.standard_normal((num_members, o, i)), 0.3 * rng.standard_normal((num_members, o)))
        for i, o in zip(sizes, sizes[1:], strict=False)
    ]
    return layers, [Network([(w[k], b[k]) for w, b in layers]) for k in range(num_members)]


WAVES = CosineSum((1.0, 0.5), (3.0, 17.0), (0.0, 1.0), 0.25)
JOINED = Piecewise((-0.3, 0.77), (Polynomial((0.1, -2.0, 3.0, 0.5, -7.0, 4.0)), WAVES, Polynomial((0.2,))))
KINKED = piecewise(ensemble(1, (9,), seed=7)[1][0], -1.0, 1.0)


@pytest.mark.parametrize("target", [JOINED, KINKED], ids=lambda target: type(target).__name__)
def test_ensemble_agrees_with_one_at_a_time(target):
    layers, networks = ensemble(12)
    distances = ensemble_distances(layers, target, -1.0, 1.0, capacity=64)
    assert not np.any(distances.overflow)
    for index, network in enumerate(networks):
        expected = piecewise(network, -1.0, 1.0).distance(target)
        found = (distances.l1[index], distances.l2[index], distances.sup[index])
        # both are exact but for rounding: values of size 10, a hundred intervals
        assert np.allclose(found, expected, rtol=1e-11, atol=1e-12)
        assert distances.num_knots[index] >= piecewise(network, -1.0, 1.0).num_pieces + 1


def test_overflow_is_reported_and_nothing_is_cut():
    layers, _ = ensemble(12)
    roomy = ensemble_distances(layers, KINKED, -1.0, 1.0, capacity=64)
    capacity = int(np.median(roomy.num_knots))
    tight = ensemble_distances(layers, KINKED, -1.0, 1.0, capacity=capacity)
    assert np.array_equal(tight.overflow, roomy.num_knots > capacity)
    assert 0 < np.sum(tight.overflow) < 12
    assert np.array_equal(np.isnan(tight.l2), tight.overflow)
    kept = ~np.asarray(tight.overflow)
    assert np.allclose(np.asarray(tight.l2)[kept], np.asarray(roomy.l2)[kept], rtol=1e-13)


def test_ties_do_no_harm():
    """Dead layers, repeated units and a network that is the target itself."""
    one, zero = np.ones((1, 1, 1)), np.zeros((1, 1))
    dead = [(one, zero), (-one, zero), (one, zero)]
    line = Polynomial((0.0, 1.0))
    assert ensemble_distances(dead, line, -1.0, 1.0, capacity=8).l1[0] == pytest.approx(1.0, rel=1e-14)
    repeated = [(np.ones((1, 4, 1)), np.zeros((1, 4))), (np.full((1, 1, 4), 0.25), zero)]
    relu = piecewise(Network([(np.ones((1, 1)), np.zeros(1)), (np.ones((1, 1)), np.zeros(1))]), -1.0, 1.0)
    assert ensemble_distances(repeated, relu, -1.0, 1.0, capacity=8).sup[0] == 0.0


def test_float32_weights_give_float32_distances():
    layers, networks = ensemble(2, (4,))
    single = [(jnp.asarray(w, jnp.float32), jnp.asarray(b, jnp.float32)) for w, b in layers]
    distances = ensemble_distances(single, WAVES, -1.0, 1.0, capacity=16)
    assert distances.l2.dtype == jnp.float32
    expected = piecewise(networks[0], -1.0, 1.0).distance(WAVES)
    assert float(distances.l2[0]) == pytest.approx(expected.l2, rel=1e-5)  # a hundred roundings of 6e-8


def test_bad_input_gets_one_sentence():
    layers, _ = ensemble(2, (3,))
    for call, message in [
        (lambda: ensemble_distances(layers, WAVES, 1.0, -1.0), "low < high"),
        (lambda: ensemble_distances(layers, WAVES, -1.0, 1.0, capacity=1), "capacity must be"),
        (lambda: ensemble_distances(layers, KINKED, -1.0, 2.0), "given on"),
        (lambda: ensemble_distances(layers, np.sin, -1.0, 1.0), "target must be"),
        (lambda: ensemble_distances(layers[::-1], WAVES, -1.0, 1.0), r"layers\[0\] must be"),
        (lambda: ensemble_distances(layers[:1], WAVES, -1.0, 1.0), "one output"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
