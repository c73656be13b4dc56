"""Signatures and fields of the library as they are written: arrays with their axes, fields with what is said of them.

What Python makes of an annotation, and autodoc would show, is longer than the annotation.
"""

import ast
import functools
import importlib
import inspect
import re

from sphinx import addnodes


def setup(app):
    """Joins autodoc's events."""
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-process-docstring", _docstring)
    app.connect("autodoc-skip-member", _skip)
    app.connect("doctree-read", _link)
    return {"parallel_read_safe": True}


@functools.cache
def _written(module):
    """By qualified name the definitions and fields of a module, its lines, and by name what it imports."""
    text = inspect.getsource(importlib.import_module(module))
    tree, found = ast.parse(text), {}
    froms = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    imports = {alias.asname or alias.name: f"{node.module}.{alias.name}" for node in froms for alias in node.names}

    def visit(node, prefix):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef | ast.FunctionDef):
                found[prefix + child.name] = child
                visit(child, f"{prefix}{child.name}.")
            elif isinstance(child, ast.AnnAssign) and isinstance(child.target, ast.Name):
                found[prefix + child.target.id] = child

    visit(tree, "")
    return found, text.splitlines(), imports


def _find(name):
    """What the library's `name` is in its source, and its lines; None where it is not written there."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found, lines, _ = _written(".".join(parts[:count]))
        except (ImportError, TypeError, OSError):
            continue
        inner = ".".join(parts[count:])
        return (found[inner], lines) if inner in found else None
    return None


def _signature(app, what, name, obj, options, signature, returns):
    found = _find(name)
    if signature is None or found is None or isinstance(found[0], ast.AnnAssign):
        return None
    node = found[0]
    if isinstance(node, ast.ClassDef):  # of most, and of all settings, the fields that follow say more
        node = next((one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"), None)
        if node is None:
            return "", None
        returned = None
    else:
        returned = ast.unparse(node.returns) if node.returns else None
    arguments = node.args
    if what in ("class", "method") and not any("staticmethod" in ast.unparse(one) for one in node.decorator_list):
        first = arguments.posonlyargs or arguments.args
        arguments = ast.arguments(**{field: getattr(arguments, field) for field in arguments._fields})
        setattr(arguments, "posonlyargs" if arguments.posonlyargs else "args", first[1:])
    text = re.sub(r"=f(['\"]).*?\1", "=...", ast.unparse(arguments))  # Sphinx reads no f-strings
    return f"({text})", returned


def _docstring(app, what, name, obj, options, lines):
    """Adds the fields of a class to its docstring.

    Docstrings are plain text with code in backticks: what else reStructuredText would take for markup is none.
    """
    found = _find(name) if what in ("class", "exception") else None
    if found is not None and isinstance(found[0], ast.ClassDef):
        fields = [node for node in found[0].body if isinstance(node, ast.AnnAssign)]
        lines += [""] * bool(fields) + [_field(node, found[1]) for node in fields]
    for number, line in enumerate(lines):
        parts = re.split(r"(`[^`]+`)", line)
        lines[number] = "".join(
            f"`{part}`" if part.startswith("`") else re.sub(r"([\\*|_])", r"\\\1", part) for part in parts
        )


def _field(node, source):
    """A field, its type and the comment behind it."""
    comment = source[node.end_lineno - 1].partition("  # ")[2]
    return f"- `{node.target.id}`: `{ast.unparse(node.annotation)}`" + f", {comment}" * bool(comment)


def _skip(app, what, name, obj, skip, options):
    """Leaves out what named tuples and pydantic say of fields, which are listed with their class."""
    return True if name == "model_config" or type(obj).__name__ == "_tuplegetter" else None


def _link(app, document):
    """Lets a type in a signature lead to what its module imports under that name, not to any of the same name."""
    for node in document.findall(addnodes.pending_xref):
        if node.hasattr("refspecific") and node.hasattr("py:module") and node["py:module"]:
            *_, imports = _written(node["py:module"])
            first, dot, rest = node["reftarget"].partition(".")
            del node["refspecific"]
            node["reftarget"] = imports[first] + dot + rest if first in imports else node["reftarget"]
