"""A function of a test file in a process of its own, where annotations are not checked as they are under test."""

import subprocess
import sys
from pathlib import Path


def found(function):
    """The strings that `function` returns, without arguments, each a line."""
    path = Path(function.__code__.co_filename)
    code = f"import sys; sys.path.insert(0, {str(path.parent)!r}); import {path.stem} as me; "
    code += f"print(*me.{function.__name__}(), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1] if done.stdout.strip() else []
