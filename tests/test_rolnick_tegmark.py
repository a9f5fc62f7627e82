"""Products by exponential units, in forty digits: closed forms, attained errors, counts, and other activations."""

import math

import mpmath
import numpy as np
import pytest

from widththeory.constructions.relu_product import ProductByDirections, ProductByGates, ProductBySquares
from widththeory.constructions.rolnick_tegmark import ProductTree, ShallowMonomial

DIGITS = 40
exp = np.frompyfunc(mpmath.exp, 1, 1)
logistic = np.frompyfunc(lambda z: 1 / (1 + mpmath.exp(-z - 1)), 1, 1)


@pytest.fixture(autouse=True)
def precision():
    with mpmath.workdps(DIGITS):
        yield


def rationals(rng, shape):
    """Random numbers in [-1, 1] as mpmath numbers."""
    return np.array([mpmath.mpf(int(n)) / 64 for n in rng.integers(-64, 65, math.prod(shape))]).reshape(shape)


def exact(array):
    return np.array([mpmath.mpf(float(x)) for x in np.ravel(array)], dtype=object).reshape(np.shape(array))


@pytest.mark.parametrize("exponents", [(1,), (1, 1, 1), (2, 1), (3, 2, 1), (1, 1, 1, 1, 1)])
def test_exponential_units_give_hyperbolic_sines(exponents):
    example = ShallowMonomial(exponents, 0.125)
    points = rationals(np.random.default_rng(0), (5, len(exponents)))
    values = example.evaluate(points, exp, lambda k: 1 / mpmath.factorial(k))
    for value, point in zip(values, points, strict=True):
        closed = mpmath.fprod((mpmath.sinh(x / 8) * 8) ** r for x, r in zip(point, exponents, strict=True))
        # prod(r_i + 1) <= 32 terms, cancellation by 16^degree: 40 digits leave more than 28
        assert abs(value - closed) < mpmath.mpf(10) ** -28


@pytest.mark.parametrize(
    "example",
    [ShallowMonomial((1, 1, 1), 0.1), ShallowMonomial((2, 3), 0.1), ProductTree(6, 0.1), ProductTree(8, 0.1, 3)],
)
def test_error_is_attained_at_ones_and_not_exceeded(example):
    ones = exact(np.ones((1, example.input_dim)))
    bound = example.error().bound
    attained = example.evaluate(ones, exp, lambda k: 1 / mpmath.factorial(k))[0] - 1
    assert abs(attained - bound) < 1e-14  # the bound is computed in float64 from numbers near 1
    points = rationals(np.random.default_rng(1), (40, example.input_dim))
    gaps = example.evaluate(points, exp, lambda k: 1 / mpmath.factorial(k)) - exact(
        example.target(points.astype(float))
    )
    assert max(abs(gaps)) <= bound


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e-9, 1e-4, 0.3, 2.0, 30.0])
@pytest.mark.parametrize("make", [lambda s: ShallowMonomial((1, 2), s), lambda s: ProductTree(2, s)])
def test_errors_have_all_digits_at_every_scale(make, scale):
    """Of a scale of 1e-9 the error is 5e-19, which is no difference of floats near 1."""
    with mpmath.workdps(500):
        example, z = make(scale), mpmath.mpf(scale)
        exact_error = (mpmath.sinh(z) / z) ** (3 if isinstance(example, ShallowMonomial) else 2) - 1
        assert example.error().bound == pytest.approx(float(exact_error), rel=1e-13, abs=5e-324)
        assert example.error().bound > 0


def test_errors_beyond_floats_are_infinite():
    for scale in (800.0, 1e100, 1e150):
        assert ShallowMonomial((1, 2), scale).error().bound == ProductTree(3, scale).error().bound == math.inf


@pytest.mark.parametrize("make", [lambda s: ShallowMonomial((1, 2, 1), s), lambda s: ProductTree(5, s)])
def test_error_is_of_second_order_in_the_scale(make):
    coarse, fine = make(0.02).error().bound, make(0.01).error().bound
    assert coarse / fine == pytest.approx(4, rel=1e-3)  # the next term is smaller by a factor scale^2 = 4e-4
    assert ShallowMonomial((1, 2, 1), 1e-3).error().bound == pytest.approx(4e-6 / 6, rel=1e-5)


def test_any_activation_with_the_taylor_coefficient_will_do():
    # 1 / (1 + exp(-z - 1)): the leading error is l^2 (s_{n+2} / s_n) (n + 1)(n + 2) / 6 sum x_i^2 prod x_i
    taylor = mpmath.taylor(lambda z: 1 / (1 + mpmath.exp(-z - 1)), 0, 5)
    point = exact([[0.5, -0.75, 0.25]])
    for scale in (1e-2, 1e-3):
        value = ShallowMonomial((1, 1, 1), scale).evaluate(point, logistic, lambda k: taylor[k])[0]
        product = mpmath.fprod(point[0])
        leading = product * scale**2 * taylor[5] / taylor[3] * 20 / 6 * mpmath.fsum(x**2 for x in point[0])
        assert abs((value - product) / leading - 1) < 20 * scale**2  # the next order, with room for its coefficient
    tree = ProductTree(3, 1e-4).evaluate(point, logistic, lambda k: taylor[k])[0]
    assert abs(tree - product) < 1e-7


def test_lower_order_terms_cancel():
    # a polynomial activation of degree n with s_n = 1 gives the product exactly
    points = rationals(np.random.default_rng(2), (4, 3))
    cubic = ShallowMonomial((1, 1, 1), 0.5).evaluate(points, lambda z: 5 + 2 * z - 7 * z**2 + z**3, lambda k: 1)
    assert list(cubic) == [p[0] * p[1] * p[2] for p in points]


def test_counts():
    assert [ShallowMonomial((1,) * n, 0.1).num_neurons for n in (1, 2, 3, 10)] == [2, 4, 8, 1024]
    assert ShallowMonomial((3, 1, 2), 0.1).num_neurons == 4 * 2 * 3
    assert [ProductTree(n, 0.1).num_neurons for n in (2, 3, 8, 13)] == [4, 8, 28, 48]
    assert [ProductTree(n, 0.1).depth for n in (2, 3, 8, 9)] == [1, 2, 3, 4]
    wide = ProductTree(6, 0.1, arity=6)
    assert (wide.depth, wide.num_neurons) == (1, 2**6)
    assert wide.error().bound == pytest.approx(ShallowMonomial((1,) * 6, 0.1).error().bound, rel=1e-12)


def test_float_evaluation_is_as_good_as_its_roundoff():
    example = ShallowMonomial((1, 1, 1), 0.05)
    points = example.sample(100, np.random.default_rng(3))
    gap = np.abs(example.evaluate(points) - example.target(points)).max()
    # 8 terms below e^0.15, each rounded to 4 eps, divided by (2 l)^3 = 1e-3
    assert gap <= example.error().bound + 8 * 1.2 * 4 * 2.0**-53 / 1e-3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ShallowMonomial((), 0.1), "exponents must hold"),
        (lambda: ShallowMonomial((1, 0), 0.1), r"exponents\[1\] must be"),
        (lambda: ShallowMonomial((1,), 0.0), "scale must be"),
        (lambda: ProductTree(1, 0.1), "num_factors must be"),
        (lambda: ProductTree(3, 0.1, arity=1), "arity must be"),
    ],
)
def test_bad_arguments_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("exponents", [(1,), (1, 1), (2, 1), (1, 1, 1), (3, 2)])
def test_no_fewer_exponential_units_come_near(exponents):
    """Matrices of all N(p + q) have rank at most the units of N; that of the monomial is as large as the network's.

    Numbers are of order 1 and there are twice as many points as units, so that all ranks but the last have a margin of
    several digits to float64's 1e-16.
    """
    network = ShallowMonomial(exponents, 1.0)
    rng = np.random.default_rng(0)
    ones, others = (rng.uniform(-1, 1, (2 * network.num_neurons, len(exponents))) for _ in range(2))
    sums = (ones[:, None] + others[None, :]).reshape(-1, len(exponents))
    for values in (network.target(sums), network.evaluate(sums)):
        matrix = np.asarray(values, float).reshape(len(ones), len(others))
        assert np.linalg.matrix_rank(matrix, rtol=1e-12) == network.num_neurons


def test_errors_of_relu_products_by_hand():
    assert ProductByDirections(3, 1).error().bound == 2 * 3**4 / (2 * 6)  # odd
    assert ProductByDirections(2, 2).error().bound == 1 * 2**3 / (2 * 2 * 4) / 2  # even: half of it
    for product, gate in ((ProductByGates(3, 2), 1 / 4), (ProductBySquares(3, 1), 1 / 16)):
        # the second gate takes numbers of size 1 + gate, one of which errs by gate
        expected = (1 + gate) ** 2 * gate + (2 + gate) * gate
        assert product.error().bound == pytest.approx(expected, rel=1e-11)  # radii are rounded up by 1e-12


@pytest.mark.parametrize("product", [ProductByDirections, ProductByGates, ProductBySquares])
def test_relu_products_of_one_factor_are_refused(product):
    with pytest.raises(ValueError, match="num_factors must be an integer of at least 2, got 1"):
        product(1)
