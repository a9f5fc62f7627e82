"""Floors of products over all directions: closed forms, brute force, the plane by chords, and narrow fits above."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize

from widththeory.bounds.kernel_direction import narrow_floor
from widththeory.bounds.product_direction import product_floor


def identity(x):
    return x


def cosine(x):
    return np.cos(np.pi * x)


# factor, Lipschitz constant, least distances in the plane (L1, L2)
CASES = {"identity": (identity, 1.0, 0.500, np.sqrt(0.1185)), "cosine": (cosine, np.pi, 1.1145, np.sqrt(0.421))}


@pytest.mark.parametrize("name", CASES)
def test_plane_by_chords(name):
    """Chords find the least distance itself: the floor lies below, and not far in L2."""
    factor, lipschitz, l1, l2 = CASES[name]
    for norm, known, share in [("l2", l2, 0.8), ("l1", l1, 0.28)]:
        floor = product_floor((factor,) * 2, (lipschitz,) * 2, norm)
        chords = narrow_floor(
            lambda p: factor(p[:, 0]) * factor(p[:, 1]),
            lipschitz * np.sqrt(2),
            norm,
            num_cells=80,
            num_angles=60,
            max_evaluations=60,
        )
        assert floor.lower <= chords.value * 1.01  # its grid is coarse
        assert share * known < floor.value < known


def masses(t):
    """Integrals over [-1, 1 - t] of x^2 and of x (x + t)."""
    low, high = -1.0, 1.0 - t
    square = (high**3 - low**3) / 3
    return square, square + t * (high**2 - low**2) / 2


@pytest.mark.parametrize("input_dim", [2, 3, 5])
def test_product_of_coordinates_by_brute_force_over_directions(input_dim):
    """With weight 1: the integral of prod a - prod |c| over t in closed form of each factor, at random directions."""
    times = (np.arange(2000) + 0.5) / 1000
    directions = np.random.default_rng(0).uniform(size=(200, input_dim))
    directions[0], directions[1] = 1.0, 0.0
    directions[:, 0] = 1.0
    found = []
    for direction in directions:
        parts = [masses(times * u) for u in direction]
        found.append(np.prod([a for a, _ in parts], axis=0).mean() * 2)
        found[-1] -= np.abs(np.prod([c for _, c in parts], axis=0)).mean() * 2
    floor = product_floor((identity,) * input_dim, (1.0,) * input_dim)
    if input_dim < 5:  # weight 1 is the best one: all that is lost are steps and means
        assert 0.9 * min(found) <= floor.value**2 <= 1.001 * min(found)
    else:
        assert floor.value**2 >= 0.85 * min(found)


def test_absolute_floor_by_quadrature():
    """x_1 x_2 x_3 with weight 1: nu by minimising over lambda, times the square of (1 + (1 - t)^2) / 2 for t <= 1."""

    def nu(t):
        points = -1 + (2 - t) * (np.arange(4000) + 0.5) / 4000
        return optimize.minimize_scalar(
            lambda scale: (2 - t) * np.abs(points + t - scale * points).mean(), bounds=(-1, 1), method="bounded"
        ).fun

    def mass(t):
        return (1 + (1 - t) ** 2) / 2 if t <= 1 else (1 - (1 - t) ** 2) / 2

    times = (np.arange(100) + 0.5) / 50
    exact = 0.5 * np.mean([nu(t) * mass(t) ** 2 for t in times]) * 2
    floor = product_floor((identity,) * 3, (1.0,) * 3, "l1")
    # the best triangle is at least as good as weight 1, less the steps
    assert 0.97 * exact <= floor.value <= 1.2 * exact


def grid(input_dim, num_steps):
    steps = (np.arange(num_steps) + 0.5) * 2 / num_steps - 1
    return np.stack(np.meshgrid(*[steps] * input_dim, indexing="ij"), axis=-1).reshape(-1, input_dim)


def distance_of_polynomials(values, forms, degree):
    """Least-squares distance on the grid to polynomials in some linear forms, in L1 and L2 of the cube."""
    powers = [p for p in itertools.product(range(degree + 1), repeat=forms.shape[1]) if sum(p) <= degree]
    forms = forms / np.abs(forms).max(axis=0)
    columns = np.stack([np.prod(forms**p, axis=1) for p in powers], axis=1)
    fit, *_ = np.linalg.lstsq(columns, values, rcond=None)
    gap, volume = np.abs(columns @ fit - values), 8.0
    return volume * gap.mean(), np.sqrt(volume * np.mean(gap**2))


@pytest.mark.parametrize("name", CASES)
def test_functions_of_two_forms_in_space_stay_above(name):
    factor, lipschitz, _, _ = CASES[name]
    points = grid(3, 24)
    values = factor(points).prod(axis=1)
    l1 = product_floor((factor,) * 3, (lipschitz,) * 3, "l1").lower
    l2 = product_floor((factor,) * 3, (lipschitz,) * 3, "l2").lower
    assert min(l1, l2) > 0.09
    rng = np.random.default_rng(0)
    diagonal = np.array([[1.0, -1.0, 0.0], [1.0, 1.0, -2.0]]).T
    best = np.inf
    for forms in [diagonal, np.eye(3)[:, :2], *rng.standard_normal((6, 3, 2))]:
        absolute, square = distance_of_polynomials(values, points @ forms, 7)
        assert absolute >= l1
        assert square >= l2
        best = min(best, square)
    # a polynomial of degree 7 in the differences of the coordinates comes this close to the floor
    assert l2 >= 0.55 * best


def test_axis_of_different_factors():
    """x_1^2 cos(pi x_2) along the first axis has variance 4/45: twice that times 1 bounds the floor from above."""
    floor = product_floor((np.square, cosine), (2.0, np.pi))
    assert 0.5 * np.sqrt(8 / 45) < floor.lower <= np.sqrt(8 / 45)
    turned = product_floor((cosine, np.square), (np.pi, 2.0))
    assert turned.value == pytest.approx(floor.value, rel=1e-12)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_constant_factor_leaves_nothing(norm):
    """Zero, up to the rounding of overlaps of equal numbers, which the error covers."""
    for other, bound in ((identity, 1.0), (np.ones_like, 0.0)):
        for factors in (((np.ones_like, 0.0), (other, bound)), ((other, bound), (np.ones_like, 0.0))):
            floor = product_floor(*zip(*factors, strict=True), norm)
            assert floor.lower == 0
            assert floor.value < 1e-6


@settings(max_examples=10)
@given(st.floats(0.1, 10.0), st.sampled_from(["l1", "l2"]), st.integers(2, 6))
def test_floor_is_homogeneous_and_below_the_norm(scale, norm, input_dim):
    one = product_floor((identity,) * input_dim, (1.0,) * input_dim, norm, num_cells=100)
    more = product_floor(
        (lambda x: scale * x, *(identity,) * (input_dim - 1)), (scale, *(1.0,) * (input_dim - 1)), norm, num_cells=100
    )
    assert more.value == pytest.approx(scale * one.value, rel=1e-9)
    assert one.upper < (1.0 if norm == "l1" else (2 / 3) ** (input_dim / 2))  # the distance of zero


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_finer_steps_prove_more(norm):
    floors = [product_floor((cosine,) * 3, (np.pi,) * 3, norm, num_cells=n) for n in (100, 300, 900)]
    assert floors[0].lower < floors[1].lower < floors[2].lower
    assert floors[2].error < 0.1 * floors[2].value


def test_norm_of_the_steps_is_within_the_error():
    """|g - steps| for one factor against adaptive quadrature: the error is no smaller, and not ten times larger."""
    edges = np.linspace(-1, 1, 9)
    gap = np.sqrt(
        sum(
            integrate.quad(lambda x, m=(a + b) / 2: (cosine(x) - cosine(m)) ** 2, a, b)[0]
            for a, b in itertools.pairwise(edges)
        )
    )
    floor = product_floor((cosine,) * 2, (np.pi,) * 2, num_cells=8)
    assert floor.value == floor.error  # nothing is proven with 8 cells
    fine = product_floor((cosine,) * 2, (np.pi,) * 2, num_cells=800)
    # first order in the cell: 100 times finer; two factors of norm 1, and pi in place of the slope's root mean square
    assert 2 * gap / 100 <= fine.error <= 2 * np.sqrt(2) * gap / 100 * 1.2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: product_floor((identity,), (1.0,)), "factors must be at least two"),
        (lambda: product_floor((identity,) * 2, (1.0,)), "factors must be at least two"),
        (lambda: product_floor((identity,) * 2, (1.0, np.inf)), "lipschitz must hold"),
        (lambda: product_floor((identity,) * 2, (1.0, 1.0), "sup"), "norm must be"),
        (lambda: product_floor((identity, np.exp), (1.0, 3.0)), "even or odd"),
        (lambda: product_floor((identity, lambda x: x * np.nan), (1.0, 3.0)), "finite"),
        (lambda: product_floor((identity,) * 2, (1.0, 1.0), num_cells=1), "num_cells must be"),
    ],
)
def test_bad_input_gets_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()
