"""The training monitor: each rule on a short faulty run and on a healthy one; no trace."""

import ast
import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from genzoo import schemas
from genzoo.models.sampler import Latent
from genzoo.options import AdversarialOptions, Options
from genzoo.runs import launch, plan
from genzoo.runs import run as run_folder
from genzoo.training import (
    EMA,
    Adversarial,
    Batch,
    LossTrainer,
    TrainingMonitor,
    fit,
    monitor,
    parallel,
)
from genzoo.training.monitor import RULES

POINTS = {"lr": 1e-3, "dropout": 0.0, "batch_size": 16}
POINTS |= {"generator_units": 8, "discriminator_units": 8}
CRITIC = {"width": 8, "batch_size": 16, "discriminator_steps": 1}
PICTURES = {"size": 8, "channels": 1, "width": 4, "dense_units": [8], "batch_size": 16}
# A discriminator that learns, against a generator that hardly does.
LOST = {**POINTS, "lr": 1e-6, "discriminator_lr": 0.05}


@pytest.fixture
def hasty(monkeypatch):
    """A monitor that checks at every twentieth step: faults show soon enough."""
    monkeypatch.setattr(monitor, "EVERY", 20)


def planned(family, named, steps, values):
    setup = plan.plan(family, named, values)
    record = plan.make_plan(family, named, setup, steps=steps, device="cpu")
    return run_folder.Run(record, setup.dataset, Path())


def watched(family, named, steps, values, change=lambda run: None, look=True):
    """A run, after ``steps``, and the warnings of its monitor."""
    run, said = planned(family, named, steps, values), []
    change(run)
    for batch, logs in fit(run.trainer, run.loader.batches(), steps):
        said += run.monitor.check(batch.step + 1, logs, batch) if look else []
    for finding in said:
        check_advice(finding, run.family, run.plan.options)
    return run, said


def check_advice(finding, family, options):
    """What a sentence says to type is taken, and changes something."""
    advice = [*map(ast.literal_eval, re.findall(r"settings=(\{.*?\})", finding.text))]
    assert advice, finding.text
    for name, value in (pair for one in advice for pair in one.items()):
        assert options[name] != value
        schemas.checked(family.options, {**options, name: value}, "advice")


def rules(said):
    return [finding.rule for finding in said]


def course(run, rule):
    """Looks in a row with a fault, and without one; whether the rule has spoken."""
    return tuple(run.monitor.state_dict()["course"][rule])


# ------------------------------------------------------------------------------------ what is well


def test_a_healthy_run_of_pictures():
    """Every rule has something to say of it, and says that all is well."""
    values = {**PICTURES, "ema_decay": 0.9, "penalty": "r1", "penalty_interval": 10}
    run, said = watched("dcgan", "digits", 200, values)
    assert said == []
    assert {rule: course(run, rule) for rule in RULES} == dict.fromkeys(RULES, (0, 2, False))


def test_a_healthy_run_of_points():
    run, said = watched("gan", "ring8", 200, POINTS)
    assert said == []
    assert course(run, "saturated discriminator") == (0, 2, False)
    assert course(run, "collapsed variety") == (0, 2, False)
    assert course(run, "train-eval gap") == (0, 0, False)


# --------------------------------------------------------------------------------------- saturated


def test_a_discriminator_that_has_won(hasty):
    _, said = watched("gan", "ring8", 100, LOST)
    (finding,) = [f for f in said if f.rule == "saturated discriminator"]
    assert finding.step == 80
    numbers = (
        r"over steps 61 to 80 the .* accuracy was 1\.000, D\(x\) 1\.000 and D\(G\(z\)\) 0\.000"
    )
    assert re.match(numbers, finding.text)
    assert finding.text.endswith(
        "try settings={'discriminator_lr': 0.0125} or settings={'penalty': 'r1'}"
    )


def test_a_critic_is_no_judge_of_odds(hasty):
    """Its accuracy is 1 and the sigmoids of its scores are 1 and 0: nothing follows from it."""
    values = {**CRITIC, "penalty": "none", "discriminator_lr": 0.05, "lr": 1e-3}
    run, said = watched("wgan-gp", "ring8", 100, values)
    assert said == []
    assert course(run, "saturated discriminator") == (0, 0, False)


WON = {"accuracy": 1.0, "D(x)": 1.0, "D(G(z))": 1e-4}
OPEN = {"accuracy": 0.8, "D(x)": 0.7, "D(G(z))": 0.3}


@pytest.mark.parametrize("told", [{"D(x)": 14.0, "D(G(z))": -9.0}, {"wasserstein": 3.0}])
def test_anothers_critic_is_none_either(scripted, told):
    """Under options that say nothing of a loss."""
    assert scripted([{**WON, **told}] * 500) == []


def test_the_loss_alone_says_what_is_a_critic(scripted):
    assert scripted([WON] * 300, AdversarialOptions()) == [300]
    assert scripted([WON] * 300, AdversarialOptions(loss="wasserstein")) == []


@pytest.mark.parametrize("name", ["accuracy", "D(G(z))"])
def test_either_sign_alone_is_none(scripted, name):
    assert scripted([{**WON, name: OPEN[name]}] * 500) == []


# --------------------------------------------------------------------------------------- collapsed


def test_a_generator_that_ignores_its_code(hasty):
    def deaf(run):
        nn.init.zeros_(run.trainer.model.layers[0].weight).requires_grad_(False)

    _, said = watched("gan", "ring8", 120, POINTS, deaf)
    assert [(f.rule, f.step) for f in said] == [("collapsed variety", 100)]
    assert "samples of 16 different codes lie 0 times as far apart as 16 real ones" in said[0].text
    assert "within" not in said[0].text


class Points(Latent):
    """Codes in the plane, turned a little."""

    latent_dim, kind, shape, value_range = 2, "points", (2,), None

    def __init__(self, config=None):
        super().__init__(config)
        self.layer = nn.Linear(2, 2)

    def decode(self, code, labels=None, noise=None):
        return self.layer(code)


def test_few_things_drawn_over_and_over(attended):
    """They lie as far apart as data do: but each has its like."""

    class Corners(Points):
        def decode(self, code, labels=None, noise=None):
            return self.layer(code.sign())

    assert attended(Corners()) == [("collapsed variety", 500)]
    assert attended(Points()) == []


@pytest.mark.parametrize(("width", "apart"), [(0.0, 5.0), (1.0, 5.0), (0.0, 0.0)])
def test_classes_that_differ_are_no_variety(attended, width, apart):
    class Classes(Points):
        num_classes = 14

        def decode(self, code, labels=None, noise=None):
            return apart * labels[:, None] + width * self.layer(code)

    collapsed = [("collapsed variety", 500)]
    pairs_and_single_ones = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3, *range(4, 14)])
    found = attended(Classes(), labels=pairs_and_single_ones, n=18)
    assert found == collapsed * (not width)
    # Where all are of different classes, the variety over the classes is all there is.
    assert attended(Classes(), labels=torch.arange(14), n=14) == collapsed * (not width + apart)
    # And where there are only a few, they say nothing.
    assert attended(Classes(), labels=torch.arange(14), n=4) == []


# --------------------------------------------------------------------------------- missing penalty


def test_a_penalty_that_is_dropped(monkeypatch, hasty):
    monkeypatch.setattr(Adversarial, "_with_penalty", lambda self, loss, logs, *more: (loss, logs))
    _, said = watched("gan", "ring8", 60, {**POINTS, "penalty": "r1"})
    assert [(f.rule, f.step) for f in said] == [("missing penalty", 20)]
    assert said[0].text.startswith("over steps 1 to 20 the penalty r1 of weight 10")
    assert "Adversarial" in said[0].text


def test_a_penalty_that_is_zero(hasty):
    def flat(run):
        nn.init.zeros_(run.trainer.discriminator.head.weight).requires_grad_(False)

    _, said = watched("gan", "ring8", 20, {**POINTS, "penalty": "r1"}, flat)
    assert rules(said) == ["missing penalty"]
    assert "was 0 all 20 times" in said[0].text
    _, said = watched("gan", "ring8", 20, {**POINTS, "penalty": "gradient"}, flat)
    assert said == []  # a flat discriminator's is 1


@pytest.mark.parametrize(("interval", "well"), [(1, 3), (7, 3), (30, 2)])
def test_a_penalty_that_is_there(hasty, interval, well):
    """Where it is due at steps 0 and 30 alone, nothing can be said of 40 to 59."""
    run, said = watched("wgan-gp", "ring8", 60, {**CRITIC, "penalty_interval": interval})
    assert said == []
    assert course(run, "missing penalty") == (0, well, False)


# ----------------------------------------------------------------------------------- stale average


def test_an_average_that_stands_still(monkeypatch, hasty):
    monkeypatch.setattr(EMA, "_update_average", lambda self, decay: None)
    _, said = watched("gan", "ring8", 60, {**POINTS, "ema_decay": 0.99})
    assert [(f.rule, f.step) for f in said] == [("stale average", 40)]
    assert "at step 40 6 of the 6 tensors" in said[0].text
    assert said[0].text.endswith("try settings={'ema_decay': 0.0}")


def test_an_average_without_its_buffers(monkeypatch, hasty):
    """The fault of averages that take parameters alone: told, and seen in what it draws."""

    def follow(self, decay):
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.inner.model.parameters(), strict=True)
            for kept, now in pairs:
                kept.lerp_(now, 1 - decay)

    monkeypatch.setattr(EMA, "_update_average", follow)
    _, said = watched("dcgan", "digits", 60, {**PICTURES, "ema_decay": 0.9})
    assert rules(said) == ["stale average", "train-eval gap"]
    assert "(layers.1.running_mean the first)" in said[0].text


@pytest.mark.parametrize("decay", [0.5, 0.99999])
def test_an_average_that_follows(hasty, decay):
    run, said = watched("gan", "ring8", 60, {**POINTS, "ema_decay": decay})
    assert said == []
    assert course(run, "stale average") == (0, 3, False)


# ---------------------------------------------------------------------------------- train-eval gap


def test_statistics_that_do_not_run(hasty):
    def still(run):
        for norm in run.trainer.model.modules():
            if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
                norm.momentum = 0.0
                norm.running_mean += 2

    _, said = watched("dcgan", "digits", 60, PICTURES, still)
    assert [(f.rule, f.step) for f in said] == [("train-eval gap", 40)]
    assert "average" not in said[0].text


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_statistics_are_the_gap_and_nothing_else(attended, shift):
    """What a model does otherwise in training, dropout say, is its own affair."""

    class Otherwise(nn.Module):
        def forward(self, x):
            return x + 9 if self.training else x

    class Normed(Points):
        def __init__(self):
            super().__init__()
            self.norm, self.last = nn.BatchNorm1d(2), Otherwise()
            self.norm.running_mean += shift

        def decode(self, code, labels=None, noise=None):
            return self.last(self.norm(code))

    assert attended(Normed()) == [("train-eval gap", 200)] * bool(shift)


def test_a_gap_that_nobody_sees_is_none(attended):
    class Faint(Points):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(2)
            self.norm.running_mean += 3

        def decode(self, code, labels=None, noise=None):
            return self.norm(code) / 500

    assert attended(Faint()) == [("collapsed variety", 500)]


# -------------------------------------------------------------------------------------- no trace


@pytest.mark.parametrize(
    ("family", "values"),
    [
        ("dcgan", {**PICTURES, "ema_decay": 0.9}),
        ("cgan", {**PICTURES, "network": "conv"}),
        ("sagan", {"size": 16, "channels": 1, "width": 4, "batch_size": 8}),
        ("gan", {"generator_units": 8, "discriminator_units": 8, "batch_size": 16}),
    ],
)
def test_no_trace_on_what_is_watched(family, values, hasty):
    """Batch norm, spectral norm, dropout, an average: the same bits, modes and generator."""
    torch.manual_seed(3)
    found = []
    for look in (False, True):
        before = torch.get_rng_state()
        run, _ = watched(family, "digits", 41, values, look=look)
        assert torch.equal(before, torch.get_rng_state())
        networks = [*run.trainer.networks().values(), run.trainer.model]
        parameters = [p for n in networks for p in n.parameters()]
        assert all(p.grad is None for p in parameters)
        facts = [p.requires_grad for p in parameters]
        facts += [m.training for n in networks for m in n.modules()]
        found.append((flat(run.trainer.parts()), facts))
    assert course(run, "collapsed variety")[:2] != (0, 0), "the monitor has not checked"
    (one, facts), (two, others) = found
    assert facts == others
    assert one.keys() == two.keys()
    assert all(torch.equal(one[k], two[k]) for k in one)


def flat(parts):
    """All tensors of a trainer's parts, by name."""
    found = {}

    def add(name, value):
        if isinstance(value, torch.Tensor):
            found[name] = value
        elif isinstance(value, dict):
            for key, inner in value.items():
                add(f"{name}/{key}", inner)

    for name, part in parts.items():
        add(name, copy.deepcopy(part.state_dict()))
    return found


# --------------------------------------------------------------------------------- when it speaks


def idle(model, options, labels=None, n=16):
    """A monitor whose trainer learns nothing here, and a batch."""
    trainer = LossTrainer(model, lambda batch: (batch.x.mean(), {}), options)
    x = torch.randn(n, 2, generator=torch.Generator().manual_seed(0))
    return TrainingMonitor(trainer, options), Batch(x, None if labels is None else labels[:n])


@pytest.fixture
def attended(hasty):
    """What is said of a model, without learning; as if it looked at every hundredth step."""

    def attend(model, **batch):
        watch, data = idle(model, Options(), **batch)
        return [(f.rule, 5 * step) for step in range(1, 121) for f in watch.check(step, {}, data)]

    return attend


@pytest.fixture
def scripted():
    """What is said of given logs of a discriminator, a dict for each step."""

    def play(script, options=None):
        watch, batch = idle(Points(), options or Options())
        said = []
        for step, told in enumerate(script, 1):
            logs = {f"discriminator/{k}": torch.tensor(v) for k, v in told.items()}
            said += watch.check(step, logs, batch)
        return [finding.step for finding in said]

    return play


def test_a_rule_speaks_once_and_again_after_a_recovery(scripted):
    script = [*[WON] * 600, *[OPEN] * 200, *[WON] * 400, *[OPEN] * 300, *[WON] * 900]
    # The first recovery, of two looks, is none; after the second, the third look in a row speaks.
    assert scripted(script) == [300, 1800]


def test_a_fault_with_a_break_is_none(scripted):
    assert scripted([*[WON] * 250, *[OPEN] * 10, *[WON] * 300]) == []


def test_a_penalty_is_asked_for_where_it_is_due(scripted):
    """At steps 0, 150 and 300: the second window says nothing, the fourth that it is gone."""
    options = AdversarialOptions(penalty="r1", penalty_interval=150)
    script = [{"penalty": 1.0}, *[{}] * 149, {"penalty": 1.0}, *[{}] * 249]
    assert scripted(script, options) == [400]


def test_only_the_first_process_speaks(scripted, monkeypatch):
    monkeypatch.setattr(parallel, "rank", lambda: 1)
    assert scripted([WON] * 500) == []


def test_no_rule_ends_a_run(caplog, hasty):
    """Logs and models that nobody expects: a rule that fails says so once, and is left out."""

    class Odd(Points):
        def decode(self, code, labels=None, noise=None):
            raise RuntimeError("not today\nnor tomorrow")

    watch, batch = idle(Odd(), AdversarialOptions(penalty="r1", ema_decay=0.5))
    odd = {"discriminator/accuracy": "high", "discriminator/D(x)": torch.ones(3), 7: None}
    odd |= {"discriminator/D(G(z))": torch.tensor(True), "penalty": 3.0}
    found = [f for step in range(1, 101) for f in watch.check(step, odd, batch)]
    assert rules(found) == ["missing penalty"]
    assert caplog.messages == [
        f"check {rule!r} is disabled for the rest of this run: RuntimeError: not today"
        for rule in ("collapsed variety", "train-eval gap")
    ]


@pytest.mark.parametrize("where", ["0.weight", "1.running_mean"])
def test_of_numbers_that_are_none_nothing_is_said(attended, caplog, where):
    model = Points()
    model.layer = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    model.layer.state_dict()[where].fill_(float("nan"))
    assert attended(model) == []
    assert caplog.messages == []


def test_data_that_are_all_alike_say_nothing(hasty, caplog):
    model = Points()
    model.layer = nn.BatchNorm1d(2)
    model.layer.running_mean += 3
    watch, _ = idle(model, Options())
    alike = Batch(torch.ones(16, 2))
    assert [f for step in range(1, 121) for f in watch.check(step, {}, alike)] == []
    assert caplog.messages == []


# ------------------------------------------------------------------------------------------- runs


def test_a_run_writes_down_what_was_found(tmp_path, caplog, hasty):
    """And one that was stopped, before the finding and after it, ends with the same log."""
    asked = {"steps": 90, "values": LOST, "device": "cpu", "grid_every": 90}
    launch.start("gan", "ring8", tmp_path / "straight", **asked).go()
    (said,) = [m for m in caplog.messages if "is winning" in m]
    lines = (tmp_path / "straight/run/log.jsonl").read_text().splitlines()
    (told,) = [row for row in map(json.loads, lines) if row.get("finding", "").startswith("satu")]
    assert told == {"step": 80, "finding": "saturated discriminator", "text": said}
    assert json.loads(lines[lines.index(json.dumps(told)) - 1])["step"] == 80

    run = launch.start("gan", "ring8", tmp_path / "stopped", checkpoint_every=5, **asked)
    for stop in (35, 85):
        with pytest.raises(RuntimeError, match="stop"):
            run.go(lambda p, stop=stop: _stop(p.step > stop))
        run = launch.resume(tmp_path / "stopped")
        assert run.start == stop
    run.go()
    assert (tmp_path / "stopped/run/log.jsonl").read_text().splitlines() == lines


def _stop(now):
    if now:
        raise RuntimeError("stop")


def test_a_checkpoint_without_a_monitor_resumes(tmp_path, hasty):
    """As earlier versions wrote them: what the lost part of a window held is not guessed."""
    values = {**POINTS, "penalty": "r1", "penalty_interval": 14}
    asked = {"steps": 30, "values": values, "checkpoint_every": 15, "grid_every": 30}
    run = launch.start("gan", "ring8", tmp_path / "r", device="cpu", **asked)
    run.go()
    path = tmp_path / "r/run/checkpoints/00000015.pt"
    state = torch.load(path, weights_only=True)
    del state["monitor"]
    torch.save(state, path)
    path.with_name("00000030.pt").unlink()
    run = launch.resume(tmp_path / "r")
    assert run.start == 15
    run.go()
    assert "finding" not in (tmp_path / "r/run/log.jsonl").read_text()


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals here")
def test_the_sentence_is_on_the_terminal(tmp_path):
    """On a line of its own, where the ticker's stood."""
    values = [f"--set={name}={value}" for name, value in LOST.items()]
    hasty = "import genzoo.cli; from genzoo.training import monitor; monitor.EVERY = 20"
    command = [sys.executable, "-c", f"{hasty}; genzoo.cli.main()", "train", "gan"]
    mine, theirs = os.openpty()
    with subprocess.Popen(
        [
            *command,
            *values,
            "--data=ring8",
            "--steps=90",
            "--grid-every=90",
            "--threads=1",
            f"--out={tmp_path / 'r'}",
        ],
        stdout=subprocess.PIPE,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        seen = b""
        while part := _read(mine):
            seen += part
    os.close(mine)
    assert process.returncode == 0, seen
    shown = seen.decode()
    assert shown.count("is winning") == 1
    assert re.search(r"\r\x1b\[Kgenzoo: over steps 61 to 80 the .*is winning.*\r\n", shown)


def _read(terminal):
    try:
        return os.read(terminal, 65_536)
    except OSError:  # how Linux says that the other end is closed
        return b""


def test_every_rule_is_in_the_guide():
    guide = (Path(__file__).parents[1] / "docs" / "guide.md").read_text()
    assert [rule for rule in RULES if f"\n| {rule} |" not in guide] == []
