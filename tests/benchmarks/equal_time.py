"""Every family on the same data for equal CPU minutes: one table, by one command.

    python tests/benchmarks/equal_time.py --minutes 5 --seeds 3 --jobs 2 --out equal-time

Each run is a process of one thread, with the family's default settings, with those of the first
training on its page (``--pages docs/families``), or with those that a word gives:
``"dcgan width=48 lr=1e-4"``. A short run of 60 steps, which passes through all phases of a
training, says how many steps the minutes pay for. Each run leaves its model and its numbers in
``--out``; the same command goes on where it was stopped, draws a picture with a row of samples
for each family, and prints the table. Run it on an otherwise idle machine: memory and caches are
shared.
"""

import argparse
import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont

import genzoo
from genzoo import devices, families, files
from genzoo.runs import RunStatus
from genzoo.schemas import assignments

TRIAL = 60  # steps of the short run
DRAWN = 64  # samples in a batch, to time their drawing
SHOWN, NAMES = 12, 150  # samples in a row of the picture, pixels for the name before them
HEADS = "| family | branch | parameters | steps | training | a sample | {} | likelihood |"
DISTANCES = ("fd", "precision", "recall")
LIKELIHOODS = {"exact": "nll", "bound": "elbo", "estimate": "nll_estimate"}


def suitable(kind: str, labelled: bool) -> tuple[list[str], list[str]]:
    """The installed families that train on one data set of this kind, and the rest."""
    takes = {"any", kind} | ({"labelled"} if labelled else set())
    names = sorted(plugin.name for plugin in families.plugins())
    fit = [name for name in names if families.get(name).data in takes]
    return fit, [name for name in names if name not in fit]


def as_on_its_page(name: str, pages: Path | None) -> str:
    """The family with the settings of its page's first training on digits, if there is one."""
    found = sorted(pages.glob("*.md")) if pages else []
    text = "\n".join(page.read_text(encoding="utf-8") for page in found)
    first = re.search(rf"^genzoo train {name} --data digits.*", text, re.MULTILINE)
    return " ".join([name, *re.findall(r"--set (\S+)", first[0])]) if first else name


def train(entry: str, data: str, steps: int, seed: int, folder: Path) -> float | None:
    """Train into ``folder``: the CPU seconds of all steps after the first.

    A run that was stopped goes on; the seconds of the steps before are those of the others. None if
    there was only one more, or none: too few to say.
    """
    moments: list[tuple[int, float]] = []

    def note(state: RunStatus) -> None:
        if not moments or state.step == state.steps:
            moments.append((state.step, time.process_time()))

    family, *settings = entry.split()
    if (folder / "run").exists():
        genzoo.train(out=folder, resume=True, threads=1, progress=note)
    else:
        where = {"out": folder, "seed": seed, "device": "cpu", "force": True}
        often = {"steps": steps, "grid_every": steps, "threads": 1, "progress": note}
        genzoo.train(family, data, settings=assignments(settings), **where, **often)
    if len(moments) < 2:
        return None
    (first, began), (last, ended) = moments
    return (ended - began) / (last - first) * (last - 1)


def trained(entry: str, seed: int, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The steps and CPU seconds of the run in ``folder``, which is begun, ended, or there."""
    note = Path(f"{folder}.trained.json")
    if note.exists():
        return read(note)
    trial = place(given.out, f"{entry} trial", seed)
    seconds = train(entry, given.data, 0, seed, folder) if (folder / "run").exists() else None
    while seconds is None:  # at first; and again, if the time of a run cannot be said
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(trial, ignore_errors=True)
        short = train(entry, given.data, TRIAL, seed, trial)
        shutil.rmtree(trial)
        steps = max(3, round(given.minutes * 60 / short * (TRIAL - 1)))
        seconds = train(entry, given.data, steps, seed, folder)
    steps = read(folder / "config.json")["recipe"]["steps"]
    files.write_json(note, {"steps": steps, "training_seconds": seconds})
    return read(note)


def run(entry: str, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """Train one family, and measure it: the line of the table, for one seed."""
    folder = place(given.out, entry, seed)
    record = trained(entry, seed, given, folder)
    model = genzoo.load(folder, device="cpu")
    began = time.process_time()
    model.sample(DRAWN, seed=seed)
    drawing = (time.process_time() - began) / DRAWN
    scores = measure(model, folder, given.data, given.n, given.features)
    shutil.rmtree(folder / "run", ignore_errors=True)
    return {
        "family": entry,
        "seed": seed,
        "parameters": sum(p.numel() for p in model.parameters()),
        "sample_seconds": drawing,
        **record,
        **scores,
    }


def place(out: Path, entry: str, seed: int) -> Path:
    """The folder of a run's model; its numbers are in a file of this name and .json."""
    return out / f"{re.sub('[^a-z0-9.=-]+', '_', entry)}-{seed}"


def read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def measure(
    model: genzoo.Model, folder: Path, data: str, n: int, features: str | None
) -> dict[str, Any]:
    """The distances, and the likelihood of a density."""
    found: dict[str, Any] = dict.fromkeys((*DISTANCES, "likelihood"))
    scores = genzoo.evaluate(folder, data=data, metrics=DISTANCES, n=n, features=features).scores
    found |= {score.metric.partition("-")[0]: score.value for score in scores}
    if isinstance(model, genzoo.Density):
        name = LIKELIHOODS[model.likelihood_kind]
        images = min(n, len(genzoo.data.open(data, split="test")))
        (score,) = genzoo.evaluate(folder, data=data, metrics=name, n=images).scores
        unit, levels = score.protocol["unit"], score.protocol["levels"]
        unit += f", {levels} levels" if isinstance(levels, int) else ", as if a density"
        found["likelihood"] = {"metric": name, "value": score.value, "unit": unit}
    return found


def best_first(results: Sequence[dict[str, Any]]) -> list[str]:
    """The families, by their mean distance; last those that have none for one of the seeds."""
    found = defaultdict(list)
    for result in results:
        found[result["family"]].append(math.inf if result["fd"] is None else result["fd"])
    return sorted(found, key=lambda family: statistics.mean(found[family]))


def rows(results: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The table, best distance first: means over the seeds, and the spread of the scores."""
    runs = defaultdict(list)
    for result in results:
        runs[result["family"]].append(result)
    branches = {plugin.name: plugin.branch for plugin in families.plugins()}
    count = Counter(family.split()[0] for family in runs)

    def mean(family: str, key: str) -> float:
        return statistics.mean(one[key] for one in runs[family])

    def score(values: list[float | None]) -> str:
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            return ""
        if len(known) == 1:
            return f"{known[0]:.3g}"
        spread = statistics.stdev(known)
        return f"{statistics.mean(known):.3g} ± {spread:{'.0f' if spread >= 100 else '.2g'}}"

    def likelihood(family: str) -> str:
        known = [one["likelihood"] for one in runs[family] if one["likelihood"]]
        if not known:
            return ""
        values, unit = score([one["value"] for one in known]), known[0]["unit"]
        return " ".join(filter(None, (values, unit, f"({known[0]['metric']})")))

    yield HEADS.format(" | ".join(DISTANCES))
    yield "| --- " * (7 + len(DISTANCES)) + "|"
    for family in best_first(results):
        name, *settings = family.split()
        told = settings if count[name] > 1 else []  # needed to tell one row from another
        cells = [" ".join([f"`{name}`", *told]), branches[name]]
        cells += [f"{mean(family, key):,.0f}" for key in ("parameters", "steps")]
        cells += [f"{mean(family, 'training_seconds') / 60:.1f} min"]
        cells += [f"{mean(family, 'sample_seconds') * 1000:.3g} ms"]
        cells += [score([one[key] for one in runs[family]]) for key in DISTANCES]
        yield f"| {' | '.join([*cells, likelihood(family)])} |"


def picture(results: Sequence[dict[str, Any]], out: Path) -> Image.Image:
    """A row of samples for each family, those of its first seed, in the order of the table."""
    strips = []
    for entry in best_first(results):
        seed = min(result["seed"] for result in results if result["family"] == entry)
        samples = genzoo.load(place(out, entry, seed)).sample(SHOWN, seed=0)
        strips.append((entry, samples.grid(columns=SHOWN, scale=1)))
    width, height = (max(strip.size[i] for _, strip in strips) for i in (0, 1))
    sheet = Image.new("RGB", (NAMES + width, len(strips) * height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for i, (entry, strip) in enumerate(strips):
        pen.text((NAMES - 8, (i + 0.5) * height), entry.split()[0], "black", font, anchor="rm")
        sheet.paste(strip, (NAMES, i * height))
    return sheet


def command_of(entry: str, seed: int, given: argparse.Namespace) -> list[str]:
    options = {key: getattr(given, key) for key in ("data", "minutes", "n", "out", "features")}
    words = [word for key, value in options.items() if value for word in (f"--{key}", str(value))]
    return [sys.executable, __file__, entry, "--one", str(seed), *words]


def run_all(runs: list[tuple[str, int]], given: argparse.Namespace) -> list[Path]:
    """Do those that have no file yet, some at a time; the files of those that succeeded."""

    def start(entry: str, seed: int) -> Path | None:
        file = Path(f"{place(given.out, entry, seed)}.json")
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        if not file.exists():
            subprocess.run(command_of(entry, seed, given), env=environment, check=False)
        return file if file.exists() else None

    with ThreadPoolExecutor(given.jobs) as pool:
        done = list(pool.map(lambda one: start(*one), runs))
    for (entry, seed), file in zip(runs, done, strict=True):
        if file is None:
            print(f"{entry}, seed {seed}: failed, see above", file=sys.stderr)
    return [file for file in done if file]


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "families", nargs="*", help="or 'FAMILY KEY=VALUE …'; by default all that fit the data"
    )
    parser.add_argument(
        "--pages",
        type=Path,
        help="folder of the families' pages, for their first trainings' settings",
    )
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--minutes", type=float, default=5, help="of CPU time, for each run")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, one core each")
    parser.add_argument("--n", type=int, default=2000, help="samples, or images, that are measured")
    parser.add_argument("--features", help="of another data set, where this one has none")
    parser.add_argument("--out", type=Path, default=Path("equal-time"))
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)  # the seed of a single run
    given = parser.parse_args(words)
    if given.one is not None:
        (entry,) = given.families
        result = run(entry, given.one, given)
        files.write_json(Path(f"{place(given.out, entry, given.one)}.json"), result)
        return
    dataset = genzoo.data.open(given.data)
    fit, others = suitable(dataset.kind, bool(dataset.classes))
    given.out.mkdir(parents=True, exist_ok=True)
    entries = given.families or [as_on_its_page(name, given.pages) for name in fit]
    done = run_all([(one, seed) for seed in range(given.seeds) for one in entries], given)
    results = [read(file) for file in done]
    picture(results, given.out).save(given.out / "samples.png")
    print("\n".join(rows(results)))
    if not given.families and others:
        print(f"\nNot here, as they need other data: {', '.join(others)}.")
    print(devices.machine(torch.device("cpu")))


if __name__ == "__main__":
    main()
