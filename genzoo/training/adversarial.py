"""The adversarial game: a generator against a discriminator, further players, and their terms."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import NamedTuple, final

import torch
from torch import Tensor

from genzoo.errors import BadInput, OperationFailed, unknown
from genzoo.models.abilities import Translator
from genzoo.models.model import Discriminator
from genzoo.models.randomness import Noise, digest
from genzoo.models.sampler import Latent, Sampler
from genzoo.options import AdversarialOptions
from genzoo.training import parallel
from genzoo.training.losses import LOSSES
from genzoo.training.penalties import PENALTIES, orthogonal_penalty
from genzoo.training.trainer import Batch, Logs, Player, Trainer, checked_loss, make_players
from genzoo.training.tricks import (
    SOFT_LABELS,
    AugmentationProbability,
    augment,
    clip_weights,
    instance_noise,
    label_flips,
    linear_fade,
    top_k,
)

# The code of Arjovsky et al. 2017: the first steps, and every so many, train the critic longer.
WARMUP, WARMUP_INTERVAL = 25, 500


@final
@dataclass(frozen=True)
class Game:
    """What a term sees of a player's turn; logits and maps are computed when a term asks.

    ``codes``: ``(n, latent_dim)``, what the fakes were decoded from; None if the model has none.
    ``real``, ``fakes``: ``(n, *shape)`` in the model's range. In the generator's turn the fakes
    have a graph, back to its weights and to ``codes``; in the others' turns they have none.
    ``look``: what the discriminator sees of samples, with condition, augmentation and noise.
    """

    batch: Batch
    codes: Tensor | None
    real: Tensor
    fakes: Tensor
    sampler: Sampler
    discriminator: Discriminator
    look: Callable[[Tensor, str], Tensor]
    purpose: str

    @cached_property
    def seen_real(self) -> Tensor:
        """The real samples as the discriminator sees them."""
        return self.look(self.real, "real")

    @cached_property
    def seen_fakes(self) -> Tensor:
        """The fakes as the discriminator sees them."""
        return self.look(self.fakes, self.purpose)

    @cached_property
    def real_logits(self) -> Tensor:
        return self.discriminator(self.seen_real, self.batch.labels).float()

    @cached_property
    def fake_logits(self) -> Tensor:
        return self.discriminator(self.seen_fakes, self.batch.labels).float()

    @cached_property
    def real_maps(self) -> list[Tensor]:
        """The discriminator's features of the real samples, from the input up."""
        return self.discriminator.features(self.seen_real)

    @cached_property
    def maps(self) -> list[Tensor]:
        """The discriminator's features of the fakes, from the input up."""
        return self.discriminator.features(self.seen_fakes)


# A further term of a player's loss, its weight included, and the values to log.
Term = Callable[[Game], tuple[Tensor, Logs]]


@final
class _Fakes(NamedTuple):
    codes: Tensor | None
    x: Tensor


@final
class Adversarial(Trainer):
    """A generator against a discriminator (Goodfellow et al. 2014, algorithm 1).

    Data and fakes go through the discriminator in separate batches, so that its batch norm sees one
    kind at a time. Where each player takes one step, both learn from the same fakes, which are
    computed once, as the paper's authors and pytorch/examples do; else the generator learns from
    new ones.

    ``terms``: by player, further terms of its loss: ``term(game)`` returns the value, its weight
    included, and the values to log. ``players``: further networks that learn, each from its own
    terms alone, before the generator. A term that two players minimise (InfoGAN's: the generator
    and the network that predicts the code) is given to both.

    ``fakes(batch, noise)`` computes the fakes, ``(n, *shape)``; without it a `Translator` converts
    the batch into its second domain, whose samples are then the real ones, and any other model
    generates. ``condition(batch)`` is joined to real samples and fakes, in front of their channels,
    for a discriminator that judges pairs (Isola et al. 2017, section 3.1).
    """

    def __init__(
        self,
        model: Sampler,
        discriminator: Discriminator,
        options: AdversarialOptions,
        *,
        terms: Mapping[str, Sequence[Term]] | None = None,
        players: Mapping[str, Player] | None = None,
        fakes: Callable[[Batch, Noise], Tensor] | None = None,
        condition: Callable[[Batch], Tensor] | None = None,
    ):
        game = make_players(model, discriminator, options, options.discriminator_lr)
        game["discriminator"].decay = (
            options.discriminator_lr_inverse_decay or options.lr_inverse_decay
        )
        self.terms, self.further = dict(terms or {}), tuple(players or {})
        self.probability = _augmentation_probability(options)
        extras = {"augmentation": self.probability} if self.probability.target else {}
        further = _checked_players(self.terms, players or {}, game)
        super().__init__(model, {**game, **further}, extras)
        self.sampler, self.discriminator, self.options = model, discriminator, options
        self.fakes, self.condition = fakes, condition
        self.loss = LOSSES[options.loss]
        self.batches_per_step = options.discriminator_steps

    def step(self, batch: Batch) -> Logs:
        logs: Logs = {}
        parts = batch.split(self.options.discriminator_steps)
        fakes = self._shared_fakes(batch)
        for turn, part in enumerate(self._turns(batch, parts)):
            own = fakes if turn < len(parts) else None
            logs = self.update("discriminator", partial(self._discriminate, own), part)
            logs |= self._follow_overfitting(logs, len(part))
            if self.options.weight_clip:
                clip_weights(self.discriminator, self.options.weight_clip)
        for name in self.further:  # before the generator, so that its fakes are still the same
            logs |= self.update(name, partial(self._learn, fakes, name), parts[-1])
        for turn in range(self.options.generator_steps):
            logs |= self.update("generator", partial(self._generate, fakes, turn), parts[-1])
        return logs

    def _follow_overfitting(self, logs: Logs, images: int) -> Logs:
        """Adapt the probability of augmentations to the discriminator's last update."""
        if not self.probability.target:
            return {}
        mean_sign = logs["discriminator/real sign"].item()
        self.probability.follow(mean_sign, images * parallel.size())
        return {"discriminator/augmented": torch.tensor(self.probability.value)}

    def _turns(self, batch: Batch, parts: list[Batch]) -> Iterator[Batch]:
        """The batch of each discriminator update: ``parts``, and in a warm-up step again and again,
        each round with a randomness of its own.
        """
        yield from parts
        is_warmup = batch.step < WARMUP or batch.step % WARMUP_INTERVAL == 0
        further = self.options.discriminator_warmup_steps if is_warmup else 0
        for turn in range(further):
            past, i = divmod(turn, len(parts))
            seed = int.from_bytes(digest(batch.seed, "round", past + 1)[:7], "little")
            yield replace(parts[i], seed=seed)

    @property
    def _codes(self) -> str:
        """The purpose of the discriminator's codes: the generator's, where each takes one step."""
        o = self.options
        return "code 0" if o.discriminator_steps == o.generator_steps == 1 else "code"

    def _shared_fakes(self, batch: Batch) -> _Fakes | None:
        """The fakes for all players, with their graph; None where each generates its own."""
        if self._codes != "code 0" or self.settings.micro_batches > 1:
            return None
        with self.computing(batch, "fakes"):
            return self._fakes(batch, "code 0")

    def _discriminate(self, fakes: _Fakes | None, batch: Batch) -> tuple[Tensor, Logs]:
        game = self._game(batch, self._detached(fakes, batch), "fake")
        real_logits, fake_logits = self._paired(game.real_logits, game.fake_logits)
        loss = self._classify(batch, real_logits, 1.0, "real")
        loss = loss + self._classify(batch, fake_logits, 0.0, "fake")
        border = 0.5 if self.options.loss == "least-squares" else 0.0  # half-way between targets
        correct = (real_logits > border).float().mean() + (fake_logits < border).float().mean()
        logs = {
            "accuracy": correct / 2,
            "D(x)": real_logits.sigmoid().mean(),
            "D(G(z))": fake_logits.sigmoid().mean(),
        }
        if self.probability.target:
            logs["real sign"] = (real_logits - border).sign().mean()
        if self.options.loss == "wasserstein":  # the dual's value, equation 2 of WGAN
            logs["wasserstein"] = real_logits.mean() - fake_logits.mean()
        loss, logs = self._with_penalty(loss, logs, batch, game.fakes)
        return self._with_terms("discriminator", loss, logs, game)

    def _generate(self, fakes: _Fakes | None, turn: int, batch: Batch) -> tuple[Tensor, Logs]:
        fakes = self._fakes(batch, f"code {turn}") if fakes is None else fakes
        game = self._game(batch, fakes, f"generated {turn}")
        logits = game.fake_logits
        if self.loss.is_paired:
            logits = logits - game.real_logits
        loss = self.loss.generator(top_k(logits, self.options.top_k, batch.progress))
        if self.options.orthogonal_weight:
            loss = loss + self.options.orthogonal_weight * orthogonal_penalty(self.sampler)
        return self._with_terms("generator", loss, {}, game)

    def _paired(self, real_logits: Tensor, fake_logits: Tensor) -> tuple[Tensor, Tensor]:
        """Each logit minus its partner's, where the loss compares pairs of a sample and a fake."""
        difference = real_logits - fake_logits
        return (difference, -difference) if self.loss.is_paired else (real_logits, fake_logits)

    def _learn(self, fakes: _Fakes | None, player: str, batch: Batch) -> tuple[Tensor, Logs]:
        """The turn of a further player: its terms are its loss."""
        game = self._game(batch, self._detached(fakes, batch), "fake")
        return self._with_terms(player, torch.zeros((), device=batch.x.device), {}, game)

    def _game(self, batch: Batch, fakes: _Fakes, purpose: str) -> Game:
        look = partial(self._discriminator_input, batch)
        both = self.sampler, self.discriminator
        return Game(batch, fakes.codes, self._real(batch), fakes.x, *both, look, purpose)

    def _with_terms(self, player: str, loss: Tensor, logs: Logs, game: Game) -> tuple[Tensor, Logs]:
        for term in self.terms.get(player, ()):
            value, more = checked_loss(term(game), f"a term of {player}")
            if twice := sorted({"loss", "gradient", *logs} & {*more}):
                raise OperationFailed(
                    f"a term of {player} logs {twice[0]}, which is logged already"
                )
            loss, logs = loss + value, {**logs, **more}
        return loss, logs

    def _detached(self, fakes: _Fakes | None, batch: Batch) -> _Fakes:
        """The fakes without their graph: of the generator, only values are needed."""
        with torch.no_grad():
            codes, x = self._fakes(batch, self._codes) if fakes is None else fakes
        return _Fakes(None if codes is None else codes.detach(), x.detach())

    def _fakes(self, batch: Batch, purpose: str) -> _Fakes:
        noise, model = batch.noise(purpose), self.sampler
        defaults = model.sampling()
        if self.fakes is not None:
            return _Fakes(None, self.fakes(batch, noise))
        if isinstance(model, Translator):
            return _Fakes(None, model.convert_any_size(batch.x, model.domains[1], noise))
        if not isinstance(model, Latent):
            return _Fakes(None, model.generate(noise, batch.labels, defaults))
        codes = model.draw_code(noise, defaults).requires_grad_(bool(self.terms))
        return _Fakes(codes, model.decode_with(codes, batch.labels, noise, defaults))

    def _real(self, batch: Batch) -> Tensor:
        if not isinstance(self.sampler, Translator):
            return batch.x
        if batch.second_domain is None:
            raise BadInput("a translator learns from two domains, and the data set has only one")
        return batch.second_domain

    def _conditioned(self, batch: Batch, x: Tensor) -> list[Tensor]:
        return [x] if self.condition is None else [self.condition(batch), x]

    def _discriminator_input(self, batch: Batch, x: Tensor, purpose: str) -> Tensor:
        """``x`` with its condition, augmented and with instance noise."""
        o, parts = self.options, self._conditioned(batch, x)
        if o.augment != "none":  # the same numbers for both parts, so that they stay a pair
            chance = self.probability.value
            noises = (batch.noise(f"augment {purpose}") for _ in parts)
            parts = [augment(p, o.augment, n, chance) for p, n in zip(parts, noises, strict=True)]
        x = _joined(parts)
        if not o.instance_noise:
            return x
        deviation = linear_fade(o.instance_noise, batch.progress, o.instance_noise_until)
        return instance_noise(x, deviation, batch.noise(f"noise {purpose}"))

    def _classify(self, batch: Batch, logits: Tensor, target: float, purpose: str) -> Tensor:
        o = self.options
        if o.soft_labels:
            low, high = SOFT_LABELS[purpose]
            targets = low + (high - low) * batch.noise(f"labels {purpose}").uniform()
        else:  # smoothing is one-sided: the target of fakes stays 0
            targets = torch.full(
                (len(logits),), target - target * o.label_smoothing, device=logits.device
            )
        if o.label_noise:
            flips = label_flips(len(logits), o.label_noise, batch.noise(f"swap {purpose}"))
            targets = torch.where(flips, 1 - targets, targets)
        return self.loss.discriminator(logits, targets.view(-1, *[1] * (logits.ndim - 1)))

    def _with_penalty(
        self, loss: Tensor, logs: Logs, batch: Batch, fake: Tensor
    ) -> tuple[Tensor, Logs]:
        o = self.options
        if o.penalty == "none" or batch.step % o.penalty_interval:
            return loss, logs
        real, fake = (_joined(self._conditioned(batch, x)) for x in (self._real(batch), fake))
        slope = PENALTIES[o.penalty](
            self.discriminator, real, fake, batch.labels, batch.noise("penalty")
        )
        return loss + o.penalty_weight * o.penalty_interval * slope, {**logs, "penalty": slope}


def _augmentation_probability(options: AdversarialOptions) -> AugmentationProbability:
    """Reads its options only where they act. Raises BadInput: it can't adapt to every loss."""
    if options.augment == "none":
        return AugmentationProbability(1.0, target=0.0)
    if options.augment_target and options.loss in ("wasserstein", "relativistic"):
        text = "augment_target needs logits that tell real from fake: loss={} has none"
        raise BadInput(text.format(options.loss))
    return AugmentationProbability(options.augment_probability, options.augment_target)


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def _checked_players(
    terms: Mapping[str, Sequence[Term]],
    further: Mapping[str, Player],
    game: Mapping[str, Player],
) -> Mapping[str, Player]:
    """The ``further`` players. Raises BadInput, UnknownName: whoever is named must play."""
    for name in terms:
        if name not in {*game, *further}:
            raise unknown("player", name, [*game, *further], "")
    for name in further:
        if name in game:
            raise BadInput(f"{name} is a player of every adversarial game: choose another name")
        if not terms.get(name):
            raise BadInput(f"the player {name} has no term: nothing would train it")
    return further
