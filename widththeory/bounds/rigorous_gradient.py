"""`sawtooth_gradient` as balls; the bound on a network's gradient from proven enclosures of spectral norms."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from widththeory.bounds.affine_pieces import max_affine_pieces
from widththeory.bounds.rigorous import flint, not_negative, positive, rational
from widththeory.typing import check_positive_int

Ball = flint.arb


def correlation_bound(
    num_folds: int, num_pieces: int, oscillation: int | float | flint.arb, *, precision: int = 128
) -> flint.arb:
    """`sawtooth_gradient.correlation_bound` as a ball: min(P - 1, 2^(k-1)) 2^(-k-2) oscillation.

    Args:
        num_folds: k, at least 1.
        num_pieces: P, at least 1.
        oscillation: at least 0; a float is taken at its exact value.
        precision: bits.

    Error: the radius.

    Raises:
        ValueError: an argument outside its range.

    Source: derived for this project, after [malach2021].
    """
    num_folds = check_positive_int("num_folds", num_folds)
    num_pieces = check_positive_int("num_pieces", num_pieces)
    return _scaled(min(num_pieces - 1, 2 ** (num_folds - 1)), num_folds + 2, "oscillation", oscillation, precision)


def variation_bound(num_folds: int, total_variation: int | float | flint.arb, *, precision: int = 128) -> flint.arb:
    """`sawtooth_gradient.variation_bound` as a ball: 2^(-k-3) TV(q).

    Args:
        num_folds: k, at least 1.
        total_variation: at least 0.
        precision: bits.

    Error: the radius.

    Raises:
        ValueError: an argument outside its range.

    Source: derived for this project.
    """
    num_folds = check_positive_int("num_folds", num_folds)
    return _scaled(1, num_folds + 3, "total_variation", total_variation, precision)


def gradient_bound(
    num_folds: int, widths: Sequence[int], largest: int | float | flint.arb, *, precision: int = 128
) -> flint.arb:
    """`sawtooth_gradient.gradient_bound` as a ball: min(prod(w_l + 1) - 1, 2^(k-1)) 2^(-k) largest.

    Args:
        num_folds: k, at least 1.
        widths: units of each hidden layer.
        largest: bound on the norm of the network's gradient, at least 0; `largest_gradient` gives one.
        precision: bits.

    Error: the radius.

    Raises:
        ValueError: an argument outside its range.

    Source: derived for this project, after [malach2021] Theorem 7.
    """
    num_folds = check_positive_int("num_folds", num_folds)
    count = min(max_affine_pieces(widths) - 1, 2 ** (num_folds - 1))
    return _scaled(count, num_folds, "largest", largest, precision)


def largest_gradient(
    layers: Sequence[tuple[Float[np.ndarray, "_ _"], Float[np.ndarray, "_"]]], *, precision: int = 128
) -> flint.arb:
    """`sawtooth_gradient.largest_gradient` as a ball: (sum_l D_l^2 (H_(l-1)^2 + 1))^(1/2), norms as enclosed here.

    Args:
        layers: (weight, bias) of each affine map, the output last, their floats taken at their exact values.
        precision: bits.

    Error: the radius, mostly that of `spectral_norm`, some 10^-14 of the value.

    Raises:
        ValueError: no layer, or sizes that do not fit one input and one output.

    Source: derived for this project.
    """
    if len(layers) == 0 or layers[0][0].shape[1] != 1 or layers[-1][0].shape[0] != 1:
        raise ValueError("layers must be at least one, from one input to one output")
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=2)):
        norms = [spectral_norm(weight, precision=precision) for weight, _ in layers]
        heights = [Ball(1)]
        for norm, (_, bias) in zip(norms, layers, strict=True):
            size = sum((rational(float(entry)) ** 2 for entry in bias), Ball(0))
            heights.append(norm * heights[-1] + size.sqrt())
        below, total = Ball(1), Ball(0)
        for norm, height in zip(reversed(norms), reversed(heights[:-1]), strict=True):
            total += below**2 * (height**2 + 1)
            below *= norm
        return total.sqrt()


def spectral_norm(weight: Float[np.ndarray, "_ _"], *, precision: int = 128) -> flint.arb:
    """The largest singular value of a matrix of floats as a ball.

    With V an approximate eigenbasis of A = W^T W, the Gershgorin discs of V^(-1) A V hold all eigenvalues of A, and the
    largest diagonal entry is within its disc of one; the largest eigenvalue is also at least every Rayleigh quotient.

    Args:
        weight: W, finite.
        precision: bits.

    Error: the radius.

    Raises:
        ValueError: entries that are not finite.

    Source: derived for this project.
    """
    weight = np.asarray(weight, dtype=np.float64)
    if not np.all(np.isfinite(weight)):
        raise ValueError("weight must be finite, got NaN or infinity")
    if weight.shape[0] < weight.shape[1]:
        weight = weight.T
    if not weight.any():
        return Ball(0)
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=2)):
        _, vectors = np.linalg.eigh(weight.T @ weight)
        exact = flint.arb_mat([[rational(float(entry)) for entry in row] for row in weight])
        basis = flint.arb_mat([[rational(float(entry)) for entry in row] for row in vectors])
        images = exact * basis
        turned = (basis.solve(exact.transpose() * images)).tolist()
        size = range(len(turned))
        discs = [turned[i][i] + sum((abs(turned[i][j]) for j in size if j != i), Ball(0)) for i in size]
        top = discs[0]
        for disc in discs[1:]:
            top = top.max(disc)
        last, image = (matrix.transpose().tolist()[-1] for matrix in (basis, images))
        least = sum((x * x for x in image), Ball(0)) / sum((x * x for x in last), Ball(0))  # ** 2 of 0 +- r is NaN
        return least.sqrt().union(top.sqrt())


def printed_loss_floor(depth: int, width: int, *, precision: int = 128) -> flint.arb:
    """`sawtooth_gradient.printed_loss_floor` as a ball: 1 - 2 sqrt(n) (2 p)^sqrt(n) / 2^n, n = depth^2, or 0.

    Args:
        depth: sqrt(n), at least 1.
        width: p, at least 1.
        precision: bits.

    Error: the radius.

    Raises:
        ValueError: an argument is not an integer of at least 1.

    Source: [malach2021] Theorem 18. Differs: n is a square here, so that the depth is an integer.
    """
    depth = check_positive_int("depth", depth)
    width = check_positive_int("width", width)
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=2)):
        return (1 - Ball(2 * depth) * Ball(2 * width) ** depth / Ball(2) ** depth**2).max(Ball(0))


def printed_progress(
    lipschitz: int | float,
    initial_scale: int | float,
    learning_rate: int | float,
    input_dim: int,
    num_params: int,
    num_steps: int,
    alpha: int | float,
    *,
    precision: int = 128,
) -> flint.arb:
    """`sawtooth_gradient.printed_progress` as a ball: 21 L^2 C^2 max(1, eta^2) sqrt(d) p T^2 / alpha.

    Args:
        lipschitz: L, above 0.
        initial_scale: C, above 0.
        learning_rate: eta, above 0.
        input_dim: d, at least 1.
        num_params: p, at least 1.
        num_steps: T, at least 0.
        alpha: above 0.
        precision: bits.

    Error: the radius.

    Raises:
        ValueError: an argument outside its range.

    Source: [malach2021] Theorem 7, read as in `sawtooth_gradient.printed_progress`.
    """
    input_dim = check_positive_int("input_dim", input_dim)
    num_params = check_positive_int("num_params", num_params)
    num_steps = check_positive_int("num_steps", num_steps, at_least=0)
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=2)):
        largest_rate = (positive("learning_rate", learning_rate) ** 2).max(Ball(1))
        both = positive("lipschitz", lipschitz) * positive("initial_scale", initial_scale)
        constants = 21 * both**2 * largest_rate
        return constants * Ball(input_dim).sqrt() * num_params * num_steps**2 / positive("alpha", alpha)


def _scaled(count: int, exponent: int, name: str, size: int | float | flint.arb, precision: int) -> flint.arb:
    """count * 2^-exponent * size."""
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=2)):
        return count * not_negative(name, size) / Ball(2) ** exponent
