"""Signatures and docstrings of every public name, as Markdown: read from the source, nothing is imported."""

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from extension import results

SECTION = re.compile(r"^(Args|Returns|Yields|Domain|Error|Size|Raises|Source):\s*(.*)$")
ENTRY = re.compile(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)*): (.*)$")


def escaped(text: str) -> str:
    """A docstring's text as Markdown: citations as links, identifiers as code, mathematics as it stands."""
    parts = []
    for index, part in enumerate(text.split("`")):
        if index % 2:
            parts.append(f"`{part}`")
            continue
        for mark in "\\*_<>$|[]":
            part = part.replace(mark, "\\" + mark)
        parts.append(re.sub(r"\\\[([a-z]+\d{4}[a-z]*)\\\]", r"{cite:t}`\1`", part))
    return "".join(parts)


def blocks(text: str) -> list[str]:
    """Parts of a text between blank lines."""
    return [block for block in re.split(r"\n\s*\n", text) if block.strip()]


def body(text: str) -> Iterator[str]:
    """Paragraphs, lists and indented formulas."""
    for block in blocks(text):
        if block.startswith("    "):
            yield f"```text\n{textwrap.dedent(block)}\n```"
        elif block.startswith("* "):
            items = re.split(r"^\* ", block, flags=re.MULTILINE)[1:]
            yield "\n".join(f"- {escaped(' '.join(item.split()))}" for item in items)
        else:
            yield from _mixed(block)


def _mixed(block: str) -> Iterator[str]:
    """A paragraph, in which formulas may be set off by indentation alone."""
    plain: list[str] = []
    indented: list[str] = []
    for line in [*block.splitlines(), ""]:
        if line.startswith("    "):
            indented.append(line)
            continue
        if indented:
            yield from (_paragraph(plain), f"```text\n{textwrap.dedent(chr(10).join(indented))}\n```")
            plain, indented = [], []
        plain.append(line)
    if any(line.strip() for line in plain):
        yield _paragraph(plain)


def _paragraph(lines: list[str]) -> str:
    text = escaped(" ".join(" ".join(lines).split()))
    return re.sub(r"^(\d+)\.", r"\1\\.", re.sub(r"^([-+#=~])", r"\\\1", text))


def arguments(text: str) -> str:
    """The list below "Args:" or "Raises:"; a continued line is deeper."""
    items: list[list[str]] = []
    for line in textwrap.dedent(text).splitlines():
        found = ENTRY.match(line)
        if found or not items:
            items.append([found[1] if found else "", found[2] if found else line])
        else:
            items[-1][1] += " " + line
    lines = []
    for names, words in items:
        label = ", ".join(f"`{name}`" for name in names.split(", ")) + ": " if names else ""
        lines.append(f"- {label}{escaped(' '.join(words.split()))}")
    return "\n".join(lines)


def markdown(docstring: str) -> str:
    """A whole docstring: its sections are named in bold."""
    head, sections = [], []
    for line in docstring.splitlines():
        found = SECTION.match(line)
        if found:
            sections.append((found[1], [found[2]]))
        elif sections:
            sections[-1][1].append(line)
        else:
            head.append(line)
    parts = [*body("\n".join(head))]
    for name, (first, *rest) in sections:
        below = textwrap.dedent("\n".join(rest)).strip()
        if name in ("Args", "Raises") and not first:
            parts += [f"**{name}**", arguments(below)]
        elif first:
            parts.append(f"**{name}** {escaped(' '.join(f'{first} {below}'.split()))}")
        else:
            told = [*body(below)]
            if told and not told[0].startswith(("```", "- ")):
                told[0] = f"**{name}** {told[0]}"
            else:
                told.insert(0, f"**{name}**")
            parts += told
    return "\n\n".join(parts)


def decorators(node: ast.ClassDef | ast.FunctionDef) -> set[str]:
    """Names of the decorators, without their arguments."""
    return {ast.unparse(one).partition("(")[0].rpartition(".")[2] for one in node.decorator_list}


def signature(node: ast.FunctionDef, method: bool = False) -> str:
    """Arguments and what is returned."""
    arguments = node.args
    if method and "staticmethod" not in decorators(node):
        plain = arguments.posonlyargs if arguments.posonlyargs else arguments.args
        del plain[:1]
    returned = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{node.name}({ast.unparse(arguments)}){returned}"


def members(node: ast.ClassDef) -> Iterator[str]:
    """Public methods and properties."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and not item.name.startswith("_"):
            text = markdown(ast.get_docstring(item) or "")
            if {"property", "cached_property"} & decorators(item):
                kind, line = "property", item.name
                if item.returns:
                    text = f":type: {ast.unparse(item.returns)}\n\n{text}"
            else:
                kind = {"staticmethod": "staticmethod", "classmethod": "classmethod"}.get(
                    next(iter(decorators(item)), ""), "method"
                )
                line = signature(item, method=True)
            yield f"````{{py:{kind}}} {line}\n{text}\n````"


def class_signature(node: ast.ClassDef) -> str:
    """The fields of a record, or the arguments of __init__."""
    if "dataclass" in decorators(node) or any(ast.unparse(base) == "NamedTuple" for base in node.bases):
        fields = [ast.unparse(item) for item in node.body if isinstance(item, ast.AnnAssign)]
        return f"{node.name}({', '.join(field for field in fields if 'ClassVar' not in field)})"
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            item.returns = None
            return signature(item, method=True).replace("__init__", node.name, 1)
    return node.name


def objects(module: str) -> Iterator[str]:
    """Every public function and class of a module."""
    for node in results.parsed(module).body:
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) or node.name.startswith("_"):
            continue
        text = markdown(ast.get_docstring(node) or "")
        if isinstance(node, ast.FunctionDef):
            yield f"`````{{py:function}} {signature(node)}\n{text}\n`````"
        else:
            yield "\n\n".join([f"`````{{py:class}} {class_signature(node)}\n{text}", *members(node), "`````"])


def imports(module: str) -> dict[str, str]:
    """Full names of what a module imports from others by name."""
    found: dict[str, str] = {}
    for node in ast.walk(results.parsed(module)):
        if isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def modules(folder: str) -> list[str]:
    """Modules of a folder of the package, by name; those of the package itself in the order of its map of layers."""
    if folder != ".":
        return [f"{folder}.{name}" for name in _names(results.PACKAGE / folder)]
    text = ast.get_docstring(ast.parse((results.PACKAGE / "__init__.py").read_text(encoding="utf-8"))) or ""
    order = [name for line in text.splitlines() if line.startswith("    ") for name in line.strip().split(", ")]
    return sorted(
        _names(results.PACKAGE), key=lambda name: (name not in order, order.index(name) if name in order else 0)
    )


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("__"))


def folders() -> list[str]:
    """The packages inside the package, and "." for its own modules."""
    return [".", *sorted(path.parent.name for path in results.PACKAGE.glob("*/__init__.py"))]


def page(folder: str) -> str:
    """A section a module."""
    parts = []
    for module in modules(folder):
        told = ast.get_docstring(results.parsed(module)) or ""
        parts.append(f"## {module}\n\n```{{py:module}} widththeory.{module}\n```\n\n{markdown(told)}")
        parts += objects(module)
    return "\n\n".join(parts)
