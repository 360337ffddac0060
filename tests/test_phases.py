"""Runs of several parts: schedules, networks that begin later, averages, and resuming in each."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from genzoo.errors import BadInput, OperationFailed
from genzoo.models.randomness import Noise
from genzoo.models.sampler import Latent
from genzoo.options import AdversarialOptions, Options
from genzoo.training import (
    EMA,
    Adversarial,
    Batch,
    LossTrainer,
    Phase,
    RunSettings,
    Trainer,
    TrainingMonitor,
    fit,
    make_player,
    phase_starts,
)

TWO = (Phase("codes", 0.3), Phase("prior", 0.7))


class Coder(Latent):
    """An autoencoder of 2 numbers, and a prior that shifts and scales its codes."""

    latent_dim, shape, value_range = 2, (2,), None

    def __init__(self):
        super().__init__(None)
        self.first, self.last = nn.Linear(2, 2), nn.Linear(2, 2)
        self.prior = nn.Linear(2, 2)
        self.register_buffer("grown", torch.zeros((), dtype=torch.int64))

    def decode(self, code, labels=None):
        return self.last(self.prior(code) if self.grown else code)


class TwoPhases(Trainer):
    """Learns the codes, then a prior on them, which begins with new weights."""

    phases = TWO

    def __init__(self, model, options):
        players = {
            "coder": make_player(nn.ModuleList([model.first, model.last]), options),
            "prior": make_player(model.prior, options),
        }
        super().__init__(model, players)
        self.coder, self.begun = model, []

    def begin(self, phase):
        self.begun.append(phase)
        if phase == "prior":
            self.coder.grown += 1
            self.coder.prior.reset_parameters()
            self.renew("prior")

    def step(self, batch):
        if batch.phase == "codes":
            return self.update("coder", self._error, batch)
        return self.update("prior", self._distance, batch)

    def _error(self, batch):
        return (self.coder.last(self.coder.first(batch.x)) - batch.x).square().mean(), {}

    def _distance(self, batch):
        with torch.no_grad():
            codes = self.coder.first(batch.x)
        drawn = self.coder.prior(batch.noise("prior").normal(2))
        apart = (drawn.mean(0) - codes.mean(0)).square() + (drawn.std(0) - codes.std(0)).square()
        return apart.mean(), {}


def trainer_of(average=0.0, **options):
    torch.manual_seed(0)
    trainer = TwoPhases(Coder(), Options(**options))
    trainer = EMA(trainer, average) if average else trainer
    trainer.prepare(RunSettings())
    return trainer


def batches(steps, start=0):
    for step in range(start, steps):
        x = Noise(1, range(8), f"data {step}").normal(2) + 2
        yield Batch(x, step=step, progress=step / steps, seed=4)


def state_of(trainer):
    return copy.deepcopy({name: part.state_dict() for name, part in trainer.parts().items()})


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


# ----------------------------------------------------------------------------------------- division


@pytest.mark.parametrize("steps", [2, 3, 7, 10, 99, 1200])
@pytest.mark.parametrize("shares", [(0.3, 0.7), (2 / 3, 1 / 3), (0.1, 0.2, 0.7), (0.5, 0.5)])
def test_each_step_is_in_one_phase_and_progress_begins_at_0(steps, shares):
    phases = [Phase(f"phase {i}", share) for i, share in enumerate(shares)]
    if steps < 2 * len(shares):
        return
    starts = phase_starts(phases, steps)
    trainer = trainer_of()
    trainer.phases = phases
    placed = [
        trainer.placed(Batch(torch.zeros(1), step=step, progress=step / steps))
        for step in range(steps)
    ]
    assert [batch.phase for batch in placed] == sorted(batch.phase for batch in placed)
    for name, start in starts.items():
        mine = [batch for batch in placed if batch.phase == name]
        assert {batch.phase_start for batch in mine} == {start}
        assert mine[0].step == start
        progress = [batch.progress for batch in mine]
        assert progress == sorted(progress)
        assert 0 <= progress[0] <= 1 / len(mine)
        assert progress[-1] < 1


def test_one_phase_changes_no_batch():
    batch = Batch(torch.zeros(1), step=7, progress=1 / 3, seed=2)
    trainer = trainer_of()
    trainer.phases = Trainer.phases
    assert trainer.placed(batch) == replace(batch, phase="training")


@pytest.mark.parametrize("shares", [(0.5, 0.4), (1.5, -0.5), (1.0, 0.0)])
def test_shares_sum_to_one(shares):
    with pytest.raises(BadInput, match="the shares of the phases must be above 0 and sum to 1"):
        phase_starts([Phase("a", shares[0]), Phase("b", shares[1])], 10)


def test_names_differ():
    with pytest.raises(BadInput, match="each phase needs a name of its own"):
        phase_starts([Phase("a", 0.5), Phase("a", 0.5)], 10)


def test_each_phase_needs_a_step():
    with pytest.raises(BadInput, match="1 steps are too few: each of the phases codes, prior"):
        phase_starts(TWO, 1)


# ------------------------------------------------------------------------------------------ running


def test_a_run_goes_through_its_phases():
    trainer = trainer_of()
    places = [(b.phase, b.phase_start, [*logs]) for b, logs in fit(trainer, batches(10), 10)]
    coder, prior = (
        [f"{name}/{key}" for key in ("loss", "gradient")] for name in ("coder", "prior")
    )
    assert places == [("codes", 0, coder)] * 3 + [("prior", 3, prior)] * 7
    assert trainer.begun == ["codes", "prior"]


def test_each_phase_has_its_own_schedule():
    """The rate rises and falls in each phase, and the inverse decay counts from its start."""
    options = {"lr": 0.1, "warmup": 0.5, "lr_decay_start": 0.5, "lr_inverse_decay": 0.5}
    trainer, rates = trainer_of(**options), []
    for batch, _ in fit(trainer, batches(20), 20):
        player = trainer.players["coder" if batch.phase == "codes" else "prior"]
        rates.append(player.optimizer.param_groups[0]["lr"])
    for mine in (rates[:6], rates[6:]):
        n = len(mine)
        hat = [min(1, 2 * k / n) * min(1, 2 - 2 * k / n) / (1 + k / 2) for k in range(n)]
        assert mine == pytest.approx([0.1 * factor for factor in hat])


def test_an_optimiser_begins_anew():
    trainer = trainer_of()
    list(fit(trainer, batches(10), 10))
    assert trainer.players["prior"].optimizer.state
    trainer.renew("prior")
    assert not trainer.players["prior"].optimizer.state


def test_what_a_phase_draws_depends_on_the_seed_alone():
    ends = []
    for seed in (1, 2):
        trainer = trainer_of()
        torch.manual_seed(seed)
        list(fit(trainer, batches(10), 10))
        ends.append(state_of(trainer))
    assert same(*ends)


@pytest.mark.parametrize("average", [0.0, 0.9])
@pytest.mark.parametrize("stop", range(1, 10))
def test_resumes_bit_for_bit_in_every_phase(stop, average):
    straight, stopped, resumed = (trainer_of(average, ema_decay=average) for _ in range(3))
    list(fit(straight, batches(10), 10))
    list(zip(range(stop), fit(stopped, batches(10), 10), strict=False))
    resumed.restore(state_of(stopped), stop, 10, seed=4)
    assert same(state_of(resumed), state_of(stopped))
    list(fit(resumed, (b for b in batches(10) if b.step >= stop), 10, start=stop))
    assert same(state_of(resumed), state_of(straight))


def test_tensors_of_no_player_are_part_of_the_state():
    """The buffer that says how far the model has grown belongs to no player's network."""
    trainer = trainer_of()
    list(fit(trainer, batches(10), 10))
    assert trainer.parts()["model"].state_dict()["grown"] == 1
    average = trainer_of(0.5)
    list(fit(average, batches(10), 10))
    assert average.parts()["model"] is average.inner.model
    assert average.model.grown == 1


# ----------------------------------------------------------------------------------------- averages


def test_a_phase_starts_from_the_average_of_the_one_before():
    average = trainer_of(0.9)
    steps = fit(average, batches(10), 10)
    for _ in range(3):
        next(steps)
    before = copy.deepcopy(average.average.state_dict())
    assert not torch.equal(before["first.weight"], average.inner.model.first.weight)
    next(steps)
    for weight in (average.inner.model.first.weight, average.average.first.weight):
        assert torch.allclose(weight, before["first.weight"], atol=1e-7)


def test_the_average_of_a_phase_begins_anew():
    """With the low decays of a beginning: after one step of the prior it has moved by 0.9."""
    average = trainer_of(0.999)
    steps = fit(average, batches(100), 100)
    for batch, _ in steps:
        if batch.step == 29:
            break
    averaged, inner = average.average.prior, average.inner.model.prior
    states = []
    begin = average.inner.begin
    average.inner.begin = lambda phase: (
        begin(phase),
        states.append(inner.weight.detach().clone()),
    )
    next(steps)
    expected = states[0].lerp(inner.weight, 0.9)
    assert torch.allclose(averaged.weight, expected, atol=1e-6)


# ----------------------------------------------------------------------------------------- wrapping


class Growing(Trainer):
    """Wraps another trainer, for phases of its own."""

    phases = (Phase("small", 0.5), Phase("large", 0.5))

    def __init__(self, inner):
        super().__init__(inner.model, inner.players, inner=inner)
        self.sizes = []

    def step(self, batch):
        self.sizes.append(batch.phase)
        return self.inner.step(replace(batch, phase="codes"))


def test_a_trainer_may_wrap_another():
    trainer = EMA(Growing(trainer_of()), 0.5)
    settings = RunSettings(micro_batches=2)
    trainer.prepare(settings)
    assert trainer.inner.settings is trainer.inner.inner.settings is settings
    list(fit(trainer, batches(4), 4))
    assert trainer.inner.sizes == ["small", "small", "large", "large"]


# ------------------------------------------------------------------------------------------ monitor


def checked_logs(monitor, phases, logs):
    """What the monitor says of the same logs at each step, whose phases are given."""
    x = torch.zeros(4, 2)
    return [
        finding
        for step, phase in enumerate(phases, 1)
        for finding in monitor.check(
            step, logs.get(phase, {}), Batch(x, step=step - 1, phase=phase)
        )
    ]


def watch(options=None):
    trainer = trainer_of()
    trainer.phases = TWO
    return TrainingMonitor(trainer, options or Options())


def test_the_monitor_begins_anew_in_a_phase():
    """A fault of 250 steps and one of 250 steps are not one of three checks in a row."""
    won = {"accuracy": 1.0, "D(x)": 1.0, "D(G(z))": 1e-4}
    logs = {f"discriminator/{name}": torch.tensor(value) for name, value in won.items()}
    both = {"codes": logs, "prior": logs}
    one = checked_logs(watch(), ["codes"] * 500, both)
    assert [finding.step for finding in one] == [300]
    assert checked_logs(watch(), ["codes"] * 250 + ["prior"] * 250, both) == []


def test_a_resumed_monitor_knows_its_phase():
    monitor, resumed = watch(), watch()
    checked_logs(monitor, ["codes"] * 150, {"codes": {"discriminator/loss": torch.tensor(1.0)}})
    resumed.load_state_dict(monitor.state_dict())
    checked_logs(resumed, ["codes"], {})
    assert resumed.state_dict()["seen"] == 51


def test_a_resumed_monitor_knows_what_is_off_and_what_the_average_was():
    monitor = watch(AdversarialOptions(penalty="r1"))
    monitor._off.add("missing penalty")
    monitor._before = {"weight": torch.ones(2)}
    resumed = watch(AdversarialOptions(penalty="r1"))
    resumed.load_state_dict(monitor.state_dict())
    assert torch.equal(resumed.state_dict()["before"]["weight"], torch.ones(2))
    game = {"discriminator/loss": torch.tensor(1.0)}
    assert checked_logs(resumed, ["codes"] * 100, {"codes": game}) == []
    old = {k: v for k, v in monitor.state_dict().items() if k not in ("off", "before")}
    resumed.load_state_dict(old)  # of an earlier version


def test_a_phase_without_a_discriminator_misses_no_penalty():
    options = AdversarialOptions(penalty="r1")
    game = {"discriminator/loss": torch.tensor(1.0)}
    found = checked_logs(watch(options), ["codes"] * 100, {"codes": game})
    assert [finding.rule for finding in found] == ["missing penalty"]
    assert checked_logs(watch(options), ["codes"] * 100, {}) == []


@pytest.mark.parametrize("closed", [Adversarial, LossTrainer, EMA])
def test_a_final_trainer_has_no_subclass(closed):
    with pytest.raises(TypeError, match=f"Mine: {closed.__name__} is final.*inner=other"):
        type("Mine", (closed,), {})


def test_a_trainer_that_hides_another_one_is_refused():
    """Without ``inner`` the run's settings do not reach the other, and its extras are not saved."""
    inner = TwoPhases(Coder(), Options())

    class Hides(Trainer):
        def __init__(self, told):
            super().__init__(inner.model, inner.players, inner=inner if told else None)
            self.other = inner

        def step(self, batch):
            return self.other.step(batch)

    with pytest.raises(OperationFailed, match=r"Hides wraps another trainer.*inner=other"):
        Hides(False).prepare(RunSettings())
    with pytest.raises(OperationFailed, match="Hides"):
        EMA(Hides(False), 0.9).prepare(RunSettings())
    Hides(True).prepare(RunSettings(micro_batches=2))
    assert inner.settings.micro_batches == 2
