"""Curves of a training under way, as an SVG that fits its column, on light and dark pages."""

import html
import math
from collections.abc import Mapping, Sequence

WIDTH, HEIGHT = 400, 190  # of a panel, in its own units
LEFT, RIGHT, TOP, BOTTOM = 40, 10, 46, 24
COLOURS = ("#3b82f6", "#f97316", "#10b981")  # clear on white and on black
POINTS = 300  # of a line: more are not visible
SIZE = 13

Lines = Mapping[str, Sequence[float]]


def curves(panels: Mapping[str, Lines], steps: int) -> str:
    """Panels of lines, each with its title; the values are of the first of ``steps`` steps."""
    drawn = "".join(_panel(title, lines, steps) for title, lines in panels.items())
    return f'<div style="display:grid;gap:8px">{drawn}</div>'


def _panel(title: str, lines: Lines, steps: int) -> str:
    values = [v for line in lines.values() for v in line if math.isfinite(v)]
    low, high = 0.0 - _round(-min(0.0, *values, 0.0)), max(1.0, _round(max(0.0, *values, 0.0)))
    parts = [_text(LEFT, 14, title, "font-weight:600")]
    for tick in (low, (low + high) / 2, high):
        y = _y(tick, low, high)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
            'stroke="currentColor" stroke-opacity="0.15"/>'
        )
        parts.append(_text(LEFT - 6, y + 4, f"{tick:.2g}", "text-anchor:end"))
    for step in (0, steps // 2, steps):
        x = LEFT + step / max(1, steps) * (WIDTH - LEFT - RIGHT)
        parts.append(_text(x, HEIGHT - 6, f"{step:,}", f"text-anchor:{_anchor(step, steps)}"))
    for i, (name, line) in enumerate(lines.items()):
        colour = COLOURS[i % len(COLOURS)]
        parts.append(_line(line, steps, low, high, colour))
        parts.append(_text(LEFT + 120 * i, 34, f"— {name}", f"fill:{colour}"))
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title)}"'
    return f'<svg {box} style="width:100%;height:auto">{"".join(parts)}</svg>'


def _round(value: float) -> float:
    """The next round number from ``value`` on: 1, 2 or 5 times a power of ten; 0 of 0."""
    if not value:
        return 0.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(k * power for k in (1, 2, 5, 10) if k * power >= value)


def _y(value: float, low: float, high: float) -> float:
    return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)


def _anchor(step: int, steps: int) -> str:
    return {0: "start", steps: "end"}.get(step, "middle")


def _line(values: Sequence[float], steps: int, low: float, high: float, colour: str) -> str:
    """The means of short stretches: of thousands of steps a line would be a band."""
    stretch = max(1, math.ceil(len(values) / POINTS))
    points = []
    for start in range(0, len(values), stretch):
        part = [v for v in values[start : start + stretch] if math.isfinite(v)]
        if part:
            x = LEFT + (start + len(part) / 2) / max(1, steps) * (WIDTH - LEFT - RIGHT)
            points.append(f"{x:.1f},{_y(sum(part) / len(part), low, high):.1f}")
    shape = f'fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"'
    return f'<polyline points="{" ".join(points)}" {shape}/>'


def _text(x: float, y: float, text: str, style: str) -> str:
    style = f"font-size:{SIZE}px;fill:currentColor;{style}"
    return f'<text x="{x:.1f}" y="{y:.1f}" style="{style}">{html.escape(text)}</text>'
