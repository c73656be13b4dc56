"""How much of a file is read: what it claims is asked before anything of that size is made."""

from perceiver_jax.readers import BadFile

MAX_NUMBERS = 50_000_000


def check_numbers(count: int) -> None:
    """Raises BadFile where a file holds more numbers than are read."""
    if count > MAX_NUMBERS:
        raise BadFile("too-large", f"holds {count:,} numbers; at most {MAX_NUMBERS:,} are read")


def check_mesh(num_vertices: int, num_faces: int) -> None:
    """Raises BadFile where a mesh of triangles would have more numbers than are read."""
    check_numbers(3 * (num_vertices + num_faces))
