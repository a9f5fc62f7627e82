"""Concatenated ReLU: a layer that keeps both signs, what it preserves, and how far filters come in opposite pairs."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from widththeory.constructions.arguments import check_built, keep_python_numbers
from widththeory.network import Network
from widththeory.typing import Guarantee, Points, Size, Values, check_positive_int

Filters = Float[np.ndarray, "num_filters input_dim"]


def crelu(values: Float[np.ndarray, "*batch channels"]) -> Float[np.ndarray, "*batch both_signs"]:
    """(relu(z), relu(-z)), concatenated along the last axis: twice the channels, no loss.

    Source:
        [shang2016] Section 2.
    """
    return np.concatenate([np.maximum(values, 0), np.maximum(-values, 0)], axis=-1)


def identity_network(input_dim: int, depth: int) -> Network:
    """x -> x on all of R^d by `depth` hidden layers of concatenated ReLUs, 2 d units each: relu(z) - relu(-z) = z.

    No layer of fewer ReLUs is injective on R^d.

    Source:
        [shang2016] Section 2; [puthawala2022] for the least number of units, as recalled.
    """
    check_positive_int("input_dim", input_dim)
    check_positive_int("depth", depth, at_least=0)
    return Network([(np.eye(input_dim), np.zeros(input_dim))]).deepen(depth)


def reconstruct(filters: Filters, features: Float[np.ndarray, "num_points both_signs"]) -> Points:
    """The part of x that the filters see, from the features crelu(filters @ x).

    Write x = x' + (x - x') with x' in the span of the filters and the rest orthogonal to it. Then x' = W^+ z, with
    W = filters and z = W x = relu(z) - relu(-z); the error is |x - x'|.

    Args:
        filters: one filter a row.
        features: as `crelu` orders them, twice as many as filters.

    Raises:
        ValueError: features are not twice as many as filters.

    Source:
        [shang2016] Proposition 2.1.
    """
    count = len(filters)
    if features.shape[1] != 2 * count:
        raise ValueError(f"features must have {2 * count} columns, two a filter, got {features.shape[1]}")
    return (features[:, :count] - features[:, count:]) @ np.linalg.pinv(filters).T


def pairing(filters: Filters) -> Float[np.ndarray, "num_filters"]:
    """Cosine between each filter and the one most nearly opposite to it: -1 for a filter whose negative is there too.

    Filters phi_i are scaled to norm 1; mu_i = min_{j != i} <phi_i, phi_j>.

    Args:
        filters: one filter a row, at least two, none zero.

    Raises:
        ValueError: fewer than two filters, or a filter that is zero.

    Source:
        [shang2016] Section 2.
    """
    norms = np.linalg.norm(filters, axis=1, keepdims=True)
    if len(filters) < 2 or not np.all(norms > 0):
        raise ValueError(
            f"filters must be at least two rows, none zero, got {len(filters)} of norm {norms.min()} or more"
        )
    unit = filters / norms
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, np.inf)
    return cosines.min(axis=1)


def random_pairing(num_filters: int, input_dim: int, rng: np.random.Generator) -> Float[np.ndarray, "num_filters"]:
    """`pairing` of independent Gaussian filters: the baseline that histograms of trained filters must be read against.

    Source:
        [shang2016] Section 2.
    """
    check_positive_int("num_filters", num_filters, at_least=2)
    check_positive_int("input_dim", input_dim)
    return pairing(rng.standard_normal((num_filters, input_dim)))


@dataclass(frozen=True)
class ReconstructedCoordinate:
    """First coordinate of the projection of x on the span of random filters, by one CReLU layer.

    The hidden layer is crelu(W x) and the output its reconstruction (`reconstruct`): linear in x, exact everywhere.

    Args:
        input_dim: d, at least 1.
        num_filters: Gaussian filters, at least 1; from d filters on the target is x_1.
        seed: seed of the filters.

    Domain: the law is the standard normal one; the identity holds on R^d.
    Error: zero.
    Size: width 2 num_filters, one hidden layer.

    Raises:
        ValueError: an integer argument below its least value.

    Source:
        [shang2016] Proposition 2.1.
    """

    input_dim: int
    num_filters: int
    seed: int = 0

    def __post_init__(self) -> None:
        keep_python_numbers(self)
        check_positive_int("input_dim", self.input_dim)
        check_positive_int("num_filters", self.num_filters)
        check_positive_int("seed", self.seed, at_least=0)

    def filters(self) -> Filters:
        """The random filters, one a row."""
        return np.random.default_rng(self.seed).standard_normal((self.num_filters, self.input_dim))

    def target(self, points: Points) -> Values:
        """First coordinate of the orthogonal projection, from an orthonormal basis of the span."""
        basis, _ = np.linalg.qr(self.filters().T)
        return points @ basis @ basis[0]

    def sample(self, num_points: int, rng: np.random.Generator) -> Points:
        """Standard normal points."""
        return rng.standard_normal((num_points, self.input_dim))

    def network(self) -> Network:
        """Both signs of the filters, then the first row of the pseudo-inverse."""
        check_built(self.size())
        filters = self.filters()
        head = np.linalg.pinv(filters)[:1]
        both = np.vstack([filters, -filters])
        return Network([(both, np.zeros(len(both))), (np.hstack([head, -head]), np.zeros(1))])

    def error(self) -> Guarantee:
        """The network is the target."""
        return Guarantee("sup", 0.0)

    def size(self) -> Size:
        """Two units a filter."""
        return Size(self.input_dim, (2 * self.num_filters,))


EXAMPLES = (ReconstructedCoordinate(6, 3), ReconstructedCoordinate(4, 8, seed=1))
