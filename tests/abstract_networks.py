"""Networks that are traced but never allocated, and their arrays and products counted one by one."""

import math

import jax
import jax.numpy as jnp
from flax import nnx


def traced(architecture, method="native", batch=1):
    """The module's abstract state and the program of one forward pass."""
    model = nnx.eval_shape(lambda: architecture.build(nnx.Rngs(0), method))
    graph, state = nnx.split(model)
    side = architecture.image_size
    images = jax.ShapeDtypeStruct((batch, side, side, architecture.in_channels), jnp.float32)
    return state, jax.make_jaxpr(lambda state, images: nnx.merge(graph, state)(images))(state, images)


def count_params(state):
    """Numbers in all trained arrays."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.filter_state(state, nnx.Param)))


def subprograms(equation):
    for value in equation.params.values():
        for each in value if isinstance(value, (tuple, list)) else [value]:
            if isinstance(each, jax.extend.core.ClosedJaxpr):
                yield each.jaxpr
            elif isinstance(each, jax.extend.core.Jaxpr):
                yield each


def count_products(program):
    """Multiply-adds of all convolutions and matrix products in a program, from the shapes of what they read."""
    total = 0
    for equation in program.eqns:
        total += sum(map(count_products, subprograms(equation)))
        left, right = (each.aval.shape for each in equation.invars[:2]) if len(equation.invars) > 1 else ((), ())
        out = equation.outvars[0].aval.shape if equation.outvars else ()
        if equation.primitive.name == "conv_general_dilated":
            kernel = equation.params["dimension_numbers"].rhs_spec  # output channels first
            total += math.prod(out) * math.prod(right) // right[kernel[0]]
        elif equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            total += math.prod(out) * math.prod(left[axis] for axis in contracted)
    return total
