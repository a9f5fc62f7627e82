"""`random_features` as balls: lattice points are counted exactly, and everything else is a closed form."""

from widththeory.bounds.random_features import lattice_points
from widththeory.bounds.rigorous import flint, positive, rational
from widththeory.typing import check_positive_int

Ball = flint.arb


def law_exponent(input_dim: int, lipschitz: int | float, l2_error: int | float, *, precision: int = 128) -> flint.arb:
    """`random_features.law_exponent` as a ball.

    min((L^2 / eps^2) log(d eps^2 / L^2 + 2), d log(L^2 / (eps^2 d) + 2)).

    Args:
        input_dim: d, at least 1.
        lipschitz: L, above 0.
        l2_error: eps, above 0.
        precision: bits.

    Error: the radius. The law is exp(Theta(E)): its constants are not given, so that this is a rate.

    Raises:
        ValueError: an argument outside its range.

    Source: [hsu2021], upper and lower bound.
    """
    check_positive_int("input_dim", input_dim)
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=2)):
        ratio = (positive("lipschitz", lipschitz) / positive("l2_error", l2_error)) ** 2
        return (ratio * (input_dim / ratio + 2).log()).min(input_dim * (ratio / input_dim + 2).log())


def random_feature_floor(
    input_dim: int, lipschitz: int | float, num_features: int, *, max_squared_radius: int = 64, precision: int = 128
) -> flint.arb:
    """`random_features.random_feature_floor` as a ball: max over m of L / (pi sqrt(2 m)) sqrt(1 - r / N(m)).

    Args:
        input_dim: d, at least 1.
        lipschitz: L, above 0.
        num_features: r, at least 0.
        max_squared_radius: the last m that is tried; each gives a floor.
        precision: bits.

    Error: the radius.

    Raises:
        ValueError: an argument outside its range.

    Source: derived for this project, after the lower bound of [hsu2021].
    """
    check_positive_int("input_dim", input_dim)
    num_features = check_positive_int("num_features", num_features, at_least=0)
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=2)):
        scale, best = positive("lipschitz", lipschitz) / Ball.pi(), Ball(0)
        for m, count in _counts(input_dim, max_squared_radius):
            if count > num_features:
                share = (rational(count - num_features) / (2 * m * count)).sqrt()
                best = best.max(scale * share)
        return best


def random_features_needed(
    input_dim: int,
    lipschitz: int | float,
    l2_error: int | float,
    failure: int | float = 0.0,
    *,
    max_squared_radius: int = 64,
    precision: int = 128,
) -> flint.arb:
    """`random_features.random_features_needed` as a ball: max over m of (1 - failure) N(m) (1 - 2 pi^2 m eps^2 / L^2).

    Args:
        input_dim: d, at least 1.
        lipschitz: L, above 0.
        l2_error: eps, above 0.
        failure: probability, in [0, 1).
        max_squared_radius: the last m that is tried; each gives a bound.
        precision: bits.

    Error: the radius.

    Raises:
        ValueError: an argument outside its range.

    Source: derived for this project, after the lower bound of [hsu2021].
    """
    check_positive_int("input_dim", input_dim)
    if not 0 <= failure < 1:
        raise ValueError(f"failure must lie in [0, 1), got {failure!r}")
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=2)):
        scaled = 2 * (Ball.pi() * positive("l2_error", l2_error) / positive("lipschitz", lipschitz)) ** 2
        best = Ball(0)
        for m, count in _counts(input_dim, max_squared_radius):
            best = best.max((1 - rational(failure)) * count * (1 - m * scaled))
        return best


def _counts(input_dim: int, last: int) -> list[tuple[int, int]]:
    """m and the number of lattice points in the ball of squared radius m, for those m that add some."""
    check_positive_int("max_squared_radius", last)
    counts = [(m, lattice_points(input_dim, m)) for m in range(last + 1)]
    return [pair for before, pair in zip(counts, counts[1:], strict=False) if pair[1] > before[1]]
