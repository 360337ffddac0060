"""Pieces that networks of several families are built of."""

from genzoo.errors import BadInput


def pyramid(shape: tuple[int, ...], width: int) -> tuple[list[int], int]:
    """Feature maps from a picture of this ``shape`` inwards, and the side of the smallest.

    At each level the maps double and their sides halve, down to 4 to 7. Raises BadInput where the
    picture is not square, or its side not 4 to 7 times a power of two.
    """
    side, levels = shape[-1], 0
    while side % 2 == 0 and side > 7:
        side, levels = side // 2, levels + 1
    square = len(shape) == 3 and shape[1] == shape[2]
    if not (square and 4 <= side <= 7 and 1 <= levels <= 5):
        sizes = "x".join(map(str, shape))
        raise BadInput(f"convolutions take squares, 4 to 7 times a power of two, got {sizes}")
    return [width * 2**i for i in range(levels)], side
