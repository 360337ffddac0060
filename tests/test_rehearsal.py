"""Runs of several phases, killed and resumed; options that nothing reads."""

import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from genzoo import cli, families
from genzoo.errors import BadInput
from genzoo.families import registry
from genzoo.options import SWITCHES, AdversarialOptions
from genzoo.runs import launch, plots, precision, rehearsal
from genzoo.runs import run as runs
from genzoo.runs.plan import make_plan, plan
from genzoo.training import Diverged
from genzoo.zoo import manifest

# A family of two phases: an autoencoder, then a prior on its codes, which is new in that phase.
# Another asks for options late: near the end of its phase, and where it finishes.
TOYS = """
import math
import torch
from torch import nn
import genzoo
from genzoo.options import Options
from genzoo.schemas import Schema, Shape, Share, Weight
from genzoo.training import Phase, make_player

class Config(Schema):
    shape: Shape = (1, 8, 8)

class TrainOptions(Options):
    prior_share: Share = 0.5
    late: Weight = 1.0
    last: Weight = 1.0
    never: Weight = 1.0

class Coder(genzoo.Latent):
    value_range, latent_dim = (0.0, 1.0), 3

    def __init__(self, config):
        super().__init__(config)
        self.shape, pixels = config.shape, math.prod(config.shape)
        self.coder = nn.ModuleDict({"first": nn.Linear(pixels, 3), "last": nn.Linear(3, pixels)})
        self.prior = nn.Linear(3, 3)
        self.register_buffer("scale", torch.ones(()))

    def decode(self, code, labels=None):
        return self.coder["last"](self.prior(code)).sigmoid().view(-1, *self.shape)

class TwoPhases(genzoo.Trainer):
    def __init__(self, model, o):
        players = {"coder": make_player(model.coder, o), "prior": make_player(model.prior, o)}
        super().__init__(model, players)
        self.whole, self.options = model, o
        self.phases = Phase("codes", 1 - o.prior_share), Phase("prior", o.prior_share)

    def begin(self, phase):
        if phase == "prior":
            self.whole.prior.reset_parameters()
            self.whole.scale += 1
            self.renew("prior")

    def step(self, batch):
        if batch.phase == "codes":
            return self.update("coder", self.error, batch)
        if batch.progress > 0.5:
            self.options.late
        return self.update("prior", self.distance, batch)

    def error(self, batch):
        flat = batch.x.flatten(1)
        made = self.whole.coder["last"](self.whole.coder["first"](flat)).sigmoid()
        return (made - flat).square().mean(), {}

    def distance(self, batch):
        codes = self.whole.coder["first"](batch.x.flatten(1))
        drawn = self.whole.prior(batch.noise("prior").normal(3)) * self.whole.scale
        return (drawn.mean(0) - codes.mean(0)).square().mean(), {}

def finish(model, options, batches):
    options.last

@genzoo.hookimpl
def genzoo_family(name):
    return genzoo.Family(
        config=Config, options=TrainOptions, model=Coder, trainer=TwoPhases, finish=finish,
        tiny=Config(), paper="none", api=2,
    )
"""


@pytest.fixture(scope="module", autouse=True)
def toys(tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    (site / "phases_toys.py").write_text(TOYS)
    info = site / "phases_toys-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: phases-toys\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[genzoo.families]\ntwophase = phases_toys\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        yield site
    registry._load.cache_clear()
    sys.modules.pop("phases_toys", None)


SIZE = {"size": 8, "channels": 1}
VALUES = {**SIZE, "batch_size": 8, "ema_decay": 0.9, "lr": 0.01, "lr_decay_start": 0.5}


def started(folder, steps=20, **more):
    settings = {"checkpoint_every": 5, "log_every": 2, "device": "cpu", "values": VALUES, **more}
    return launch.start("twophase", "digits", folder, steps=steps, **settings)


def lines(folder):
    return (folder / "run/log.jsonl").read_text().splitlines()


# ---------------------------------------------------------------------------------------- precision


@pytest.mark.parametrize(
    ("asked", "ratio", "used", "warns"),
    [
        ("fp32", 30.0, "fp32", ""),
        ("auto", 30.0, "fp32", ""),
        ("auto", 0.95, "fp32", ""),  # too little for the digits that it costs
        ("auto", 0.4, "bf16", ""),
        ("bf16", 0.4, "bf16", ""),
        ("bf16", 27.3, "bf16", "bf16 is slow on this machine: convolutions take 27 times as long"),
    ],
)
def test_the_precision_is_asked_for_or_the_faster_one(
    asked, ratio, used, warns, monkeypatch, caplog
):
    monkeypatch.setattr(precision, "relative_time", lambda device: ratio)
    assert precision.chosen(asked, torch.device("cpu")) == used
    found = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(found) == bool(warns)
    assert all(text.startswith(warns) for text in found)


def test_what_bf16_takes_is_measured_for_a_moment(monkeypatch):
    """No call begins after half of the budget: here that of 0.3 seconds is the last."""
    times = iter([0, 0.1, 1, 1.3, 2, 2.1])
    assert precision._fastest(lambda: None, lambda: next(times)) == pytest.approx(0.1)
    assert next(times) == 2
    state = torch.get_rng_state()
    assert 0 < precision.relative_time(torch.device("cpu")) < 1000
    assert torch.equal(torch.get_rng_state(), state)


def test_a_run_records_the_precision_and_keeps_it(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(precision, "relative_time", lambda device: 0.4)
    begun = started(tmp_path / "r", steps=2, precision="auto")
    assert begun.plan.precision == "bf16"
    begun.go()
    monkeypatch.setattr(precision, "relative_time", lambda device: 20.0)
    assert launch.resume(tmp_path / "r", precision="auto").plan.precision == "bf16"
    assert "bf16 is slow on this machine: convolutions take 20 times" in caplog.text


# ------------------------------------------------------------------------------------------- phases


def test_a_run_records_its_phases(tmp_path):
    seen = []
    started(tmp_path / "r").go(lambda status: seen.append(status.phase))
    assert seen == ["codes"] * 10 + ["prior"] * 10
    logged = [json.loads(line) for line in lines(tmp_path / "r")]
    assert [row["phase"] for row in logged] == ["codes"] * 5 + ["prior"] * 5
    assert [row["step"] for row in logged] == [*range(2, 21, 2)]
    recipe = manifest.read_manifest(tmp_path / "r").recipe
    assert recipe.phases == {"codes": 10, "prior": 10}
    log = plots.read_run(tmp_path / "r")
    assert log.phases == {"codes": 2, "prior": 12}
    assert {*log.curves} == {
        f"{player}/{name}" for player in ("coder", "prior") for name in ("loss", "gradient")
    }
    assert log.record()["phases"] == log.phases


def test_info_and_the_estimate_name_the_phases(tmp_path, capsys):
    started(tmp_path / "r").go()
    assert cli.run(["info", str(tmp_path / "r")]) == 0
    assert "codes 10, prior 10" in capsys.readouterr().out
    words = ["train", "twophase", "--set", "size=8", "--set", "channels=1"]
    words += ["--set", "prior_share=0.25", "--dry-run"]
    assert cli.run(words) == 0
    assert "codes 75%, prior 25%" in capsys.readouterr().out


@pytest.mark.parametrize("steps", [1, 6])
def test_an_estimate_measures_each_phase(steps, monkeypatch):
    """Also for ``--minutes``, where the plan has one step, and of a run shorter than the trial."""
    setup, steps_of = plan("twophase", "digits", SIZE), {"codes": 0, "prior": 0}
    trainer = sys.modules[families.get("twophase").model.__module__].TwoPhases
    take_step = trainer.step

    def counted(self, batch):
        steps_of[batch.phase] += 1
        return take_step(self, batch)

    monkeypatch.setattr(trainer, "step", counted)
    launch.estimate(make_plan("twophase", "digits", setup, steps=steps), setup.dataset)
    assert min(steps_of.values()) > 3


def test_an_estimate_is_of_the_whole_run(monkeypatch):
    """On a clock by which a step takes as many seconds as its phase has come: half a second on
    average, and three quarters in the second half of a phase.
    """
    now, seen = [0.0], []
    trainer = sys.modules[families.get("twophase").model.__module__].TwoPhases
    take_step = trainer.step

    def slower(self, batch):
        seen.append(batch.step)
        now[0] += batch.progress
        return take_step(self, batch)

    monkeypatch.setattr(trainer, "step", slower)
    monkeypatch.setattr(launch, "time", SimpleNamespace(monotonic=lambda: now[0]))
    setup = plan("twophase", "digits", SIZE)
    record = make_plan("twophase", "digits", setup, steps=1000)
    assert launch.estimate(record, setup.dataset).rate == pytest.approx(2)
    assert launch.estimate(record, setup.dataset, done=750).rate == pytest.approx(1 / 0.75)
    assert min(step for step in seen if step) >= 26  # not the first ones, which may train longer


def test_a_run_of_one_phase_names_none(tmp_path):
    values = {**SIZE, "width": 4, "latent_dim": 2, "batch_size": 8}
    run = launch.start("vae", "digits", tmp_path / "r", steps=10, values=values, device="cpu")
    run.go(lambda status: _equal(status.phase, ""))
    assert all("phase" not in json.loads(line) for line in lines(tmp_path / "r"))
    assert manifest.read_manifest(tmp_path / "r").recipe.phases == {}


def _equal(one, other):
    assert one == other


@pytest.mark.parametrize(
    "stop", [11, *(pytest.param(stop, marks=pytest.mark.slow) for stop in (6, 17))]
)
def test_a_killed_run_resumes_bit_for_bit(tmp_path, toys, stop):
    """In each phase, and where one ends: the average, the monitor, the log and the weights."""
    started(tmp_path / "straight").go()
    started(tmp_path / "killed")
    code = f"""
import os, signal, sys, torch
torch.set_num_threads({torch.get_num_threads()})
from pathlib import Path
from genzoo.runs import launch
def report(status):
    if status.step == {stop}:
        os.kill(os.getpid(), signal.SIGKILL)
launch.resume(Path({str(tmp_path / "killed")!r})).go(report)
"""
    path = os.pathsep.join([str(toys), *filter(None, [os.environ.get("PYTHONPATH")])])
    command, environment = [sys.executable, "-c", code], {**os.environ, "PYTHONPATH": path}
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    run = launch.resume(tmp_path / "killed")
    assert run.start == (stop - 1) // 5 * 5
    run.go()
    straight, killed = (
        load_file(tmp_path / n / "model.safetensors") for n in ("straight", "killed")
    )
    assert straight.keys() == killed.keys()
    for name, tensor in straight.items():
        assert torch.equal(tensor, killed[name]), name
    assert lines(tmp_path / "straight") == lines(tmp_path / "killed")


def test_too_few_steps_for_all_phases(tmp_path):
    with pytest.raises(
        BadInput, match="1 steps are too few: each of the phases codes, prior needs"
    ):
        started(tmp_path / "r", steps=1)
    assert not (tmp_path / "r").exists()


def test_a_phase_that_raises_does_so_at_the_start(tmp_path, monkeypatch):
    module = sys.modules[families.get("twophase").model.__module__]
    monkeypatch.setattr(module.TwoPhases, "distance", lambda self, batch: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        started(tmp_path / "r")
    assert not (tmp_path / "r").exists()


# ------------------------------------------------------------------------------------------ options


def test_a_record_notes_what_is_read():
    options, read = rehearsal.noted(AdversarialOptions(top_k=0.5))
    assert isinstance(options, AdversarialOptions)
    assert not read
    assert options.top_k == 0.5
    assert getattr(options, "lr") == 1e-3  # noqa: B009
    assert read == {"top_k", "lr"}
    options.model_dump()
    assert read == {*AdversarialOptions.model_fields}


@pytest.mark.parametrize("late", ["late", "last"])
def test_what_a_run_reads_late_is_read(tmp_path, late):
    started(tmp_path / "r", values={**SIZE, late: 2.0})


def test_an_option_that_is_never_read_is_refused(tmp_path):
    match = "never=2.0 has no effect in this run: twophase does not read it; leave it out"
    with pytest.raises(BadInput, match=match):
        started(tmp_path / "r", values={**SIZE, "never": 2.0})
    assert not (tmp_path / "r").exists()
    started(tmp_path / "r", values={**SIZE, "never": 1.0})


GAN = {"generator_units": 8, "discriminator_units": 8, "batch_size": 8, "dropout": 0.0}


SWITCHED_OFF = [
    ({"momentum": 0.5}, "momentum=0.5 .* while optimizer is adam"),
    ({"penalty_weight": 3.0}, "penalty_weight=3.0 .* while penalty is none"),
    ({"penalty_interval": 2}, "penalty_interval=2 .* while penalty is none"),
    ({"instance_noise_until": 0.5}, "until=0.5 .* while instance_noise is 0.0"),
    ({"label_smoothing": 0.1, "soft_labels": True}, "smoothing=0.1 .* while soft_labels is True"),
    ({"beta1": 0.1, "optimizer": "sgd"}, "beta1=0.1 .* while optimizer is sgd"),
    ({"beta2": 0.9, "optimizer": "sgd"}, "beta2=0.9 .* while optimizer is sgd"),
    ({"rms_decay": 0.9, "optimizer": "sgd"}, "rms_decay=0.9 .* while optimizer is sgd"),
    ({"rms_decay": 0.9}, "rms_decay=0.9 .* while optimizer is adam"),
    (
        {"beta2": 0.9, "optimizer": "rmsprop"},
        r"beta2=0.9 .* while optimizer is rmsprop \(its decay is rms_decay\)",
    ),
    ({"augment_probability": 0.5}, "augment_probability=0.5 .* while augment is none"),
    ({"augment_target": 0.6}, "augment_target=0.6 .* while augment is none"),
]


def test_each_option_that_has_a_switch_is_tried_without_it():
    assert {next(iter(values)) for values, _ in SWITCHED_OFF} == {*SWITCHES}


@pytest.mark.parametrize(("values", "named"), SWITCHED_OFF)
def test_an_option_whose_switch_is_off_is_refused(values, named, tmp_path):
    with pytest.raises(BadInput, match=named):
        launch.start("gan", "ring8", tmp_path / "r", steps=2, values={**GAN, **values})


def test_a_field_of_the_config_that_is_never_read_is_refused(tmp_path):
    wide = {"width": 8, "batch_size": 8}
    match = "width=8 has no effect in this run: cgan does not read it with these settings; leave it"
    with pytest.raises(BadInput, match=match):
        launch.start("cgan", "digits", tmp_path / "r", steps=2, values=wide)
    small = {**wide, "network": "conv"}
    launch.start("cgan", "digits", tmp_path / "r", steps=2, values=small, device="cpu")
    # Of a recipe it is no error, as a recipe may come from an earlier version.
    launch.start("cgan", "digits", tmp_path / "s", steps=2, inherited=wide, device="cpu")


@pytest.mark.parametrize(
    ("family", "data", "unread", "others"),
    [
        ("vae", "digits", {"coupling_width": 3}, {}),
        ("wgan-gp", "digits", {"critic_norm": "layer"}, {"size": 8}),
        ("pix2pix", "digits@edges", {"dropout": 0.1}, {"network": "authors", "size": 32}),
    ],
)
def test_a_field_that_nothing_is_built_of_is_refused(tmp_path, family, data, unread, others):
    values = {**unread, **others, "width": 4, "batch_size": 4}
    with pytest.raises(BadInput, match=f"{next(iter(unread))}=.* has no effect in this run"):
        launch.start(family, data, tmp_path / "r", steps=2, values=values, device="cpu")


def test_a_field_that_only_sampling_reads_is_read(tmp_path):
    small = {"steps": 3, "width": 8, "batch_size": 4}
    launch.start("flow-matching", "digits", tmp_path / "r", steps=2, values=small, device="cpu")


# One value beside the default of each option; what else it needs to act.
MOVES = {
    "batch_size": 4, "optimizer": "sgd", "lr": 1e-2, "beta1": 0.1, "beta2": 0.5, "warmup": 0.5,
    "lr_decay_start": 0.5, "lr_inverse_decay": 0.1, "gradient_clip": 0.1, "ema_decay": 0.5,
    "horizontal_flip": True, "loss": "hinge", "discriminator_lr": 1e-2,
    "discriminator_lr_inverse_decay": 0.1, "discriminator_steps": 2, "generator_steps": 2,
    "discriminator_warmup_steps": 3,
    "penalty": "r1", "weight_clip": 0.1, "orthogonal_weight": 0.1, "top_k": 0.5,
    "label_smoothing": 0.1, "soft_labels": True, "label_noise": 0.1, "instance_noise": 0.1,
    "augment": "color", "freeze": "layers.0",
}  # fmt: skip
NEEDS = {
    "rms_decay": {"rms_decay": 0.5, "optimizer": "rmsprop"},
    "momentum": {"momentum": 0.5, "optimizer": "sgd"},
    "penalty_weight": {"penalty_weight": 3.0, "penalty": "r1"},
    "penalty_interval": {"penalty_interval": 3, "penalty": "gradient"},
    "instance_noise_until": {"instance_noise_until": 0.5, "instance_noise": 0.2},
    "augment_probability": {"augment_probability": 0.5, "augment": "color"},
    "augment_target": {"augment_target": 0.6, "augment": "color"},
}


def test_every_option_of_a_game_is_read_where_it_acts(tmp_path):
    cases = {name: {name: value} for name, value in MOVES.items()} | NEEDS
    assert cases.keys() == AdversarialOptions.model_fields.keys()
    small = {**SIZE, "width": 4, "dense_units": [8], "batch_size": 8}
    for values in cases.values():
        launch.start(
            "dcgan", "digits", tmp_path / "r", steps=4, values={**small, **values}, force=True
        )


def test_a_recipe_with_such_a_value_is_repeated_with_a_warning(tmp_path, caplog, capsys):
    values = {**GAN, "penalty_weight": 3.0}
    run = launch.start("gan", "ring8", tmp_path / "r", steps=2, inherited=values, device="cpu")
    message = "penalty_weight=3.0 has no effect in this run: nothing reads it while penalty is none"
    assert caplog.messages == [message]
    run.go()
    again = ["train", "--recipe", str(tmp_path / "r"), "--out", str(tmp_path / "again")]
    assert cli.run([*again, "--set", "lr=0.01"]) == 0
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [message, message]
    assert cli.run([*again, "--force", "--set", "penalty_weight=4"]) == 2
    assert "penalty_weight=4.0 has no effect" in capsys.readouterr().err


def test_the_estimate_refuses_the_same(tmp_path, capsys):
    words = ["train", "gan", "--data", "ring8", "--dry-run", "--set", "momentum=0.5"]
    assert cli.run(words) == 2
    assert "momentum=0.5 has no effect" in capsys.readouterr().err


@pytest.mark.parametrize("values", [SIZE, VALUES])
def test_a_rehearsal_builds_one_trainer(values, tmp_path, monkeypatch):
    """Of a big model, each takes seconds and memory."""
    built, build = [], runs._trainer
    monkeypatch.setattr(runs, "_trainer", lambda *parts: built.append(0) or build(*parts))
    started(tmp_path / "r", values=values)
    assert len(built) == 2, "one of the rehearsal, one of the run"


def test_a_rehearsal_leaves_no_trace(tmp_path, monkeypatch):
    """The run that follows is the run without it, to the last bit."""
    ends = []
    for name in ("with", "without"):
        if name == "without":
            monkeypatch.setattr(launch, "rehearse", lambda *_: None)
        started(tmp_path / name).go()
        ends.append(load_file(tmp_path / name / "model.safetensors"))
    assert all(torch.equal(tensor, ends[1][key]) for key, tensor in ends[0].items())
    assert lines(tmp_path / "with") == lines(tmp_path / "without")


def test_a_run_that_diverges_at_once_says_so_itself(tmp_path, monkeypatch):
    """The rehearsal leaves it to the run, which names its checkpoint and the option to lower."""
    module = sys.modules[families.get("twophase").model.__module__]
    monkeypatch.setattr(
        module.TwoPhases, "error", lambda self, batch: (self.whole.coder["last"].bias.sum() / 0, {})
    )
    run = started(tmp_path / "r")
    with pytest.raises(Diverged, match="the run diverged: coder at step 0"):
        run.go()
