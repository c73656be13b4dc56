"""The operations of a compiled program, and what part of a step each belongs to."""

import re
from collections import Counter, defaultdict
from typing import NamedTuple

from perceiver_jax.system.parts import Label, label

_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?([\w.-]+) = .*?[\s)}\]]([a-z][\w-]*)\(([^)]*)\)(.*)$")
_REFERENCE = re.compile(r"%([\w.-]+)")
_STACK = re.compile(r'metadata=\{[^}]*op_name="((?:[^"\\]|\\.)*)"')
_CALLED = re.compile(r"(?:calls|to_apply|condition|body|\w+_computations?)=(%?[\w.-]+|\{[^}]*\})")
_CONTAINERS = ("while", "conditional", "call", "async-start")
_NOWHERE = Label(None, False)


class Operation(NamedTuple):
    """An operation of a compiled program."""

    label: Label
    is_container: bool  # a loop, a branch or a call: what runs is inside


class _Instruction(NamedTuple):
    name: str
    opcode: str
    operands: list[str]
    called: list[str]  # computations
    label: Label


def operations(program: str) -> dict[str, Operation]:
    """The operations of a compiled program, as text, by name; that without a name belongs nowhere.

    One that the compiler has left without a name stack is where most of what it calls is; otherwise where what it takes
    comes from, or else where what it gives goes to; otherwise where the loop or call is that it is in.
    """
    computations = _computations(program)
    labels = {one.name: one.label for own in computations.values() for one in own}

    def settle(name: str, candidates: list[str]) -> None:
        parts = Counter(labels[one] for one in candidates if one in labels and labels[one].part is not None)
        if labels[name].part is None and parts:
            labels[name] = parts.most_common(1)[0][0]

    inside = {name: [one.name for one in own if one.opcode != "parameter"] for name, own in computations.items()}
    for own in computations.values():  # those that are called come before their callers
        for one in own:
            settle(one.name, [name for called in one.called for name in inside[called]])
            settle(one.name, one.operands)
        for one in reversed(own):
            for operand in one.operands:
                settle(operand, [one.name])
    for own in reversed(computations.values()):
        for one in own:
            for name in (name for called in one.called for name in inside[called]):
                settle(name, [one.name])
    containers = {one.name for own in computations.values() for one in own if one.opcode in _CONTAINERS}
    found = {name: Operation(where, name in containers) for name, where in labels.items()}
    return {"": Operation(_NOWHERE, False)} | found


def _computations(program: str) -> dict[str, list[_Instruction]]:
    """The instructions of each computation, in the program's order."""
    found: dict[str, list[_Instruction]] = defaultdict(list)
    computation = ""
    for line in program.splitlines():
        if begins := _COMPUTATION.match(line):
            computation = begins[1]
        elif instruction := _INSTRUCTION.match(line):
            name, opcode, operands, rest = instruction.groups()
            stack = _STACK.search(rest)
            called = [one for names in _CALLED.findall(rest) for one in re.findall(r"[\w.-]+", names) if one in found]
            where = label(stack[1]) if stack else _NOWHERE
            found[computation].append(_Instruction(name, opcode, _REFERENCE.findall(operands), called, where))
    return dict(found)
