"""What part of a step the operations of a compiled program belong to, with names and without."""

import pytest

from perceiver_jax.system.operations import Operation, operations
from perceiver_jax.system.parts import Label

PROGRAM = """
HloModule jit_step, entry_computation_layout={(f32[4]{0})->f32[4]{0}}

%fused (p: f32[4]) -> f32[4] {
  %p = f32[4]{0} parameter(0)
  %sine.1 = f32[4]{0} sine(%p), metadata={op_name="jit(step)/jvp(part=stem)/sin" stack_frame_id=3}
  %sine.2 = f32[4]{0} sine(%sine.1), metadata={op_name="jit(step)/jvp(part=head)/sin" stack_frame_id=3}
  ROOT %cosine.1 = f32[4]{0} cosine(%sine.2), metadata={op_name="jit(step)/jvp(part=head)/cos"}
}

%body (q: (s32[], f32[4])) -> (s32[], f32[4]) {
  %q = (s32[], /*index=1*/f32[4]{0}) parameter(0)
  %iota.4 = f32[4]{0} iota(), iota_dimension=0
  ROOT %tuple.2 = (s32[], f32[4]{0}) tuple(%iota.4)
}

%branch (r: f32[4]) -> f32[4] {
  %r = f32[4]{0} parameter(0)
  ROOT %copy.1 = f32[4]{0} copy(%r)
}

%other (s: f32[4]) -> f32[4] {
  ROOT %s = f32[4]{0} parameter(0)
}

ENTRY %main (x.1: f32[4], y.1: f32[4]) -> f32[4] {
  %x.1 = f32[4]{0} parameter(0), metadata={op_name="x"}
  %y.1 = f32[4]{0} parameter(1), metadata={op_name="y"}
  %fusion.7 = f32[4]{0} fusion(%x.1), kind=kLoop, calls=%fused
  %copy.9 = f32[4]{0} copy(%fusion.7)
  %broadcast.3 = f32[4]{0} broadcast(%y.1), dimensions={0}
  %tuple.0 = (s32[], f32[4]{0}) tuple(%copy.9, %broadcast.3)
  %while.3 = (s32[], f32[4]{0}) while(%tuple.0), body=%body, metadata={op_name="jit(step)/part=loss/while"}
  %choice.1 = f32[4]{0} conditional(%copy.9), branch_computations={%branch, %other}
  %bitcast.6 = f32[4]{0} bitcast(%y.1)
  %dot.2 = f32[4]{0} dot(%bitcast.6), metadata={source_file="a" op_name="jit(step)/transpose(jvp(part=embed))/dot"}
  ROOT %add.5 = f32[4]{0} add(%y.1, %y.1)
}
"""
HEAD, LOSS, EMBED = Label("head", False), Label("loss", False), Label("embed", True)


@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "by its own name": ("dot.2", Operation(EMBED, False)),
        "a loop": ("while.3", Operation(LOSS, True)),
        "by most of what it calls": ("fusion.7", Operation(HEAD, False)),
        "by what it takes": ("copy.9", Operation(HEAD, False)),
        "by what it takes, further on": ("choice.1", Operation(HEAD, True)),
        "by what takes it": ("bitcast.6", Operation(EMBED, False)),
        "by the loop that it is in": ("iota.4", Operation(LOSS, False)),
        "by the branch that it is in": ("copy.1", Operation(HEAD, False)),
        "nowhere": ("", Operation(Label(None, False), False)),
    }.values(),
)
def test_an_operation_belongs(name, expected):
    assert operations(PROGRAM)[name] == expected


def test_of_a_program_without_parts_nothing_belongs_anywhere():
    found = operations(PROGRAM.replace("part=", ""))
    assert {operation.label.part for operation in found.values()} == {None}
    assert len(found) == 1 + PROGRAM.count(" = ")
