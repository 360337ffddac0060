"""Golden records: what the cards draw, the families learn and the metrics find, to the last bit.

``python tests/golden/record.py`` records them anew, from the code as it is: only where a change of
results is meant. `tests/test_golden.py` compares. ``folders``, ``run`` and ``files`` hold files of
format 1; a newer genzoo cannot write them, so only ``--past`` writes them anew.
"""

import hashlib
import json
import platform
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

import genzoo
from genzoo import cli, families
from genzoo.editing import directions, walks
from genzoo.runs import launch
from genzoo.runs.plan import fields_of, open_dataset

HERE = Path(__file__).parent
RECORDS, PIXELS = HERE / "records.json", HERE / "samples.npz"
FOLDERS, RUN, FILES = HERE / "folders", HERE / "run", HERE / "files"
STEPS, STOP, SAMPLES, SCORED = 20, 10, 4, 1280
WEIGHTS = ("model.safetensors", "discriminator.safetensors")
STOPPED = "dcgan"  # the family of the run that was interrupted
WALKER, TRANSLATOR = "vae-mnist", "cyclegan-hair"
MEASURED = {
    "dcgan-mnist": ("fd", "kd", "precision", "recall", "cs", "modes", "sure", "sharpness"),
    "vae-celeba": ("fd", "kd", "precision", "recall", "sharpness"),
}

# A name in the records: what it is called today. A renaming is written here, and in the functions
# below, which alone ask genzoo for anything.
NAMES = {
    # what a step logs
    "discriminator/D(G(z))": "discriminator/D(G(z))",
    "discriminator/D(H(x))": "discriminator/D(H(x))",
    "discriminator/D(x)": "discriminator/D(x)",
    "discriminator/accuracy": "discriminator/accuracy",
    "discriminator/gradient": "discriminator/gradient",
    "discriminator/loss": "discriminator/loss",
    "discriminator/penalty": "discriminator/penalty",
    "discriminator/wasserstein": "discriminator/wasserstein",
    "generator/error": "generator/error",
    "generator/gradient": "generator/gradient",
    "generator/loss": "generator/loss",
    "generators/adversarial": "generators/adversarial",
    "generators/cycle": "generators/cycle",
    "generators/gradient": "generators/gradient",
    "generators/identity": "generators/identity",
    "generators/loss": "generators/loss",
    "model/bits/dim": "model/bits/dim",
    "model/divergence": "model/divergence",
    "model/elbo": "model/elbo",
    "model/gradient": "model/gradient",
    "model/loss": "model/loss",
    "model/nats": "model/nats",
    # fields of configs, of all families or of one
    "attention": "attention_resolution",
    "blocks": "residual_blocks",
    "coarse": "quantized_levels",
    "code": "latent_dim",
    "conditional": "conditional",
    "dropout": "dropout",
    "examples": "examples",
    "first": "first_kernel",
    "hidden": "dense_units",
    "kernel": "kernel",
    "layers": "layers",
    "likelihood": "likelihood",
    "maxout": "discriminator_units",
    "network": "network",
    "noise": "prior",
    "pieces": "maxout_pieces",
    "places": "position_bias",
    "units": "units",
    "width": "width",
    "cgan.units": "generator_units",
    "cyclegan.layers": "discriminator_layers",
    "gan.units": "generator_units",
    # metrics
    "fd": "fd",
    "kd": "kd",
    "precision": "precision",
    "recall": "recall",
    "cs": "class_score",
    "modes": "mode_kl",
    "sure": "confident",
    "sharpness": "sharpness",
}


def today(name: str, family: str = "") -> str:
    """What a name in the records is called now; tensors that NAMES leaves out keep theirs."""
    return NAMES.get(f"{family}.{name}", NAMES.get(name, name))


# ---------------------------------------------------------------------------- what genzoo is asked


def cards() -> list[str]:
    return genzoo.model_names()


def learners() -> list[str]:
    return families.names()


def load(name: str | Path) -> Any:
    return genzoo.load(name, device="cpu")


def draw(model: Any) -> Any:
    return model.sample(SAMPLES, seed=0)


def nats(model: Any, samples: Any) -> list[float]:
    """The log-likelihoods of a model's own samples, where it is a density."""
    if not isinstance(model, genzoo.Density):
        return []
    top = (model.levels or 256) - 1
    levels = (samples.tensor * top).round() / top
    return model.log_prob(levels, samples.labels).tolist()


def translate(model: Any) -> Any:
    return model.translate(model.examples[:SAMPLES], model.domains[-1])


def steer(path: Path) -> Any:
    """Two samples, three steps along a direction each."""
    return directions.steer(
        load(WALKER), directions.read_direction(path), "0:0,1", alphas=[-2, 0, 2]
    )


def walk() -> Any:
    return walks.interpolate(load(WALKER), "0:0,1", steps=4)


def score(card: str) -> dict[str, dict[str, Any]]:
    """Value, interval and floor of each metric, by the name it is recorded under."""
    wanted = MEASURED[card]
    found = genzoo.evaluate(card, metrics=[today(m) for m in wanted], n=SCORED, device="cpu")
    return {
        name: {"value": s.value, "interval": s.interval, "floor": s.floor}
        for name, s in zip(wanted, found.scores, strict=True)
    }


class Stopped(Exception):
    """A run was interrupted, as a crash would."""


def train(
    family: str, asked: dict[str, Any], folder: Path, stop: int | None = None
) -> list[dict[str, float]]:
    """Train into ``folder``; the logs of each step. Interrupted after step ``stop``, if given."""
    channels, *sides = asked["shape"]
    size = {"size": sides[0]} if len(sides) == 2 else {"length": sides[0]}
    values = {today(key, family): value for key, value in asked["config"].items()}
    if family == "wgan":  # as it was recorded: RMSprop took the default of Adam's beta2
        values["rms_decay"] = 0.999
    if family == "cgan":  # the perceptrons have none: a run refuses them
        del values["dense_units"]
    run = launch.start(
        family,
        asked["data"],
        folder,
        steps=STEPS,
        values={**size, "channels": channels} | values,
        seed=0,
        device="cpu",
        command=f"genzoo train {family} --data {asked['data']} --steps {STEPS}",
        checkpoint_every=STOP,
        grid_every=STEPS,
        log_every=1,
    )
    logs: list[dict[str, float]] = []

    def report(progress: Any) -> None:
        if progress.step - 1 == stop:
            raise Stopped
        logs.append({name: value.item() for name, value in progress.logs.items()})

    try:
        run.go(report)
    except Stopped:
        assert stop is not None
    return logs


def resume(folder: Path) -> int:
    """Go on with the run in ``folder`` to its end; the step that it went on from."""
    run = launch.resume(folder)
    run.go()
    return run.start


def retrain(folder: Path, out: Path) -> int:
    """Train again as the model in ``folder`` was; the exit code."""
    every = ["--checkpoint-every", f"{STEPS}", "--grid-every", f"{STEPS}"]
    told = ["train", "--recipe", str(folder), "--out", str(out), "--device", "cpu", *every]
    return cli.run(told)


def redraw(path: Path) -> int:
    """Draw a picture again as it says; how many levels of 255 the two are apart at the most."""
    return genzoo.reproduce(path, device="cpu").apart


def described(path: Path) -> dict[str, Any]:
    """What a picture says of itself, by the names that it is written with in format 1."""
    found = genzoo.inspect(path).record
    assert found is not None
    assert found.origin is not None
    assert found.call is not None
    return {
        "model": found.origin.model,
        "family": found.origin.family,
        "weights_sha256": found.origin.weights_sha256,
        "revision": found.origin.revision,
        "seeds": [[*pair] for pair in found.seeds],
        "labels": None if found.labels is None else [*found.labels],
        "method": found.call.method,
    }


def smallest(family: str) -> dict[str, Any]:
    """The data and the config that a family is recorded with: its tiny one, where data agree."""
    found = families.get(family)
    values = found.tiny.model_dump(mode="json")
    others = {"unpaired": "digits:0,digits:1", "paired": "digits@edges", "signals": "tones"}
    data = others.get(found.data, "digits")
    dataset = open_dataset(family, data, values)
    config = {k: v for k, v in values.items() if k not in fields_of(dataset)}
    return {"data": data, "shape": [*dataset.shape], "config": config}


# ----------------------------------------------------------------------------------------- records


def sha256(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.detach().contiguous().cpu().numpy().tobytes()).hexdigest()


def drawn(samples: Any) -> dict[str, Any]:
    labels = None if samples.labels is None else samples.labels.tolist()
    return {"shape": [*samples.tensor.shape], "sha256": sha256(samples.tensor), "labels": labels}


def pixels(samples: Any) -> np.ndarray:
    """(n, C, H, W) of 0 to 255."""
    return np.asarray(samples.tensor.clamp(0, 1).mul(255).round().to(torch.uint8))


def tensors(folder: Path) -> dict[str, dict[str, Tensor]]:
    """All weights in a model's folder, by file and key."""
    return {name: load_file(folder / name) for name in WEIGHTS if (folder / name).exists()}


def hashes(weights: dict[str, Tensor]) -> dict[str, str]:
    kinds = {key: f"{str(t.dtype).partition('.')[2]} {[*t.shape]}" for key, t in weights.items()}
    return {key: f"{kinds[key]} {sha256(weights[key])}" for key in sorted(weights)}


def machine() -> dict[str, str]:
    """What decides how sums are rounded: on machines that agree in it, all bits are the same."""
    path = Path("/proc/cpuinfo")
    about = path.read_text() if path.exists() else ""
    lines = dict(re.findall(r"^(model name|flags|Features)\s*: (.*)$", about, re.MULTILINE))
    flags = " ".join(sorted(lines.get("flags", lines.get("Features", "")).split()))
    return {
        "processor": lines.get("model name") or platform.processor() or platform.machine(),
        "flags": hashlib.sha256(flags.encode()).hexdigest(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def main(past: bool) -> None:
    """Record all; the files of the past, too, if ``past``."""
    torch.set_num_threads(1)
    found: dict[str, Any] = {"machine": machine(), "cards": {}, "families": {}}
    images: dict[str, np.ndarray] = {}

    def keep(name: str, samples: Any) -> dict[str, Any]:
        images[name] = pixels(samples)
        return drawn(samples)

    for card in cards():
        model = load(card)
        samples = draw(model)
        found["cards"][card] = {**keep(f"cards/{card}", samples), "nats": nats(model, samples)}
    found["translated"] = keep("translated", translate(load(TRANSLATOR)))
    for family in learners():
        found["families"][family] = _learnt(family, past, keep)
    if past:
        _files()
    found["steered"] = keep("steered", steer(FILES / "direction.safetensors"))
    found["scores"] = {card: score(card) for card in MEASURED}
    text = json.dumps(found, indent=1)
    text = re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text)
    RECORDS.write_text(text + "\n")
    np.savez_compressed(PIXELS, **images)


def _learnt(family: str, past: bool, keep: Any) -> dict[str, Any]:
    asked = smallest(family)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / family
        logs = train(family, asked, folder)
        weights = {name: hashes(found) for name, found in tensors(folder).items()}
        if past:
            unlike = shutil.ignore_patterns("run", "lock")
            shutil.copytree(folder, FOLDERS / family, ignore=unlike, dirs_exist_ok=True)
        samples = keep(f"families/{family}", draw(load(folder)))
    if past and family == STOPPED:
        shutil.rmtree(RUN, ignore_errors=True)
        train(family, asked, RUN, stop=STOP)
        (RUN / "run" / "lock").unlink()
    names = dict.fromkeys(name for step in logs for name in step)
    told = {name: [step.get(name) for step in logs] for name in names}  # None: not at this step
    return {**asked, "logs": told, "weights": weights, "samples": samples}


def _files() -> None:
    FILES.mkdir(exist_ok=True)
    model = load(WALKER)
    directions.direction_from_seeds(model, "0:0,1,2", "0:3,4,5").save(
        FILES / "direction.safetensors"
    )
    learnt = directions.direction_from_samples(model, "3", n=400)
    learnt.save(FILES / "direction-of-class.safetensors")
    draw(model).save(FILES / "sample.png")
    draw(load("cgan-mnist")).save(FILES / "labelled.png", numbers=True)
    walk().save(FILES / "walk.png")
    steer(FILES / "direction.safetensors").save(FILES / "steered.png", columns=3)


if __name__ == "__main__":
    main(past="--past" in sys.argv)
