"""What is wrong with a config, in words a user can act on."""

import re
from collections.abc import Iterable, Iterator, Mapping
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import pydantic
from pydantic.fields import FieldInfo

from perceiver_jax.errors import Code, Failure, nearest, nearest_first, printable
from perceiver_jax.section import ONLY, Section

TYPED = 200  # characters of a section that a user is shown to type
WRITTEN_OUT = "every field is written out: see configs/digits.py"


def members(annotation: Any) -> list[type[Section]]:
    """The Section types in an annotation: one, the variants of a union, or none."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [] if get_origin(annotation) is Literal else [m for arg in get_args(annotation) for m in members(arg)]


def explain(section: Any, error: pydantic.ValidationError, at: tuple[str, ...], values: Mapping[str, Any]) -> Failure:
    """The first fault that pydantic found in the section at the path `at` of a config's values.

    A misspelt key is both an unknown one and a missing one; unknown keys come first, since they name the fix.
    """
    faults = error.errors()
    fault = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
    name = _name(at + tuple(map(str, fault["loc"])), values)
    value, context = fault["input"], fault.get("ctx", {})
    *parents, leaf = name.split(".")
    variants = _sections_at(section, parents[len(at) :])
    match fault["type"]:
        case "extra_forbidden":
            users = [_kind(other) for other in variants if leaf in other.model_fields]
            if users:
                tag = ".".join((*parents, "kind"))
                what = f"key {name} is not used with this {tag}; only with {', '.join(users)}"
                return Failure(Code.CONFIG, what, hint=_of_that_kind(parents, variants, values))
            fields = {".".join((*parents, field)) for other in variants for field in other.model_fields}
            return unknown_key(name, (set(known_keys(values)) | fields) - {name})
        case "missing":
            return Failure(Code.CONFIG, f"missing key {name}", hint=WRITTEN_OUT)
        case "literal_error":
            return unknown_value(name, value, context["expected"].replace(" or ", ", ").replace("'", "").split(", "))
        case "union_tag_invalid":
            return unknown_value(f"{name}.kind", value["kind"], [c.strip(" '") for c in context["expected_tags"].split(",")])
        case "union_tag_not_found":
            return missing_tag(f"{name}.kind", value, {field for other in variants for field in other.model_fields})
        case "value_error":
            # A rule between fields names them itself; a rule of one field is shown with its value.
            text = str(context["error"])
            return Failure(Code.CONFIG, text if isinstance(value, Mapping) else f"{name}: {text}, got {_shown(value)}")
    rule = _rule(section, name.split(".")[len(at) :], fault["msg"])
    return Failure(Code.CONFIG, f"{name}: expected {rule}, got {_shown(value)}")


def _sections_at(section: Any, path: list[str]) -> list[type[Section]]:
    """The section types that may be at a path below a section; a part that is not a field is the name of a stream."""
    for part in path:
        section = next((m.model_fields[part].annotation for m in members(section) if part in m.model_fields), section)
    return members(section)


def _name(loc: tuple[str, ...], values: Any) -> str:
    """The dotted name of a pydantic location, which also holds the tags of unions: those are not keys."""
    parts = []
    loc = tuple(part for part in loc if part != ONLY)
    for i, part in enumerate(loc):
        if isinstance(values, Mapping) and (part in values or i == len(loc) - 1):
            parts.append(part)
            values = values.get(part)
    return ".".join(parts)


def _of_that_kind(path: list[str], variants: list[type[Section]], values: Any) -> str:
    """How to give the section at a path whole, with the fields of the kind that it names and the values that stay."""
    for part in path:
        values = values[part] if isinstance(values, Mapping) and part in values else {}
    chosen = next((one for one in variants if "kind" in values and _kind(one) == values["kind"]), None)
    return "" if chosen is None else whole_section(".".join(path), chosen.model_fields, values)


def whole_section(name: str, fields: Iterable[str], values: Mapping[str, Any]) -> str:
    """The flag that gives a section whole, or "" for one that is too long to type; of fields without values the names."""
    inner = ", ".join(
        f"'{field}': {values[field]!r}" if field in values else f"'{field}': {field.upper()}" for field in fields
    )
    return f'--config.{name}="{{{inner}}}"' if len(inner) <= TYPED else ""


def known_keys(values: Mapping[str, Any]) -> Iterator[str]:
    """The dotted name of every section and field."""
    for key, value in values.items():
        yield key
        if isinstance(value, Mapping):
            yield from (f"{key}.{inner}" for inner in known_keys(value))


def _kind(section: type[Section]) -> str:
    """The value of `kind` that selects this variant of a section."""
    return get_args(section.model_fields["kind"].annotation)[0]


def _rule(section: Any, path: list[str], message: str) -> str:
    """What the field at a path below a section takes, or each value of one that is by name, from its own declaration."""
    found, whole = (field(section, part) for part in (path, path[:-1]))
    if found is not None:
        return _words(found.annotation, found.metadata)
    if whole is not None and get_origin(whole.annotation) is dict:
        return _words(get_args(whole.annotation)[1])
    return "a section" if _sections_at(section, path[:-1]) else message


def field(section: Any, path: list[str]) -> FieldInfo | None:
    """The field at a path below a section, None where there is none."""
    variants = _sections_at(section, path[:-1]) if path else []
    return next((m.model_fields[path[-1]] for m in variants if path[-1] in m.model_fields), None)


def _words(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """A type in words, with its limits: `finite number > 0 or None`."""
    names = {int: "integer", float: "finite number", str: "text", bool: "True or False", NoneType: "None"}
    inner = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return _words(inner[0], [limit for item in inner[1:] for limit in getattr(item, "metadata", [item])])
    if members(annotation):
        return "a section"
    if get_origin(annotation) is dict:
        return f"a section of {_words(inner[1])} by name"
    if get_origin(annotation) is tuple:
        least = "one or more " if any(getattr(item, "min_length", 0) for item in metadata) else ""
        if get_origin(inner[0]) is Literal:
            return f"tuple of {least}of {', '.join(get_args(inner[0]))}, such as {get_args(inner[0])[:1]}"
        return re.sub("number|integer", r"\g<0>s", f"tuple of {least}{_words(inner[0])}")
    if annotation not in names:
        return " or ".join(map(_words, inner))
    bounds = {"ge": ">=", "gt": ">", "lt": "<", "le": "<="}
    limits = [f"{sign} {getattr(item, k)}" for item in metadata for k, sign in bounds.items() if hasattr(item, k)]
    return " ".join([names[annotation], " and ".join(limits)]).strip()


def unknown_key(name: str, names: Iterable[str]) -> Failure:
    """The failure for a key that no section has, with the nearest that one has, or all that its section has."""
    names = list(names)
    parent, _, leaf = name.rpartition(".")
    homes = [known for known in names if known.rpartition(".")[2] == leaf]
    near, choices = _correct(name, names)
    if parent in ("", *names) and len(homes) == 1:  # the right key of another section
        near = homes[0]
    if near:
        return Failure(Code.CONFIG, f"unknown key {name}; did you mean {near}?")
    return Failure(Code.CONFIG, f"unknown key {name}", expected=f"one of {', '.join(sorted(choices))}")


def _correct(name: str, names: Iterable[str]) -> tuple[str, list[str]]:
    """The known name that `name` is misspelt for, part by part, or ""; and what there is where no part is like its own."""
    near, children = "", []
    for part in name.split("."):
        prefix = f"{near}." if near else ""
        children = [known.removeprefix(prefix) for known in names if known.startswith(prefix)]
        children = [child for child in children if "." not in child]
        if not children:
            break
        found = nearest(part, children, likeness=0.5)
        if not found:
            return "", [prefix + child for child in children]
        near = prefix + found
    return near, children


def missing_tag(name: str, section: Any, fields: Iterable[str]) -> Failure:
    """The failure for a section without the field that selects its variant, which may be misspelt there."""
    parent, _, tag = name.rpartition(".")
    if not isinstance(section, Mapping):
        return Failure(Code.CONFIG, f"{parent}: expected a section, got {_shown(section)}")
    misspelt = nearest(tag, {str(key) for key in section} - set(fields))
    if misspelt:
        return Failure(Code.CONFIG, f"unknown key {parent}.{misspelt}; did you mean {name}?")
    return Failure(Code.CONFIG, f"missing key {name}", hint=WRITTEN_OUT)


def unknown_value(name: str, value: Any, choices: list[str]) -> Failure:
    """The failure for a value that is not one of the choices, the nearest of them first."""
    expected = "one of " + ", ".join(nearest_first(str(value), choices))
    return Failure(Code.CONFIG, f"{name}: unknown value {_shown(value)}", expected=expected)


def _shown(value: Any) -> str:
    return printable(repr(value), 97)
