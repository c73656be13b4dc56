"""What is wrong with a config, in words a person can act on."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

import pydantic

from perceiver_jax.errors import Code, Failure, nearest
from perceiver_jax.section import Section

WRITTEN_OUT = "every field is written out: see configs/digits.py"


def members(annotation: Any) -> list[type[Section]]:
    """The Section types in an annotation: one, the variants of a union, or none."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [] if get_origin(annotation) is Literal else [m for arg in get_args(annotation) for m in members(arg)]


def kind_of(section: type[Section]) -> str:
    """The value of `kind` that selects this variant of a section."""
    return get_args(section.model_fields["kind"].annotation)[0]


def variant(sections: list[type[Section]], value: Any) -> type[Section] | None:
    """The one of a union's sections that a value's `kind` selects."""
    if len(sections) == 1:
        return sections[0]
    kind = value.get("kind") if isinstance(value, Mapping) else None
    return next((section for section in sections if kind_of(section) == kind), None)


def explain(section: Any, error: pydantic.ValidationError, at: tuple[str, ...], values: Mapping[str, Any]) -> Failure:
    """The first fault that pydantic found in the section at the path `at` of a config's values."""
    fault = error.errors()[0]
    name = _name(at + tuple(map(str, fault["loc"])), values)
    value, context = fault["input"], fault.get("ctx", {})
    *parents, leaf = name.split(".")
    variants = _sections_at(section, parents[len(at) :])
    match fault["type"]:
        case "extra_forbidden":
            users = [kind_of(other) for other in variants if leaf in other.model_fields]
            if users:
                unused = f"key {name} is not used with this {'.'.join(parents)}.kind; only with {', '.join(users)}"
                return Failure(Code.CONFIG, unused)
            fields = {".".join((*parents, field)) for other in variants for field in other.model_fields}
            return unknown_key(name, (set(known_keys(values)) | fields) - {name})
        case "missing":
            return Failure(Code.CONFIG, f"missing key {name}", hint=WRITTEN_OUT)
        case "literal_error":
            return unknown_value(name, value, context["expected"].replace(" or ", ", ").replace("'", "").split(", "))
        case "union_tag_invalid":
            return unknown_value(f"{name}.kind", value["kind"], [c.strip(" '") for c in context["expected_tags"].split(",")])
        case "union_tag_not_found":
            return Failure(Code.CONFIG, f"missing key {name}.kind", hint=WRITTEN_OUT)
        case "value_error":
            # A rule between fields names them itself; a rule of one field is told what it was given.
            text = str(context["error"])
            return Failure(Code.CONFIG, text if isinstance(value, Mapping) else f"{name}: {text}, got {value!r}")
    return Failure(Code.CONFIG, f"{name}: expected {_rule(variants, leaf, fault['msg'])}, got {value!r}")


def _sections_at(section: Any, path: list[str]) -> list[type[Section]]:
    """The section types that may stand at a path below a section."""
    for part in path:
        section = next((m.model_fields[part].annotation for m in members(section) if part in m.model_fields), None)
    return members(section)


def _name(loc: tuple[str, ...], values: Any) -> str:
    """The dotted name of a pydantic location, which also holds the tags of unions: those are no keys."""
    parts = []
    for i, part in enumerate(loc):
        if isinstance(values, Mapping) and (part in values or i == len(loc) - 1):
            parts.append(part)
            values = values.get(part)
    return ".".join(parts)


def known_keys(values: Mapping[str, Any]) -> Iterator[str]:
    """The dotted name of every section and field."""
    for key, value in values.items():
        yield key
        if isinstance(value, Mapping):
            yield from (f"{key}.{inner}" for inner in known_keys(value))


def _rule(variants: list[type[Section]], leaf: str, message: str) -> str:
    """What a field takes, from its own declaration; pydantic's words where that says nothing."""
    field = next((m.model_fields[leaf] for m in variants if leaf in m.model_fields), None)
    words = {int: "integer", float: "finite number", str: "text", bool: "True or False"}
    if field is None or field.annotation not in words:
        return message.removeprefix("Input should be ")
    bounds = {"ge": ">=", "gt": ">", "lt": "<", "le": "<="}
    limits = [f"{sign} {getattr(item, k)}" for item in field.metadata for k, sign in bounds.items() if hasattr(item, k)]
    return " ".join([words[field.annotation], " and ".join(limits)]).strip()


def unknown_key(name: str, names: Iterable[str]) -> Failure:
    """The failure for a key that no section has, with the nearest that one has, or all that its section has."""
    names = list(names)
    parent, _, leaf = name.rpartition(".")
    siblings = {known.rpartition(".")[2]: known for known in names if known.rpartition(".")[0] == parent}
    by_leaf = {known.rpartition(".")[2]: known for known in names}
    near = siblings.get(nearest(leaf, siblings)) or nearest(name, names) or by_leaf.get(nearest(leaf, by_leaf), "")
    if near and near != parent:
        return Failure(Code.CONFIG, f"unknown key {name}; did you mean {near}?")
    choices = siblings or [known for known in names if "." not in known]
    return Failure(Code.CONFIG, f"unknown key {name}", expected=f"one of {', '.join(sorted(choices))}")


def unknown_value(name: str, value: Any, choices: list[str]) -> Failure:
    """The failure for a value that is none of the choices, the nearest of them first."""
    near = nearest(str(value), choices)
    ordered = [near, *(c for c in choices if c != near)] if near else choices
    return Failure(Code.CONFIG, f"{name}: unknown value {value!r}", expected="one of " + ", ".join(ordered))
