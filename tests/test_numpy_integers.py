"""Sizes may be NumPy's integers, as those of a table are: they do not overflow where Python's would not."""

import numpy as np
import own_process

from widththeory.bounds import (
    affine_pieces,
    linear_regions,
    minimum_width,
    random_features,
    rigorous,
    rigorous_daniely,
    rigorous_features,
    rigorous_gradient,
    rigorous_regions,
    sawtooth_gradient,
)

WIDE = (100,) * 6  # some 1e40 regions for five inputs
CALLS = [
    (affine_pieces.max_affine_pieces, (3,) * 40),
    (affine_pieces.width_for_pieces, 10**18, 3),
    (affine_pieces.width_for_pieces, 5, 70),
    (affine_pieces.depth_for_pieces, 10**18, 5),
    (affine_pieces.sawtooth_floor, 70, (3,)),
    (affine_pieces.square_floor, (3,) * 40),
    (rigorous.sawtooth_floor, 70, (3,)),
    (linear_regions.one_hidden_layer, 30, 200),
    (linear_regions.montufar_lower, 5, WIDE),
    (linear_regions.serra_lower, 5, WIDE),
    (linear_regions.serra_upper, 5, WIDE),
    (linear_regions.one_dimension, (9,) * 30),
    (linear_regions.order_at_initialisation, 30, WIDE),
    (rigorous_regions.montufar_lower, 5, WIDE),
    (rigorous_regions.serra_lower, 5, WIDE),
    (rigorous_regions.serra_upper, 5, WIDE),
    (rigorous_regions.one_dimension, (9,) * 30),
    (sawtooth_gradient.correlation_bound, 70, 5, 1.0),
    (sawtooth_gradient.variation_bound, 70, 1.0),
    (sawtooth_gradient.gradient_bound, 70, (3,), 1.0),
    (sawtooth_gradient.printed_loss_floor, 70, 3),
    (sawtooth_gradient.printed_progress, 1.0, 1.0, 1.0, 5, 10**10, 10**10, 2.0),
    (sawtooth_gradient.printed_progress, 10**10, 0.5, 0.1, 5, 9, 5, 0.5),
    (sawtooth_gradient.gradient_bound, 500, (9,) * 150, 7),
    (rigorous_gradient.correlation_bound, 70, 5, 1.0),
    (rigorous_gradient.variation_bound, 70, 1.0),
    (rigorous_gradient.gradient_bound, 70, (3,), 1.0),
    (rigorous_gradient.printed_loss_floor, 70, 3),
    (rigorous_gradient.printed_progress, 1.0, 1.0, 1.0, 5, 10**10, 10**10, 2.0),
    (random_features.lattice_points, 10, 50),
    (random_features.random_feature_floor, 30, 1.0, 10**6),
    (rigorous_features.random_feature_floor, 30, 1.0, 10**6),
    (rigorous_daniely.sphere_projection_floor, 10, 5.0, 3),
    (rigorous_daniely.error_floor, 20, 30.0, 1),
    (minimum_width.minimum_width, "continuous", "sup", "cube", "relu", 5, 7),
]


def numpy_integers(argument):
    if isinstance(argument, tuple):
        return tuple(numpy_integers(part) for part in argument)
    return np.int64(argument) if isinstance(argument, int) else argument


def differences():
    """Calls whose results differ."""
    return [
        f"{function.__module__}.{function.__name__}"
        for function, *arguments in CALLS
        if str(function(*map(numpy_integers, arguments))) != str(function(*arguments))
    ]


def test_numpy_integers_give_what_integers_give():
    assert own_process.found(differences) == []
