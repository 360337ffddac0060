"""The contract that every family keeps. Authors of families run it as genzoo's own tests do:

    @pytest.mark.parametrize("check", genzoo.testing.CHECKS)
    def test_contract(check):
        genzoo.testing.run(check, "my-family")

Each check is a plain function that asserts. ``run`` returns why a check does not apply, or None.
"""

import copy
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from genzoo import families, store
from genzoo.draws import Draws
from genzoo.errors import BadInput
from genzoo.families import Family
from genzoo.models import Density, Encoder, Latent, Model, Sampler, Translator
from genzoo.schemas import checked
from genzoo.training import Averaged, Batch, Settings, Trainer, fit


@final
@dataclass(frozen=True)
class Case:
    """A family, and its smallest model with weights that a seed made."""

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
            trainer = self.family.trainer(self.model(), chosen)
        if average:
            trainer = Averaged(trainer, average)
        trainer.prepare(Settings())
        return trainer

    def batches(self, trainer: Trainer, start: int = 0) -> Iterator[Batch]:
        """Made data: numbers that depend on the step alone."""
        model, n = trainer.model, 8 * trainer.batches_per_step
        for step in range(start, 1000):
            draws = Draws(0, range(n), f"made data {step}")
            x, other = (_spanned(model, draws.uniform(*model.shape)) for _ in range(2))
            classes = getattr(model, "num_classes", 0)
            labels = torch.arange(n) % classes if classes else None
            yield Batch(x, labels, other, step=step, progress=step / 1000)


CHECKS: dict[str, Callable[[Case], None]] = {}
_NEEDS: dict[str, type] = {}


def run(check: str, family: str | Case) -> str | None:
    """Run one of ``CHECKS`` on a family by name; why it does not apply, or None if it holds.

    Raises AssertionError where the family breaks the contract.
    """
    case = family if isinstance(family, Case) else Case(family, families.get(family))
    needed = _NEEDS.get(check)
    if needed and not isinstance(case.model(), needed):
        return f"{case.name} is no {needed.__name__}"
    CHECKS[check](case)
    return None


def _check(needs: type | None = None) -> Callable[[Callable[[Case], None]], Callable]:
    def add(check: Callable[[Case], None]) -> Callable[[Case], None]:
        name = check.__name__.strip("_")
        CHECKS[name] = check
        if needs:
            _NEEDS[name] = needs
        return check

    return add


@_check()
def _config_survives_json(case: Case) -> None:
    values = case.family.tiny.model_dump(mode="json")
    again = checked(case.family.config, values, "config")
    assert again == case.family.tiny, "tiny does not come back from JSON as it was"
    try:
        checked(case.family.config, {**values, "no_such_field": 1}, "config")
    except BadInput:
        return
    raise AssertionError("config takes a field that it does not know")


@_check()
def _every_number_is_bounded(case: Case) -> None:
    for schema in (case.family.config, case.family.options):
        for name, rule in schema.model_json_schema()["properties"].items():
            if rule.get("type") not in ("integer", "number") or "enum" in rule:
                continue
            bounds = (
                {"minimum", "exclusiveMinimum"} & rule.keys(),
                {
                    "maximum",
                    "exclusiveMaximum",
                }
                & rule.keys(),
            )
            assert all(bounds), f"{schema.__name__}.{name} has no lower or no upper bound"


@_check()
def _builds_on_meta(case: Case) -> None:
    with torch.device("meta"):
        model = case.family.model(case.family.tiny)
    _, hidden = _state(model)
    assert not hidden, f"not saved with the model: {hidden}"
    real = case.model().state_dict()
    assert {k: v.shape for k, v in model.state_dict().items()} == {
        k: v.shape for k, v in real.items()
    }
    strays = [k for k, v in vars(model).items() if isinstance(v, Tensor)]
    assert not strays, f"tensors that are neither parameter nor buffer: {strays}"


@_check()
def _rebuilds_from_its_config(case: Case) -> None:
    model = case.model()
    again = type(model)(model.config)
    again.load_state_dict(model.state_dict())
    assert tuple(again.shape) == tuple(model.shape)


@_check()
def _saves_and_loads(case: Case) -> None:
    model = case.model()
    with tempfile.TemporaryDirectory() as folder:
        store.save(model, f"{folder}/model", family=case.name)
        loaded: Any = store.load(f"{folder}/model", "cpu")
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name]), f"{name} changed on the way"
    if isinstance(model, Sampler):
        pair = (m.sample(2, seed=1).tensor for m in (model, loaded))
        assert torch.equal(*pair), "the loaded model draws something else"


@_check(Sampler)
def _samples_in_range(case: Case) -> None:
    model = case.model()
    drawn = model.sample(3, seed=5)
    assert drawn.tensor.shape == (3, *model.shape), f"drew {tuple(drawn.tensor.shape)}"
    assert drawn.tensor.dtype == torch.float32
    assert drawn.tensor.isfinite().all()
    raw = model.generate(Draws(5, range(3)), model.labels_for(None, 3))
    if model.range:
        low, high = model.range
        assert raw.min() >= low, f"below the range: {raw.min()}"
        assert raw.max() <= high, f"above the range: {raw.max()}"


@_check(Sampler)
def _keeps_the_seed_rule(case: Case) -> None:
    model = case.model()
    whole = model.sample(6, seed=3).tensor
    alone = torch.cat([model.sample(1, seed=3, start=i).tensor for i in range(6)])
    halves = model.sample(6, seed=3, batch_size=4).tensor
    assert torch.allclose(whole, alone, atol=1e-5), "a sample depends on its batch"
    assert torch.allclose(whole, halves, atol=1e-5), "a sample depends on the batch size"
    assert not torch.allclose(whole, model.sample(6, seed=4).tensor), "the seed changes nothing"


@_check(Sampler)
def _leaves_no_trace(case: Case) -> None:
    model = case.model().train()
    before, rng = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    first = model.sample(4).tensor
    threads = [threading.Thread(target=model.sample, args=(4,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert model.training, "sampling left evaluation mode behind"
    assert torch.equal(rng, torch.get_rng_state()), "sampling reads or sets torch's generator"
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), f"sampling changed {name}"
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert torch.equal(first, model.sample(4).tensor), "sampling twice gives two answers"


@_check(Sampler)
def _labels_are_checked(case: Case) -> None:
    model = case.model()
    for wrong in [model.num_classes, -1] if model.num_classes else [0]:
        try:
            model.sample(1, labels=wrong)
        except BadInput:
            continue
        raise AssertionError(f"label {wrong} was taken, of {model.num_classes} classes")


@_check(Sampler)
def _half_precision_storage_is_invisible(case: Case) -> None:
    model = case.model()
    with tempfile.TemporaryDirectory() as folder:
        store.save(model, f"{folder}/model", family=case.name, dtype="float16")
        stored: Any = store.load(f"{folder}/model", "cpu")
    difference = (model.sample(4).tensor - stored.sample(4).tensor).abs().mean().item()
    assert difference < 1 / 255, f"stored as float16, samples differ by {difference:.4f}"


@_check(Sampler)
def _same_picture_on_a_gpu(case: Case) -> None:
    if not torch.cuda.is_available():
        return
    model = case.model()
    here = model.sample(4, seed=2).tensor
    there = model.to("cuda").sample(4, seed=2).tensor.cpu()
    assert torch.allclose(here, there, atol=1e-3), "the GPU draws something else"


@_check(Latent)
def _decodes_with_gradient(case: Case) -> None:
    model = case.model().eval()
    code = torch.randn(2, model.code, requires_grad=True)
    made = model.decode(code, model.labels_for(None, 2), Draws(0, range(2)))
    made.sum().backward()
    assert code.grad is not None, "no gradient reaches the code"
    assert code.grad.isfinite().all()


@_check(Encoder)
def _encodes(case: Case) -> None:
    model = case.model()
    code = model.encode(_images(model, 3))
    assert code.ndim == 2, f"codes are (n, code), got {tuple(code.shape)}"
    assert len(code) == 3
    assert torch.allclose(code[:1], model.encode(_images(model, 1)), atol=1e-5)


@_check(Density)
def _scores(case: Case) -> None:
    model = case.model()
    images = _images(model, 3)
    if model.levels:
        images = (images * (model.levels - 1)).round() / (model.levels - 1)
    nats = model.log_prob(images)
    assert nats.shape == (3,), f"expected one number each, got {tuple(nats.shape)}"
    assert nats.isfinite().all()
    assert torch.equal(nats, model.log_prob(images)), "the same seed gives two scores"
    assert model.kind in ("exact", "bound")


@_check(Translator)
def _translates(case: Case) -> None:
    model = case.model()
    images = _images(model, 2)
    for domain in model.domains:
        assert model.translate(images, domain).tensor.shape == images.shape


@_check()
def _learns(case: Case) -> None:
    trainer = case.trainer()
    before = copy.deepcopy(trainer.model.state_dict())
    for logs in fit(trainer, case.batches(trainer), 2):
        for name, value in logs.items():
            assert value.ndim == 0, f"{name} is no single number"
            assert value.isfinite(), f"{name} is {value}"
    changed = [k for k, v in trainer.model.state_dict().items() if not torch.equal(v, before[k])]
    assert changed, "two steps changed nothing"
    assert all(p.requires_grad for p in trainer.model.parameters()), "left frozen after a step"


@_check()
def _resumes_bit_for_bit(case: Case) -> None:
    straight = case.trainer(average=0.9)
    list(fit(straight, case.batches(straight), 4))
    stopped = case.trainer(average=0.9)
    list(fit(stopped, case.batches(stopped), 2))
    kept = {name: copy.deepcopy(part.state_dict()) for name, part in stopped.parts().items()}
    resumed = case.trainer(average=0.9)
    for name, part in resumed.parts().items():
        part.load_state_dict(kept[name])
    list(fit(resumed, case.batches(resumed, 2), 4, start=2))
    for name, tensor in straight.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), f"{name} differs"


@_check()
def _discriminator_has_features(case: Case) -> None:
    if case.family.discriminator is None:
        return
    network, model = case.family.discriminator(case.family.tiny), case.model()
    x, labels = _spanned(model, _images(model, 2)), None
    if getattr(model, "num_classes", 0):
        labels = torch.zeros(2, dtype=torch.long)
    assert len(network(x, labels)) == 2, "one logit, or map of logits, for each sample"
    maps = network.features(x)
    assert maps, "no feature maps"
    assert all(len(m) == 2 for m in maps)


def _images(model: Model, n: int) -> Tensor:
    return Draws(7, range(n), "test images").uniform(*model.shape)


def _spanned(model: Model, x: Tensor) -> Tensor:
    low, high = model.range or (0.0, 1.0)
    return x * (high - low) + low


def _state(model: nn.Module) -> tuple[set[str], set[str]]:
    """Names of what is saved, and of buffers that are not."""
    saved = set(model.state_dict())
    return saved, {name for name, _ in model.named_buffers()} - saved
