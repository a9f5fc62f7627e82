"""What gradient descent can see of a sawtooth: for networks of few affine pieces, exponentially little.

h^k has 2^(k-1) teeth on [0, 1]; c = h^k - 1/2 has mean zero on each tooth and is even about its middle, so that it is
orthogonal to every function that is affine there. Only teeth that hold a breakpoint contribute to a correlation.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from jaxtyping import Float

from widththeory.bounds.affine_pieces import max_affine_pieces
from widththeory.bounds.enclosure import at_least_zero
from widththeory.typing import Certified, check_not_negative, check_positive, check_positive_int, to_fraction


def correlation_bound(num_folds: int, num_pieces: int, oscillation: float) -> Certified:
    """Largest correlation of the centred sawtooth with a function that is affine on P pieces of [0, 1].

    For q affine on each of P intervals, continuous or not, with max q - min q at most `oscillation`,

        |int_0^1 (h^k - 1/2) q dx| <= min(P - 1, 2^(k-1)) 2^(-k-2) oscillation,

    since at most P - 1 of the teeth hold a breakpoint, and the integral of |h^k - 1/2| over one is 2^(-k-1).

    Args:
        num_folds: k, at least 1.
        num_pieces: P, at least 1.
        oscillation: at least 0.

    Error: rounding.

    Raises:
        ValueError: an argument outside its range.

    Source: derived for this project, after [malach2021].
    """
    num_folds = check_positive_int("num_folds", num_folds)
    num_pieces = check_positive_int("num_pieces", num_pieces)
    check_not_negative("oscillation", oscillation)
    return _scaled(min(num_pieces - 1, 2 ** (num_folds - 1)), num_folds + 2, oscillation)


def variation_bound(num_folds: int, total_variation: float) -> Certified:
    """Largest correlation of the centred sawtooth with a function of bounded variation, whatever its pieces.

    |int_0^1 (h^k - 1/2) q dx| <= 2^(-k-3) TV(q): the antiderivative of h^k - 1/2 that vanishes at 0 lies between
    -2^(-k-3) and 2^(-k-3) and vanishes at 1. A jump at a quarter of a tooth attains it.

    Args:
        num_folds: k, at least 1.
        total_variation: of q on [0, 1], jumps included; at least 0.

    Error: rounding.

    Raises:
        ValueError: an argument outside its range.

    Source: derived for this project.
    """
    num_folds = check_positive_int("num_folds", num_folds)
    check_not_negative("total_variation", total_variation)
    return _scaled(1, num_folds + 3, total_variation)


def gradient_bound(num_folds: int, widths: Sequence[int], largest: float) -> Certified:
    """How much the gradient of the squared loss can tell h^k from the constant 1/2.

    Let g be a ReLU network of one input and hidden widths w_l, P = prod(w_l + 1), and |grad g(x)| <= largest on [0, 1]
    for the gradient in the parameters, or some of them. For the loss E_f = int_0^1 (g - f)^2 dx

        |grad E_(h^k) - grad E_(1/2)| <= min(P - 1, 2^(k-1)) 2^(-k) largest,

    at every parameter, in particular at initialisation. The difference is -2 int (h^k - 1/2) grad g dx. Where no unit
    changes its activity each derivative of g is affine in x: a derivative of the output by a pre-activation, which is
    constant, times a unit of the layer below. There are at most P such intervals.

    Args:
        num_folds: k, at least 1.
        widths: units of each hidden layer.
        largest: bound on the Euclidean norm, at least 0; `largest_gradient` gives one.

    Error: rounding.

    Raises:
        ValueError: an argument outside its range.

    Source: derived for this project, after [malach2021] Theorem 7, whose bound is `printed_progress`.
    """
    num_folds = check_positive_int("num_folds", num_folds)
    check_not_negative("largest", largest)
    return _scaled(min(max_affine_pieces(widths) - 1, 2 ** (num_folds - 1)), num_folds, largest)


def largest_gradient(
    layers: Sequence[tuple[Float[np.ndarray, "_ _"], Float[np.ndarray, "_"]]],
) -> Certified:
    """Bound on |grad g(x)| in all weights and biases of a ReLU network g with one input and output, for x in [0, 1].

    With spectral norms, H_0 = 1, H_l = |W_l| H_(l-1) + |b_l| and D_l = |W_(l+1)| ... |W_(L+1)|, the derivatives by the
    weights and biases of layer l have norm at most D_l sqrt(H_(l-1)^2 + 1); the root of the sum of squares is returned.

    Args:
        layers: (weight, bias) of each affine map, the output last.

    Error: rounding.

    Raises:
        ValueError: no layer, or sizes that do not fit one input and one output.

    Source: derived for this project.
    """
    if len(layers) == 0 or layers[0][0].shape[1] != 1 or layers[-1][0].shape[0] != 1:
        raise ValueError("layers must be at least one, from one input to one output")
    norms = [float(np.linalg.norm(np.asarray(weight, dtype=np.float64), 2)) for weight, _ in layers]
    heights = [1.0]
    for norm, (_, bias) in zip(norms, layers, strict=True):
        heights.append(norm * heights[-1] + float(np.linalg.norm(np.asarray(bias, dtype=np.float64))))
    below, total = 1.0, 0.0
    for norm, height in zip(reversed(norms), reversed(heights[:-1]), strict=True):
        total += below**2 * (height**2 + 1)
        below *= norm
    value = math.sqrt(total)
    return Certified(value, 1e-12 * value)  # spectral norms to some hundred roundings each


def printed_loss_floor(depth: int, width: int) -> Certified:
    """Loss of networks of depth sqrt(n) on the sign of a sawtooth with 2^n intervals, as the paper prints it.

    With n = depth^2 and width p, every network has loss at least

        1 - 2 sqrt(n) (2 p)^sqrt(n) / 2^n,

    where 1 is the loss of guessing; 0 is returned where the formula is negative.

    Args:
        depth: sqrt(n), at least 1.
        width: p, at least 1.

    Error: rounding.

    Raises:
        ValueError: an argument is not an integer of at least 1.

    Source:
        [malach2021] Theorem 18.
        Differs: n is a square here, so that the depth is an integer.
    """
    depth = check_positive_int("depth", depth)
    width = check_positive_int("width", width)
    # (2 p)^depth 2^(1 - depth^2) depth, by its logarithm: the powers may be too large for floats
    exponent = 1 + math.log2(depth) + depth * (1 + math.log2(width)) - depth**2
    value = 0.0 if exponent >= 0 else -math.expm1(exponent * math.log(2))
    return Certified(*at_least_zero(value, 1e-13 * (1 + depth**2)))


def printed_progress(
    lipschitz: float,
    initial_scale: float,
    learning_rate: float,
    input_dim: int,
    num_params: int,
    num_steps: int,
    alpha: float,
) -> Certified:
    """By how much T steps of gradient descent can lower the loss of a target that shallow networks cannot approximate.

    If networks with two hidden layers and width alpha^d 2^d have loss at least 1 - 1/alpha on a family of targets on
    [0, 1]^d, then T steps with exact gradients, from an initialisation that the paper calls L-standard, lower the loss
    on the family by at most

        21 L^2 C^2 max(1, eta^2) sqrt(d) p T^2 / alpha,

    for any architecture with p parameters. L and C are constants of the hypotheses, which the paper defines.

    Args:
        lipschitz: L, above 0.
        initial_scale: C, above 0.
        learning_rate: eta, above 0.
        input_dim: d, at least 1.
        num_params: p, at least 1.
        num_steps: T, at least 0.
        alpha: above 0.

    Error: rounding.

    Raises:
        ValueError: an argument outside its range, or a bound outside that of floats.

    Source:
        [malach2021] Theorem 7.
        Differs: the width is printed with its superscripts lost, "alpha(n)d 2d"; it is read here as alpha^d 2^d.
    """
    numbers = {"lipschitz": lipschitz, "initial_scale": initial_scale, "learning_rate": learning_rate, "alpha": alpha}
    for name, number in numbers.items():
        check_positive(name, number)
    input_dim = check_positive_int("input_dim", input_dim)
    num_params = check_positive_int("num_params", num_params)
    num_steps = check_positive_int("num_steps", num_steps, at_least=0)
    # in rationals but for the root: squares of floats may underflow or overflow where the product does not
    largest_rate = max(Fraction(1), to_fraction(learning_rate) ** 2)
    constants = 21 * (to_fraction(lipschitz) * to_fraction(initial_scale)) ** 2 * largest_rate
    exact = constants * Fraction(math.sqrt(input_dim)) * num_params * num_steps**2 / to_fraction(alpha)
    if exact >= 2**1023:
        raise ValueError("the bound must be below 2^1023; of a larger one `rigorous_gradient` has a ball")
    value = float(exact)
    return Certified(value, 2 * math.ulp(value))


def _scaled(count: int, exponent: int, size: float) -> Certified:
    """count * 2^-exponent * size, rounded once: the first two alone may underflow."""
    exact = Fraction(count, 2**exponent) * to_fraction(size)
    value = float(exact)
    return Certified(value, math.ulp(value) if value != exact else 0.0)
