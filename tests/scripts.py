"""The scripts of the repository as modules: every experiment and every figure, found by walking their folders."""

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXPERIMENTS = sorted((ROOT / "experiments").glob("*.py"))
FIGURES = sorted((ROOT / "paper_figures").glob("*.py"))


def load(path):
    """The module in the file `path`, as `import` would give it if its folder were a package."""
    name = f"{path.parent.name}.{path.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = importlib.util.module_from_spec(spec)  # where its dataclasses look their annotations up
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]
