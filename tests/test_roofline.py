"""Work and traffic counted in a trace, against the networks' own formulas and against counting by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from widththeory.models import allconv6, mobilenet, vgg, wide_resnet
from widththeory.models.functional import Functional
from widththeory.roofline import Product, products, total


def array(*shape):
    return jax.ShapeDtypeStruct(shape, np.float32)


def counted(function, *arguments):
    return products(jax.make_jaxpr(function)(*arguments))


def test_a_matrix_product_by_hand():
    found = counted(lambda a, b: jnp.tanh(a @ b), array(3, 5), array(5, 7))
    assert found == [Product("dot", 2 * 3 * 5 * 7, 4 * (15 + 35 + 21))]


def test_a_batched_product_by_hand():
    found = counted(lambda a, b: jnp.einsum("nij,njk->nik", a, b), array(2, 3, 5), array(2, 5, 7))
    assert total(found) == (2 * 2 * 3 * 5 * 7, 4 * 2 * (15 + 35 + 21))


@pytest.mark.parametrize("method", ["native", "patches"])
@pytest.mark.parametrize("module", [allconv6, mobilenet, vgg, wide_resnet], ids=lambda module: module.__name__)
def test_forward_work_is_the_formula_of_the_network(module, method):
    architecture = module.EXAMPLES[0]
    network = Functional(architecture, method)
    params, stats = network.shapes()
    size = architecture.image_size
    found = counted(lambda p, s, x: network.apply(p, s, x, training=False)[0], params, stats, array(3, size, size, 3))
    flops, moved = total(found)
    if method == "patches" and module is mobilenet:
        # by patches, a convolution of one channel a group is sums of slices times weights: no product
        assert 0 < flops < 2 * 3 * architecture.cost().multiply_adds
    else:
        assert flops == 2 * 3 * architecture.cost().multiply_adds
    assert moved > 4 * sum(
        np.prod(leaf.shape) for name, leaf in params.items() if leaf.ndim == 4 and method == "native"
    )


def test_numbers_count_by_their_bytes():
    half, double = (jax.ShapeDtypeStruct((2, 2), kind) for kind in (jnp.bfloat16, np.float64))
    assert [total(counted(jnp.matmul, one, one))[1] for one in (half, double)] == [3 * 4 * 2, 3 * 4 * 8]


def test_all_ways_through_a_program_are_counted():
    found = counted(lambda a: jax.lax.cond(a[0, 0] > 0, lambda b: b @ b, lambda b: b + 1, a), array(3, 3))
    assert found == [Product("dot", 2 * 27, 4 * 27)]


def test_loops_of_known_length_count_each_turn():
    def looped(a):
        return jax.lax.scan(lambda b, _: (b @ a, None), a, None, length=6)[0]

    flops, moved = total(counted(jax.jit(looped), array(4, 4)))
    assert (flops, moved) == (6 * 2 * 64, 6 * 3 * 64)
    twice = counted(lambda a: jax.lax.scan(lambda b, _: (looped(b), None), a, None, length=5)[0], array(4, 4))
    assert total(twice) == (5 * flops, 5 * moved)
    with pytest.raises(ValueError, match="loop of unknown length"):
        counted(lambda a: jax.lax.while_loop(lambda b: b.sum() < 9, lambda b: b @ a, a), array(4, 4))
    # a loop without products is no matter
    assert counted(lambda a: jax.lax.while_loop(lambda b: b.sum() < 9, lambda b: b + a, a), array(4, 4)) == []
