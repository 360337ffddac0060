"""The contract of a family: its config rebuilds the model, the seed rule, exact resume and more."""

import copy
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, final

import torch
from torch import Tensor

from genzoo import families
from genzoo.errors import BadInput
from genzoo.families.family import BRANCHES, Family
from genzoo.models.abilities import Density, Encoder, Translator
from genzoo.models.model import Model
from genzoo.models.randomness import Noise
from genzoo.models.sampler import Latent, Sampler
from genzoo.schemas import checked
from genzoo.testing.contract import Broken, Check, Contract, require, require_error
from genzoo.training import EMA, Batch, RunSettings, Trainer, fit
from genzoo.zoo import folder as folders


@final
@dataclass(frozen=True)
class Case:
    """A family, and its smallest model with weights from a fixed seed."""

    name: str
    family: Family

    def model(self, seed: int = 0) -> Any:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return self.family.model(self.family.tiny)

    def trainer(self, average: float = 0.0, **options: Any) -> Trainer:
        chosen = checked(self.family.options, {"batch_size": 8, **options}, "options")
        with torch.random.fork_rng():
            torch.manual_seed(0)
            trainer = self.family.make_trainer(self.model(), chosen)
        if average:
            trainer = EMA(trainer, average)
        trainer.prepare(RunSettings())
        return trainer

    def batches(self, trainer: Trainer, start: int = 0) -> Iterator[Batch]:
        """Synthetic data: numbers that depend on the step alone."""
        model, n = trainer.model, 8 * trainer.batches_per_step
        for step in range(start, 1000):
            noise = Noise(0, range(n), f"made data {step}")
            x, other = (_in_range(model, noise.uniform(*model.shape)) for _ in range(2))
            classes = getattr(model, "num_classes", 0)
            labels = torch.arange(n) % classes if classes else None
            yield Batch(x, labels, other, step=step, progress=step / 1000)


FAMILY = Contract("family", lambda name: nullcontext(Case(name, families.get(name))))


def _of(ability: type) -> Callable[[Check], Check]:
    """A decorator that adds a check of the models with an ability."""

    def add(check: Check) -> Check:
        @wraps(check)
        def check_if_able(case: Case) -> str | None:
            if not isinstance(case.model(), ability):
                return f"is no {ability.__name__}"
            return check(case)

        return FAMILY.check(check_if_able)

    return add


@FAMILY.check
def _metadata_say_where_it_stands(case: Case) -> str | None:
    """`genzoo families` reads the package's metadata and imports nothing."""
    plugin = next((p for p in families.plugins() if p.name == case.name), None)
    if plugin is None:
        return "is not installed as a package"
    place = f"the package's keywords must hold '{case.name}:BRANCH:YEAR'"
    branches = ", ".join(BRANCHES)
    require(plugin.branch in BRANCHES, f"{place}, a branch of {branches}; got {plugin.branch!r}")
    require(plugin.year.isdigit(), f"{place}, a year in digits; got {plugin.year!r}")
    require(plugin.summary, "the package's description is empty: describe the family in a phrase")
    return None


@FAMILY.check
def _config_survives_json(case: Case) -> None:
    values = case.family.tiny.model_dump(mode="json")
    again = checked(case.family.config, values, "config")
    require(again == case.family.tiny, "tiny changes when written to JSON and read again")
    unknown = {**values, "no_such_field": 1}
    message = "config must reject unknown fields"
    require_error(lambda: checked(case.family.config, unknown, "config"), BadInput, message)


@FAMILY.check
def _every_number_is_bounded(case: Case) -> None:
    for schema in (case.family.config, case.family.options):
        for name, rule in schema.model_json_schema()["properties"].items():
            if rule.get("type") not in ("integer", "number") or "enum" in rule:
                continue
            low = {"minimum", "exclusiveMinimum"} & rule.keys()
            high = {"maximum", "exclusiveMaximum"} & rule.keys()
            require(low and high, f"{schema.__name__}.{name} has no lower or no upper bound")


@FAMILY.check
def _builds_on_meta(case: Case) -> None:
    with torch.device("meta"):
        model = case.family.model(case.family.tiny)
    unsaved = {name for name, _ in model.named_buffers()} - set(model.state_dict())
    require(not unsaved, f"buffers that are not saved with the model: {sorted(unsaved)}")
    shapes, real = ({k: v.shape for k, v in m.state_dict().items()} for m in (model, case.model()))
    differences = sorted({*shapes.items()} ^ {*real.items()})[:3]
    require(not differences, f"built on the meta device, its tensors differ: {differences}")
    unregistered = [k for k, v in vars(model).items() if isinstance(v, Tensor)]
    require(not unregistered, f"tensors that are neither parameter nor buffer: {unregistered}")


@FAMILY.check
def _rebuilds_from_its_config(case: Case) -> None:
    model = case.model()
    again = type(model)(model.config)
    again.load_state_dict(model.state_dict())
    shapes = tuple(model.shape), tuple(again.shape)
    require(shapes[0] == shapes[1], f"shape is {shapes[0]}, and {shapes[1]} after rebuilding")


@FAMILY.check
def _saves_and_loads(case: Case) -> None:
    model = case.model()
    with tempfile.TemporaryDirectory() as folder:
        folders.save(model, f"{folder}/model", family=case.name)
        loaded: Any = folders.load_folder(f"{folder}/model", "cpu")
    for name, tensor in model.state_dict().items():
        require(
            torch.equal(tensor, loaded.state_dict()[name]), f"{name} changes when saved and loaded"
        )
    if isinstance(model, Sampler):
        pair = (m.sample(2, seed=1).tensor for m in (model, loaded))
        require(torch.equal(*pair), "the loaded model draws other samples")


@_of(Sampler)
def _samples_in_range(case: Case) -> None:
    model = case.model()
    samples = model.sample(3, seed=5).tensor
    expected, got = (3, *model.shape), tuple(samples.shape)
    require(got == expected, f"three samples must have shape {expected}, got {got}")
    require(samples.dtype == torch.float32, f"samples must be float32, got {samples.dtype}")
    require(samples.isfinite().all(), "samples are not finite")
    raw = model.generate(Noise(5, range(3)), model.labels_for(None, 3), model.sampling())
    if model.value_range:
        low, high = model.value_range
        require(raw.min() >= low, f"samples must be in [{low}, {high}], got {raw.min():.4g}")
        require(raw.max() <= high, f"samples must be in [{low}, {high}], got {raw.max():.4g}")


@_of(Sampler)
def _keeps_the_seed_rule(case: Case) -> None:
    model = case.model()
    whole = model.sample(6, seed=3).tensor
    alone = torch.cat([model.sample(1, seed=3, start=i).tensor for i in range(6)])
    halves = model.sample(6, seed=3, batch_size=4).tensor
    require(
        torch.allclose(whole, alone, atol=1e-5),
        "a sample depends on the other samples of its batch",
    )
    require(torch.allclose(whole, halves, atol=1e-5), "a sample depends on the batch size")
    other = model.sample(6, seed=4).tensor
    require(not torch.allclose(whole, other), "another seed draws the same samples")


@_of(Sampler)
def _leaves_no_trace(case: Case) -> None:
    model = case.model().train()
    before, rng = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    first = model.sample(4).tensor
    threads = [threading.Thread(target=model.sample, args=(4,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    require(model.training, "sampling changes the model's mode from training to evaluation")
    same_rng = torch.equal(rng, torch.get_rng_state())
    require(same_rng, "sampling uses torch's random generator: take all randomness from noise")
    for name, tensor in model.state_dict().items():
        require(torch.equal(tensor, before[name]), f"sampling changed {name}")
    clean = all(p.requires_grad and p.grad is None for p in model.parameters())
    require(clean, "sampling leaves gradients, or turns requires_grad off")
    require(torch.equal(first, model.sample(4).tensor), "sampling twice gives different samples")


@_of(Sampler)
def _labels_are_checked(case: Case) -> None:
    model = case.model()
    for wrong in [model.num_classes, -1] if model.num_classes else [0]:
        accepted = f"label {wrong} was accepted, with {model.num_classes} classes"
        require_error(partial(model.sample, 1, labels=wrong), BadInput, accepted)


@_of(Sampler)
def _half_precision_storage_is_invisible(case: Case) -> None:
    model = case.model()
    with tempfile.TemporaryDirectory() as folder:
        folders.save(model, f"{folder}/model", family=case.name, dtype="float16")
        stored: Any = folders.load_folder(f"{folder}/model", "cpu")
    difference = (model.sample(4).tensor - stored.sample(4).tensor).abs().mean().item()
    said = f"stored as float16, samples differ by {difference:.4f}, more than one level in 255"
    require(difference < 1 / 255, said)


@_of(Sampler)
def _same_picture_on_a_gpu(case: Case) -> str | None:
    if not torch.cuda.is_available():
        return "no GPU is available"
    model = case.model()
    on_cpu = model.sample(4, seed=2).tensor
    on_gpu = model.to("cuda").sample(4, seed=2).tensor.cpu()
    require(torch.allclose(on_cpu, on_gpu, atol=1e-3), "the GPU draws other samples")
    return None


@_of(Latent)
def _decodes_with_gradient(case: Case) -> None:
    model = case.model().eval()
    code = torch.randn(2, model.latent_dim, requires_grad=True)
    noise = Noise(0, range(2))
    samples = model.decode_with(code, model.labels_for(None, 2), noise, model.sampling())
    samples.sum().backward()
    if code.grad is None:
        raise Broken("no gradient reaches the code")
    require(code.grad.isfinite().all(), "the gradient at the code is not finite")


@_of(Encoder)
def _encodes(case: Case) -> None:
    model = case.model()
    code = model.encode(_images(model, 3))
    got = tuple(code.shape)
    require(
        code.ndim == 2 and len(code) == 3,
        f"the codes of 3 samples must be (3, latent_dim), got {got}",
    )
    alone = model.encode(_images(model, 1))
    require(
        torch.allclose(code[:1], alone, atol=1e-5),
        "a code depends on the other samples of its batch",
    )


@_of(Density)
def _scores(case: Case) -> None:
    model = case.model()
    images = _images(model, 3)
    if model.levels:
        images = (images * (model.levels - 1)).round() / (model.levels - 1)
    nats = model.log_prob(images)
    require(nats.shape == (3,), f"log_prob of 3 samples must be (3,), got {tuple(nats.shape)}")
    require(nats.isfinite().all(), "log_prob is not finite")
    require(torch.equal(nats, model.log_prob(images)), "the same seed gives different log_prob")
    require(
        model.likelihood_kind in ("exact", "bound"),
        f"likelihood_kind must be exact or bound, got {model.likelihood_kind!r}",
    )


@_of(Translator)
def _translates(case: Case) -> None:
    model = case.model()
    images = _images(model, 2)
    for domain in model.domains:
        got = tuple(model.translate(images, domain).tensor.shape)
        require(
            got == tuple(images.shape),
            f"translate to {domain} must keep {tuple(images.shape)}, got {got}",
        )


@FAMILY.check
def _learns(case: Case) -> None:
    trainer = case.trainer()
    before = copy.deepcopy(trainer.model.state_dict())
    for _, logs in fit(trainer, case.batches(trainer), 2):
        for name, value in logs.items():
            require(value.ndim == 0, f"the log {name} must be a single number")
            require(value.isfinite(), f"the log {name} is {value}")
    changed = [k for k, v in trainer.model.state_dict().items() if not torch.equal(v, before[k])]
    require(changed, "two steps change no weight of the model")
    trainable = all(p.requires_grad for p in trainer.model.parameters())
    require(trainable, "parameters stay frozen after a step")


@FAMILY.check
def _resumes_bit_for_bit(case: Case) -> None:
    straight = case.trainer(ema_decay=0.9)
    list(fit(straight, case.batches(straight), 4))
    stopped = case.trainer(ema_decay=0.9)
    list(fit(stopped, case.batches(stopped), 2))
    states = {name: copy.deepcopy(part.state_dict()) for name, part in stopped.parts().items()}
    resumed = case.trainer(ema_decay=0.9)
    resumed.restore(states, 2, 1000)
    list(fit(resumed, case.batches(resumed, 2), 4, start=2))
    for name, tensor in straight.model.state_dict().items():
        same = torch.equal(tensor, resumed.model.state_dict()[name])
        require(same, f"{name} differs after resuming: parts() must hold all that learns")


@FAMILY.check
def _discriminator_has_features(case: Case) -> str | None:
    if case.family.discriminator is None:
        return "has no discriminator"
    network, model = case.family.discriminator(case.family.tiny), case.model()
    x, labels = _in_range(model, _images(model, 2)), None
    if getattr(model, "num_classes", 0):
        labels = torch.zeros(2, dtype=torch.long)
    require(
        len(network(x, labels)) == 2, "it must return one logit, or map of logits, for each sample"
    )
    maps = network.features(x)
    require(maps, "features returns no maps")
    require(
        all(len(m) == 2 for m in maps), "features must return maps with one row for each sample"
    )
    return None


def _images(model: Model, n: int) -> Tensor:
    return Noise(7, range(n), "test images").uniform(*model.shape)


def _in_range(model: Model, x: Tensor) -> Tensor:
    low, high = model.value_range or (0.0, 1.0)
    return x * (high - low) + low
