"""Every test runs in float64, with shapes and types checked, on one thread."""

import os
import re
import shutil
import signal

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


@pytest.fixture
def signals():
    """Processes started meanwhile hear Ctrl-C and the end of their terminal, also under nohup and in the background."""
    usual = ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL))
    before = [(number, signal.signal(number, handler)) for number, handler in usual]
    yield
    for number, handler in before:
        signal.signal(number, handler)


@pytest.fixture
def ledger(tmp_path):
    """A ledger without rows."""
    from widththeory.ledger import Ledger

    with Ledger.open(tmp_path / "ledger.sqlite") as opened:
        yield opened


@pytest.fixture(scope="session")
def computed(tmp_path_factory):
    """A folder with one experiment, computed, and one that fits nothing."""
    import fake_study

    folder = tmp_path_factory.mktemp("study")
    fake_study.make(folder)
    return folder


@pytest.fixture
def root(computed, tmp_path):
    """The same, to spoil."""
    shutil.copytree(computed, tmp_path / "root")
    return tmp_path / "root"


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items):
    """Tests of one claim run in one worker, which computes its tables once."""
    for item in items:
        file = item.path.stem
        if file.startswith("test_claim_"):
            item.add_marker(pytest.mark.xdist_group(file.removeprefix("test_claim_")))
        elif file == "test_experiments" and (found := re.search(r"\[(\w+)", item.name)):
            item.add_marker(pytest.mark.xdist_group(found[1]))
