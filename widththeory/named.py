"""Settings name what they fit: "module.Class" inside this package, or "package.module:Class" of the caller's own.

Settings also come from files of other people, so a name must not make code run: a module of the caller's is looked for
among those that are imported, and never imported for its name. Worker processes of this machine import the script that
started them, and all that it imports.
"""

import dataclasses
import importlib
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any


def named_dataclass(argument: str, name: str, package: str, needed: tuple[str, ...] = ()) -> type[Any]:
    """The dataclass of that name.

    Args:
        argument: what to call the name in an error.
        name: "module.Class" inside `widththeory.<package>`, or "package.module:Class".
        package: of this library.
        needed: attributes that the class must have.

    Raises:
        ValueError: there is none.
        ModuleNotFoundError: it is there, but a library that its module needs is not.
    """
    own = ":" in name
    module_name, _, class_name = name.partition(":" if own else ".")
    module = None
    if class_name.isidentifier() and all(part.isidentifier() for part in module_name.split(".")):
        module = sys.modules.get(module_name) if own else _ours(f"widththeory.{package}.{module_name}")
    kind = getattr(module, class_name, None)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and all(hasattr(kind, one) for one in needed):
        return kind
    raise ValueError(
        f"{argument} must be 'module.Class' inside widththeory.{package}, "
        f"or 'package.module:Class' of a module that is imported, got {name!r}"
    )


def build(argument: str, name: str, kind: type[Any], arguments: Mapping[str, Any]) -> Any:
    """An instance of the class that was found by `name`; `argument` is what the setting that named it is called.

    Raises:
        ValueError: arguments that the class does not take, or values that it refuses.
    """
    try:
        return kind(**arguments)
    except TypeError as reason:
        raise ValueError(f"{argument}_args do not suit {name}: {reason}") from None


def _ours(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as reason:
        if not (reason.name or "").startswith("widththeory"):
            raise
        return None
