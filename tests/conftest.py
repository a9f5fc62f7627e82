"""Every test runs in float64, with shapes and types checked, on one thread."""

import os
import re

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")

import hypothesis
import jax
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "standard")  # under "strict", optax's Adam fails in float64

install_import_hook("widththeory", "beartype.beartype")

# A failure comes back, and a first call that compiles is not a slow example.
hypothesis.settings.register_profile("widththeory", derandomize=True, deadline=None)
hypothesis.settings.load_profile("widththeory")


@pytest.fixture
def quick_to_compile(monkeypatch):
    """Programs of image fits that are compiled in a moment and run slowly."""
    from widththeory import image_programs

    monkeypatch.setitem(image_programs._OPTIONS["cpu"], "xla_backend_optimization_level", "0")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items):
    """Tests of one claim run in one worker, which computes its tables once."""
    for item in items:
        file = item.path.stem
        if file.startswith("test_claim_"):
            item.add_marker(pytest.mark.xdist_group(file.removeprefix("test_claim_")))
        elif file == "test_experiments" and (found := re.search(r"\[(\w+)", item.name)):
            item.add_marker(pytest.mark.xdist_group(found[1]))
