"""The wave, its two-hidden-layer network, the signed shells and the radial control."""

import itertools
import math

import mpmath
import numpy as np
import pytest
import scipy.special as sp

from widththeory.bounds.radial_law import RadialLaw
from widththeory.constructions.eldan_shamir import Cosine
from widththeory.constructions.radial_control import Norm
from widththeory.constructions.signed_shells import AlternatingShells, RandomShells


def relative_error(wave, num_points, seed=0):
    """Mean squared error over the second moment of the target, and its standard error."""
    points = wave.sample(num_points, np.random.default_rng(seed))
    network = wave.network()
    values = np.concatenate([network(block)[:, 0] for block in np.array_split(points, 20)])
    squares = (values - wave.target(points)) ** 2 / wave.second_moment().value
    return squares.mean(), squares.std() / math.sqrt(num_points)


@pytest.mark.parametrize(
    ("dim", "frequency", "num_pieces", "widths", "printed"),
    [
        (4, 2, 33, (136, 41), 0.0072),
        (4, 3, 39, (160, 61), 0.0077),
        (8, 2, 46, (376, 81), 0.0094),
        (8, 3, 64, (520, 121), 0.0069),
        (16, 1, 54, (880, 81), 0.0091),
        (16, 2, 75, (1216, 161), 0.0093),
        (32, 1, 103, (3328, 161), 0.0068),
        (32, 2, 139, (4480, 321), 0.0074),
    ],
)
def test_network_reaches_one_percent_at_known_widths(dim, frequency, num_pieces, widths, printed):
    wave = Cosine(dim, frequency, num_pieces=num_pieces)
    assert wave.size().widths == widths
    error, spread = relative_error(wave, 20_000 if dim < 32 else 5_000)
    assert error < 0.01
    # Printed from 20,000 other points, restricted to t < 4 d, where the target is larger and so is the error.
    assert abs(error - printed) < 6 * spread + 0.03 * printed
    assert error - 5 * spread < wave.error().bound ** 2 / wave.second_moment().value


@pytest.mark.parametrize(
    ("dim", "frequency", "order"), [(2, 3, 2), (4, 3, 2), (8, 1, 2), (8, 3, 2), (16, 2, 2), (8, 3, 0), (4, 5, 0)]
)
def test_default_network_reaches_one_percent(dim, frequency, order):
    wave = Cosine(dim, frequency, order=order)
    error, spread = relative_error(wave, 10_000)
    assert error + 5 * spread < 0.01
    # The guarantee is a bound, and no silly one: within five times of the error in norm.
    guarantee = wave.error()
    assert guarantee.norm == "l2"
    norm = math.sqrt(error * wave.second_moment().value)
    assert norm < guarantee.bound < 5 * norm


@pytest.mark.parametrize(("dim", "order", "allowed"), [(2, 2, 0.01), (4, 0, 0.1), (6, 2, 0.01), (3, 1, 0.9)])
def test_network_for_an_error_guarantees_it_with_as_few_pieces(dim, order, allowed):
    wave = Cosine.for_error(dim, 3.0, order, relative_error=allowed)
    moment = wave.second_moment().value
    assert 0.8 * allowed < wave.error().bound ** 2 / moment <= allowed
    fewer = Cosine(dim, 3.0, order, wave.pieces - 1, wave.phase_step)
    assert fewer.error().bound ** 2 / moment > allowed
    error, spread = relative_error(wave, 4000)
    assert error - 5 * spread < allowed
    assert wave.spectrum() is Cosine(dim, 3.0, order).spectrum()  # the target does not depend on the network's size
    for phase_step in (0.7 * wave.phase_step, 1.4 * wave.phase_step):  # no better at other steps, but for the grid's
        other = Cosine(dim, 3.0, order, wave.pieces, phase_step)
        smaller = sum(other.size().widths) < 0.98 * sum(wave.size().widths)
        assert not (smaller and other.error().bound ** 2 / moment <= allowed)


def test_network_for_an_error_of_a_wave_that_hardly_moves():
    # All of the target is the window: knots a few tenths of a period of the wave apart do not see it.
    wave = Cosine.for_error(2, 0.01, relative_error=1e-4)
    assert wave.error().bound ** 2 <= 1e-4 * wave.second_moment().value
    error, spread = relative_error(wave, 4000)
    assert error - 5 * spread < 1e-4


@pytest.mark.parametrize(
    "wave",
    [
        Cosine(3, 3.0, 0, 20, 0.9),
        Cosine(2, 1.0, 2, 1),
        Cosine(4, 2.0, 1, 2**24, 0.7),
        # so slow that slopes rise with the radius, to the middle of the window's end; pieces longer and shorter than pi
        Cosine(2, 0.05, 0, 5, 0.02),
        Cosine(2, 0.05, 0, 30, 0.02),
        Cosine(16, 0.1, 2, 8, 0.05),  # pieces of seven, over which the mean square of their error is not known
        Cosine(4, 1.0, 2, 2, 0.8),  # beyond the window the largest value is not that at the last radius reached
    ],
)
def test_error_follows_its_formula(wave):
    """By sums over all panels and slopes, as the docstring has it."""
    dim, end, law = wave.input_dim, wave.window[1], wave.law
    radii = np.append(np.arange(wave.size().widths[1] - 1) * wave.phase_step / wave.frequency, end)
    squares, values = radii**2, np.append(wave.profile(radii[:-1]), 0.0)
    slopes, length = np.abs(np.diff(values) / np.diff(squares)), 2 * end / wave.pieces
    shift = dim * length**2 / 6

    def reach(low, high):
        return max(s for s, a, b in zip(slopes, squares, squares[1:], strict=False) if a < high and b > low)

    edges = np.unique([*np.linspace(0, end, math.ceil(2 * end) + 1), wave.window[0], *radii])
    masses = [law.expectation(lambda t, low=low: 1.0 * (t > low), high, breaks=(low,)).value for low, high in
              itertools.pairwise(edges)]  # fmt: skip
    near = [min(2.0, shift * reach(a**2 - shift, b**2 + shift / 2)) ** 2 for a, b in itertools.pairwise(edges)]
    mean_square = length**4 * dim / 180 if length <= math.pi else shift**2
    choices = [
        (reach(edge**2 - shift, math.inf) ** 2 * mean_square if index < len(masses) else 0.0)
        + sum(m * n for m, n in zip(masses[:index], near[:index], strict=True))
        for index, edge in enumerate(edges)
    ]
    breaks = radii.tolist()
    inside = law.expectation(
        lambda t: (np.interp(t**2, squares, values) - wave.profile(t)) ** 2, end, breaks=(wave.window[0], *breaks)
    )
    last = np.linspace(max(end**2 - shift, 0), end**2, 10_001)
    tail = (1 - law.cdf(np.array([end]))[0]) * np.abs(np.interp(last, squares, values)).max() ** 2
    expected = math.sqrt((math.sqrt(inside.value) + math.sqrt(min(choices))) ** 2 + tail)
    assert wave.error().bound == pytest.approx(expected, rel=1e-6)  # the tail's maximum is taken on a grid


def test_pieces_of_length_pi_are_enough_in_high_dimension():
    """So that the network for an error has O(d^2) neurons: what they add to the error falls as 1/d."""
    added = []
    for dim in (32, 128):
        pieces = math.ceil(2 * Cosine(dim).window[1] / math.pi) + 1
        exact, made = (Cosine(dim, 3.0, 0, count, 0.5).error().bound for count in (2**24, pieces))
        added.append((made - exact) ** 2)
    assert added[1] < added[0] / 3


def test_error_falls_with_the_square_of_the_pieces():
    # With fine knots in layer 2, the first layer's error h^2 dominates: a factor 4 for each doubling.
    bounds, errors = [], []
    for num_pieces in (32, 64, 128):
        wave = Cosine(8, 2.0, order=2, num_pieces=num_pieces, phase_step=0.05)
        bounds.append(wave.error().bound)
        errors.append(math.sqrt(relative_error(wave, 4000)[0]))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.15)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.15)
    assert bounds[0] / bounds[1] > 3
    assert bounds[1] / bounds[2] > 3


@pytest.mark.parametrize(("dim", "order", "num_pieces"), [(8, 0, 64), (4, 2, 12), (3, 0, 9), (3, 0, 5)])
def test_mean_square_of_the_first_layer_is_exact(dim, order, num_pieces):
    wave = Cosine(dim, 2.0, order=order, num_pieces=num_pieces)
    end, scale = wave.window[1], wave.law.scale
    length = 2 * end / num_pieces
    points = wave.sample(200_000, np.random.default_rng(2)) * scale
    # the interpolant continued periodically: what the first layer adds to t^2, inside its box
    place = (points + end) / length
    share = place - np.floor(place)
    shift = np.sum(share * (1 - share) - 1 / 6, axis=1) * length**2
    claimed = length**4 * dim / 180
    spread = np.std(shift**2) / math.sqrt(len(shift))
    if length <= math.pi:
        assert abs(np.mean(shift**2) - claimed) < 5 * spread
    else:  # the law sees the lattice: the formula is for q <= pi only
        assert num_pieces == 5
        assert abs(np.mean(shift**2) - claimed) > 5 * spread
    assert np.all(shift >= -dim * length**2 / 6 - 1e-9)
    assert np.all(shift <= dim * length**2 / 12 + 1e-9)
    inside = np.linalg.norm(points, axis=1) < end
    hidden = np.maximum(wave.network().layers[0].weight @ points.T[:, :50] / scale, 0)
    assert hidden.shape == (dim * (num_pieces + 1), 50)
    assert inside.mean() > 0.85


def test_a_step_that_is_mere_rounding_takes_no_knot():
    # 7 windows of 4 * 0.1 / 0.7 are 4.000000000000001 in float64
    assert Cosine(7, 0.1, 0, 10, 0.7).size().widths[1] == 1 + 4
    assert Cosine(7, 0.1, 0, 10, 0.69).size().widths[1] == 1 + 5


def test_a_wave_too_slow_for_a_second_knot_has_one_at_the_end():
    wave = Cosine(2, 1e-12, num_pieces=40)
    assert wave.network().size == wave.size()
    error, spread = relative_error(wave, 4000)
    assert error - 5 * spread < wave.error().bound ** 2 / wave.second_moment().value


def test_network_stays_small_beyond_its_window():
    wave = Cosine(3, 2.0, num_pieces=24)
    network, end = wave.network(), wave.window[1] / wave.law.scale
    rng = np.random.default_rng(4)
    points = rng.standard_normal((2000, 3))
    points *= (end * rng.uniform(1, 1e3, 2000) / np.linalg.norm(points, axis=1))[:, None]
    axes = np.eye(3) * end * 50
    reached = math.sqrt(wave.window[1] ** 2 - 3 * (2 * wave.window[1] / 24) ** 2 / 6)
    ceiling = np.max(np.abs(wave.profile(np.linspace(reached - 0.4, wave.window[1], 500))))
    assert np.all(np.abs(network(np.vstack([points, axes]))) <= ceiling + 1e-7)
    assert not wave.target(points).any()


@pytest.mark.parametrize(("dim", "order"), [(4, 0), (8, 2)])
def test_wave(dim, order):
    wave = Cosine(dim, 2.5, order=order)
    points = wave.sample(100_000, np.random.default_rng(1))
    radii = np.linalg.norm(points, axis=1) * wave.law.scale
    values = wave.target(points)
    start, end = wave.window
    plain = radii < start
    np.testing.assert_allclose(values[plain], np.cos(2.5 * radii[plain]), atol=1e-12)
    assert np.all(values[radii >= end] == 0)
    squares = values**2
    moment = wave.second_moment()
    assert abs(squares.mean() - moment.value) < 5 * squares.std() / math.sqrt(len(squares))
    assert moment.error < 1e-10
    assert wave.spectrum() is Cosine(dim, 2.5, order=order, num_pieces=3).spectrum()  # one a target, not a network


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_dim": 1}, "dim must be an integer of at least 2, got 1"),
        ({"input_dim": 4, "frequency": 0.0}, "frequency must be a positive number"),
        ({"input_dim": 4, "order": -1}, "order must be an integer of at least 0"),
        ({"input_dim": 4, "num_pieces": 0}, "num_pieces must be an integer of at least 1"),
        ({"input_dim": 4, "phase_step": 4.0}, "phase_step must lie in"),
    ],
)
def test_bad_input_of_the_wave(arguments, message):
    with pytest.raises(ValueError, match=message):
        Cosine(**arguments)


@pytest.mark.parametrize("allowed", [0.0, 1.0, 1e-7, math.nan])
def test_bad_error_of_the_wave(allowed):
    with pytest.raises(ValueError, match=r"relative_error must lie in \[1e-6, 1\)"):
        Cosine.for_error(4, relative_error=allowed)


@pytest.mark.parametrize(
    ("dim", "number", "num_good", "mass"), [(4, 16, 11, 0.0776), (8, 64, 53, 0.0935), (16, 256, 218, 0.0979)]
)
def test_good_shells(dim, number, num_good, mass):
    shells = AlternatingShells(dim)
    edges = shells.edges()
    assert shells.num_shells == number
    good = shells.good()
    assert good.sum() == num_good
    assert abs(float(np.diff(shells.law.cdf(edges[[0, -1]]))[0]) - mass) < 0.5e-4
    np.testing.assert_allclose(edges[[0, -1]] / shells.law.scale, [math.sqrt(dim), 2 * math.sqrt(dim)], rtol=1e-12)
    # the clause itself, at 400 radii of every shell
    for flag, left, right in zip(good, edges[:-1], edges[1:], strict=True):
        radii = np.linspace(left, right, 400) / shells.law.scale
        wave = sp.jv(dim / 2, shells.law.scale * radii) ** 2
        # just below 1, since the clause holds with equality at an end of no shell but up to rounding
        assert np.all(wave >= (1 - 1e-9) / (40 * shells.law.scale * radii)) == flag


@pytest.mark.parametrize("shells", [AlternatingShells(4), RandomShells(6, alpha=1.5, gamma=2.0, seed=7)])
def test_shells(shells):
    middles = (shells.edges()[1:] + shells.edges()[:-1]) / 2
    np.testing.assert_array_equal(shells.profile(middles), np.where(shells.good(), shells.signs(), 0))
    outside = np.array([0.0, 0.999, 1.001]) * np.append(shells.edges()[[0, 0]], shells.edges()[-1])
    assert not shells.profile(outside).any()
    # Lemma 11, and the moment by sampling
    moment = shells.second_moment()
    shares = np.diff(shells.law.cdf(shells.edges()))
    assert moment.value == pytest.approx(shares[shells.good()].sum(), abs=1e-10)  # of the distribution function
    assert moment.lower >= 0.003 / shells.alpha
    squares = shells.target(shells.sample(100_000, np.random.default_rng(0))) ** 2
    assert abs(squares.mean() - moment.value) < 5 * squares.std() / math.sqrt(len(squares))


@pytest.mark.parametrize("dim", [4, 8, 16])
def test_mollified_shells(dim):
    shells, smooth = AlternatingShells(dim, alpha=2.0), AlternatingShells(dim, alpha=2.0, mollified=True)
    # Lemma 12, whose constant is for large d and already holds here
    edges, ramp = shells.edges(), shells.law.scale / shells.num_shells
    breaks = np.concatenate([edges, edges[1:] - ramp, edges[:-1] + ramp])
    distance = shells.law.expectation(
        lambda t: (shells.profile(t) - smooth.profile(t)) ** 2, float(edges[-1]), breaks=breaks.tolist()
    )
    assert 0 < distance.upper <= 3 / (4 * math.sqrt(dim))
    radii = np.linspace(0, 1.1 * edges[-1], 200_001)
    slopes = np.abs(np.diff(smooth.profile(radii)) / np.diff(radii)) * shells.law.scale
    # N-Lipschitz in |x|, and no less: the erratum's max would jump
    assert shells.num_shells * (1 - 1e-6) < slopes.max() < shells.num_shells * (1 + 1e-6)
    assert np.max(np.abs(smooth.profile(radii))) <= 1
    np.testing.assert_array_equal(
        smooth.profile((edges[1:] + edges[:-1]) / 2), shells.profile((edges[1:] + edges[:-1]) / 2)
    )


def test_shells_are_counted_up_and_begin_with_a_plus():
    shells = AlternatingShells(3, gamma=0.5)
    assert shells.num_shells == 5  # of 4.5
    assert shells.signs().tolist() == [1, -1, 1, -1, 1]


def test_bad_input_of_shells():
    for arguments, name in (
        ({"input_dim": 1}, "input_dim"),
        ({"alpha": math.inf}, "alpha"),
        ({"gamma": math.inf}, "gamma"),
    ):
        for kind in (AlternatingShells, RandomShells):
            with pytest.raises(ValueError, match=f"{name} must be"):
                kind(**{"input_dim": 4} | arguments)
    with pytest.raises(ValueError, match=r"alpha must be a number of at least 1, got 0\.5"):
        AlternatingShells(4, alpha=0.5)
    with pytest.raises(ValueError, match="gamma must be"):
        RandomShells(4, gamma=0.0)
    with pytest.raises(ValueError, match="seed must be an integer of at least 0"):
        RandomShells(4, seed=-1)


@pytest.mark.parametrize(("dim", "num_directions"), [(2, 3), (3, 10), (8, 64)])
def test_radial_control(dim, num_directions):
    control = Norm(dim, num_directions=num_directions)
    points = control.sample(200_000, np.random.default_rng(0))
    gaps = (control.network()(points)[:, 0] - control.target(points)) ** 2
    # exact, not only a bound
    assert abs(gaps.mean() - control.error().bound ** 2) < 6 * gaps.std() / math.sqrt(len(gaps))
    norms = np.linalg.norm(points, axis=1)
    assert abs(norms.mean() - RadialLaw(dim, 2).moment(1)) < 5 * norms.std() / math.sqrt(len(norms))
    assert abs(np.var(norms) / control.variance().value - 1) < 0.05  # fourth moments are finite, and no more
    relative = control.error().bound ** 2 / control.second_moment().value
    assert relative < 2 * (math.pi / 2 - 1) / num_directions  # twice the average over directions


@pytest.mark.parametrize("dim", [2, 3, 5, 8, 256, 2000, 10**5])
def test_moments_of_the_control(dim):
    """E t^p = int J^2 t^(p - 5) / int J^2 t^-5 by Weber and Schafheitlin, in 30 digits; the rest of |x| that is cut."""
    control, order = Norm(dim), mpmath.mpf(dim) / 2 + 2

    def integral(q):  # of J_order(t)^2 t^-q
        gamma = mpmath.gamma
        lower = 2**q * gamma((1 + q) / 2) ** 2 * gamma(order + (1 + q) / 2)
        return gamma(q) * gamma(order + (1 - q) / 2) / lower

    with mpmath.workdps(30):
        mean, square = (integral(mpmath.mpf(5 - power)) / integral(mpmath.mpf(5)) for power in (1, 2))
        for known, exact in ((control.second_moment(), square), (control.variance(), square - mean**2)):
            assert abs(known.value - exact) <= known.error <= 3e-14 * max(dim, 33) * square
    if dim > 8:
        return  # what is cut takes long
    found, law, start, end = control.spectrum(), control.law, 20 * float(order), 25 * float(order)

    def windowed(t):
        return t * (0.5 + 0.5 * np.cos(np.pi * np.clip((t - start) / (end - start), 0, 1)))

    kept = law.expectation(lambda t: windowed(t) ** 2, end, breaks=(start,)).value
    both = law.expectation(lambda t: windowed(t) * t, end, breaks=(start,)).value
    assert found.second_moment.value == pytest.approx(kept, rel=1e-9)
    cut = float(square) - 2 * both + kept
    assert cut <= found.leftover**2 <= 2 * cut


def test_error_of_the_control_is_not_below_the_truth_by_rounding():
    """In the plane, 200 directions leave 5e-9: a difference of terms of order 1, against an integral over the angle."""
    control = Norm(2, num_directions=200, direction_seed=1)
    angles = (np.arange(200_000) + 0.5) / 200_000 * np.pi
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    gaps = np.concatenate([control.network()(part)[:, 0] - 1 for part in np.array_split(circle, 40)])
    relative = control.error().bound ** 2 / control.second_moment().value
    assert np.mean(gaps**2) * (1 - 1e-6) <= relative <= np.mean(gaps**2) * 1.01  # kinks are 1e-5 of the angles


def test_average_error_of_the_control():
    for dim in (2, 5, 20):
        for num_directions in (1, 8, 40):
            errors = [
                Norm(dim, num_directions=num_directions, direction_seed=seed).error().bound ** 2 for seed in range(20)
            ]
            assert np.mean(errors) / RadialLaw(dim, 2).moment(2) <= (math.pi / 2 - 1) / num_directions
    with pytest.raises(ValueError, match="order must be an integer of at least 1, got 0"):
        Norm(4, order=0)
    bad = {"input_dim": 1, "num_directions": 0, "direction_seed": -1, "order": 500}
    for name, value in bad.items():
        with pytest.raises(ValueError, match=rf"{name}.* must"):
            Norm(**{"input_dim": 4, name: value})
    assert Norm(3, direction_seed=0).error() != Norm(3, direction_seed=1).error()


def test_a_network_beyond_memory_is_refused_and_still_counted():
    huge = Cosine(2000, 3.0)
    assert huge.size().num_params > 2**27
    with pytest.raises(ValueError, match=r"a network of 2 hidden layers and .* numbers is not built"):
        huge.network()


def test_window_of_a_law_with_moments_falls_from_its_quantile():
    wave = Cosine(4, 2.0, order=2)
    start, end = wave.window
    assert wave.law.cdf(np.array([start]))[0] == pytest.approx(0.99, abs=1e-9)
    assert end == 1.25 * start
