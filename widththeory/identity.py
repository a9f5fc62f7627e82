"""Which fit is this? The identity of a row is a hash of what was set, and of nothing else.

Only fields that differ from their default enter the hash. So a new field with a default that changes nothing keeps
every old row valid; a *changed* default would not, and the ledger refuses it.
"""

import dataclasses
import hashlib
import json
import math
from functools import lru_cache
from typing import Any

import numpy as np

from widththeory.typing import as_tuples

# Floats at and above 2**53 may be integers that no nearby float can tell apart; below, 3.0 and 3 are the same number.
_EXACT_INTEGERS = 2.0**53

_REPEATED = (bool, int, float, str, tuple)
_TEXTS: dict[Any, str] = {}
_MOST_TEXTS = 100_000


def key(settings: Any) -> str:
    """Identity of a frozen dataclass of settings: 32 hexadecimal digits of a SHA-256.

    Equal settings have equal keys (3 and 3.0 are one number), whatever the machine, the version or the order in which
    fields are declared.

    Raises: ValueError where a field holds anything but None, bool, int, float (no NaN), str or tuples of them.
    """
    cls: Any = type(settings)
    parts = []
    for name, required, default in _sorted_fields(cls):
        value = getattr(settings, name)
        if required or (value is not default and value != default):
            parts.append(_text(cls, name, value))
    text = f"[{json.dumps(cls.__name__)},{{{','.join(parts)}}}]"
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:32]


def _text(cls: type, name: str, value: Any) -> str:
    """A field and its value as JSON. Grids repeat their values, so each is turned into text once."""
    kind = type(value)
    # Of tuples, which may hold 1, 1.0 and True, the text tells what equality does not.
    known = (cls, name, kind, repr(value) if kind is tuple else value) if kind in _REPEATED else None
    if known in _TEXTS:
        return _TEXTS[known]
    plain = json.dumps(_canonical(value, cls.__name__, name), sort_keys=True, separators=(",", ":"))
    text = f"{json.dumps(name)}:{plain}"
    if known is not None:
        if len(_TEXTS) >= _MOST_TEXTS:
            _TEXTS.clear()
        _TEXTS[known] = text
    return text


@lru_cache(maxsize=64)
def _sorted_fields(settings_class: type) -> tuple[tuple[str, bool, Any], ...]:
    return tuple(sorted(_fields(settings_class)))


def key_of(name: str, fields: list[list[Any]], settings: dict[str, Any]) -> str:
    """The key of settings that are only known as data: a class's name, its `defaults`, and what `encode` wrote."""
    changed = {}
    for field, *default in fields:
        value = settings[field] if field in settings else (default[0] if default else None)
        if not default or value != default[0]:
            changed[field] = _canonical(value, name, field)
    text = json.dumps([name, changed], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:32]


def encode(settings: Any) -> str:
    """All fields as JSON, numbers exactly as they were given."""
    cls: Any = type(settings)
    return json.dumps({name: _plain(getattr(settings, name), cls.__name__, name) for name, _, _ in _fields(cls)})


def decode(text: str) -> dict[str, Any]:
    """The fields that `encode` wrote: a dictionary that the settings class takes as keyword arguments."""
    return {name: as_tuples(value) for name, value in json.loads(text).items()}


def defaults(settings_class: type) -> str:
    """Fields of a settings class in order, as JSON: `[name]` if required, else `[name, default]`."""
    cls = settings_class.__name__
    fields = _fields(settings_class)
    return json.dumps([[name] if required else [name, _plain(value, cls, name)] for name, required, value in fields])


@lru_cache(maxsize=64)
def _fields(settings_class: type) -> tuple[tuple[str, bool, Any], ...]:
    """Name, whether it must be given, and default, of each field."""
    if not dataclasses.is_dataclass(settings_class):
        raise ValueError(f"settings must be frozen dataclasses, got {settings_class.__name__}")
    fields = []
    for field in dataclasses.fields(settings_class):
        if field.default is not dataclasses.MISSING:
            fields.append((field.name, False, field.default))
        elif field.default_factory is not dataclasses.MISSING:
            fields.append((field.name, False, field.default_factory()))
        else:
            fields.append((field.name, True, None))
    return tuple(fields)


def _plain(value: Any, cls: str, name: str) -> Any:
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind is float and not math.isnan(value):
        return value
    if kind in (tuple, list):
        return [_plain(item, cls, name) for item in value]
    if isinstance(value, np.generic) and not isinstance(value.item(), np.generic):
        return _plain(value.item(), cls, name)
    raise ValueError(
        f"{cls}.{name} must be None, a bool, an int, a float that is a number, a str or a tuple of these, got {value!r}"
    )


def _canonical(value: Any, cls: str, name: str) -> Any:
    value = _plain(value, cls, name)
    if isinstance(value, list):
        return [_canonical(item, cls, name) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_INTEGERS:
        return int(value)
    return value
