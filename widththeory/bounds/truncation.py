"""The one-hidden-layer floor for a network measured on a ball only, as every finite experiment measures it."""

import math

import numpy as np
from jaxtyping import Float

from widththeory.bounds.radial_law import RadialLaw
from widththeory.network import Network
from widththeory.typing import Certified, Points, Values, check_positive

_SHARE_ERROR = 1e-11  # of `RadialLaw.cdf`
_EPS = float(np.finfo(np.float64).eps)


def truncated_floor(floor: Certified, outside: Certified) -> Certified:
    """Floor under the error that a network with one hidden layer makes inside a ball: E_k less what is made outside.

    Let f be the network and f~ the same with every ridge profile set to 0 beyond |s| = R (`truncated_values`), so that
    f~ = f for |x| <= R. Then E [(f - g)^2; |x| <= R] >= E_k - E [(f~ - g)^2; |x| > R]. Expectations are under the
    whole law, not conditional on the ball.

    Args:
        floor: E_k, from `spectral.floor`.
        outside: E [(f~ - g)^2; |x| > R], from `outside_error`.

    Error: those of both, and rounding.

    Source:
        derived for this project, from the floor of [eldanshamir2016] Proposition 13.
    """
    value, error = floor.value - outside.value, floor.error + outside.error
    return Certified(value, error + 2 * _EPS * (abs(value) + error))


def truncated_values(network: Network, radius: int | float, points: Points) -> Values:
    """Values of f~: each neuron v relu(<w, x> + b) is 0 where |<w, x>| > radius |w|; the output bias stays.

    Raises:
        ValueError: the network does not have one hidden layer and one output, or the radius is not positive.
    """
    radius = check_positive("radius", radius)
    (weight, bias), (outer, constant) = _one_hidden_layer(network)
    inner = weight @ points.T
    kept = np.abs(inner) <= radius * np.linalg.norm(weight, axis=1)[:, None]
    return (outer @ (np.maximum(inner + bias[:, None], 0.0) * kept))[0] + constant[0]


def truncated_supremum(network: Network, radius: int | float) -> float:
    """A bound on |f~| over all of space: |c| + sum |v| max over |s| <= radius of relu(|w| s + b), rounded up.

    Raises:
        ValueError: as `truncated_values`.
    """
    radius = check_positive("radius", radius)
    (weight, bias), (outer, constant) = _one_hidden_layer(network)
    reach = np.linalg.norm(weight, axis=1) * radius
    rounding = (weight.size + 8) * _EPS  # of sums of that length; reach and bias may cancel
    peaks = np.maximum(reach + bias, 0.0) + rounding * (reach + np.abs(bias))
    return float(np.abs(constant[0]) + np.abs(outer[0]) @ peaks) * (1 + rounding)


def outside_error(
    law: RadialLaw,
    radius: int | float,
    squared_errors: Float[np.ndarray, "num_points"],
    supremum: int | float,
    *,
    failure_probability: float = 1e-6,
) -> Certified:
    """E [(f~ - g)^2; |x| > R] from independent values of (f~ - g)^2 at points drawn with `law.sample(above=t)`.

    Args:
        radius: R, in units of x; t = law.scale * R.
        squared_errors: at least 2 values of (f~ - g)^2 at points drawn given |x| > R.
        supremum: a bound on (f~ - g)^2 that holds everywhere outside.
        failure_probability: delta, in (0, 1): the chance that the true value is not within the error.

    Error:
        With probability 1 - delta, by the empirical Bernstein inequality on both sides:
        P(|x| > R) (sqrt(2 V log(4/delta) / n) + 7 M log(4/delta) / (3 (n - 1))), V the sample variance, M the supremum;
        and 1e-11 of mean and spread for the roundoff of P.

    Raises:
        ValueError: a radius not positive, fewer than 2 values, values outside [0, supremum], a supremum that is not
            finite, or a probability outside (0, 1).

    Source:
        [maurerpontil2009] Theorem 4, as recalled; two-sided by halving the probability.
    """
    radius = check_positive("radius", radius)
    number = len(squared_errors)
    if number < 2:
        raise ValueError(f"squared_errors must hold at least 2 values, got {number}")
    if not (np.all(squared_errors >= 0) and np.all(squared_errors <= supremum) and math.isfinite(supremum)):
        raise ValueError(f"squared_errors must lie between 0 and supremum={supremum!r}")
    if not 0 < failure_probability < 1:
        raise ValueError(f"failure_probability must be in (0, 1), got {failure_probability!r}")
    share = float(1 - law.cdf(np.array([law.scale * radius]))[0])
    log_term = math.log(4 / failure_probability)
    spread = math.sqrt(2 * float(np.var(squared_errors, ddof=1)) * log_term / number)
    spread += 7 * float(supremum) * log_term / (3 * (number - 1))
    mean = float(np.mean(squared_errors))
    return Certified(share * mean, share * spread + _SHARE_ERROR * (mean + spread))


def _one_hidden_layer(network: Network) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    if network.size.depth != 1 or network.output_dim != 1:
        raise ValueError(
            f"network must have one hidden layer and one output, got depth {network.size.depth} and "
            f"{network.output_dim} outputs"
        )
    first, last = network.float64().layers
    return first, last
