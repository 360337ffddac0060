"""How many passes of its network a sample needs: the distance against them, for each solver.

    python tests/benchmarks/passes.py --n 1280 --out passes.png

The models are ``ddpm-mnist`` and ``flow-matching-mnist``, or folders of the same families. Needs
the real MNIST for the distance's real side. Prints the table that ``docs/families/ddpm.md`` has.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

import genzoo

PASSES = (2, 4, 8, 16, 32, 64)
TICKS = (10, 20, 50, 100, 200)
Curve = dict[int, tuple[float, float, float]]  # by passes: the distance and its interval


def curves(ddpm: str, flow: str) -> dict[str, tuple[str, dict[str, Any], int]]:
    """By name: the model, its settings of sampling, and the passes of a step."""
    return {
        "DDPM, eta=1": (ddpm, {"eta": 1.0}, 1),
        "DDPM, eta=0 (DDIM)": (ddpm, {"eta": 0.0}, 1),
        "flow matching, euler": (flow, {"solver": "euler"}, 1),
        "flow matching, midpoint": (flow, {"solver": "midpoint"}, 2),
    }


def measure(model: str, settings: dict[str, Any], passes: int, each: int, n: int) -> Any:
    sampling = {**settings, "steps": passes // each}
    (score,) = genzoo.evaluate(
        model, data="mnist", metrics="fd", n=n, sampling=sampling, device="cpu"
    ).scores
    return score


def rows(found: dict[str, Curve]) -> Iterator[str]:
    """The table: a row for each number of passes, a column for each curve."""
    yield f"| passes | {' | '.join(found)} |"
    yield "| --- " * (1 + len(found)) + "|"
    for passes in PASSES:
        cells = ["{:.3g} [{:.3g}, {:.3g}]".format(*curve[passes]) for curve in found.values()]
        yield f"| {passes} | {' | '.join(cells)} |"


def draw(found: dict[str, Curve], real: float, n: int, out: Path) -> None:
    sheet = Figure(figsize=(6.4, 3.6), layout="constrained", dpi=120)
    axes = sheet.subplots()
    for name, curve in found.items():
        middle, low, high = zip(*curve.values(), strict=True)
        (line,) = axes.plot([*curve], middle, marker="o", markersize=3, label=name)
        axes.fill_between([*curve], low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.axhline(real, color="grey", linewidth=1, linestyle="--", label="real images")
    axes.set(xscale="log", yscale="log", xlabel="passes of the network for a sample")
    axes.set_ylabel(f"fd-mnist of {n:,} samples")
    axes.set_xticks(PASSES, [str(passes) for passes in PASSES], minor=False)
    axes.set_yticks(TICKS, [str(tick) for tick in TICKS], minor=False)
    axes.minorticks_off()
    axes.legend(frameon=False)
    sheet.savefig(out)


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ddpm", default="ddpm-mnist")
    parser.add_argument("--flow", default="flow-matching-mnist")
    parser.add_argument("--n", type=int, default=1280, help="samples of each point")
    parser.add_argument("--out", type=Path, default=Path("passes.png"))
    given = parser.parse_args(words)
    found: dict[str, Curve] = {}
    for name, (model, settings, each) in curves(given.ddpm, given.flow).items():
        scores = {p: measure(model, settings, p, each, given.n) for p in PASSES}
        found[name] = {p: (s.value, *s.interval) for p, s in scores.items()}
    print("\n".join(rows(found)))
    floor = scores[PASSES[0]].floor
    print(f"real images: {floor:.3g}")
    draw(found, floor, given.n, given.out)


if __name__ == "__main__":
    main()
