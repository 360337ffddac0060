"""What models can do beside sampling: encode, score, translate, complete, show attention."""

from abc import abstractmethod
from typing import Literal, final

import numpy as np
import torch
from torch import Tensor

from genzoo.errors import BadInput, unknown
from genzoo.models.checks import check_count, checked_seed
from genzoo.models.model import Model, _check_made, _infer, _places, _portions
from genzoo.models.randomness import Noise, stream
from genzoo.models.sampler import Labels, Sampler
from genzoo.models.samples import Arrays, Images, Samples


class Attentive(Sampler):
    """A sampler in whose maps every place can look at every other."""

    @abstractmethod
    def attend(self, noise: Noise, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What ``generate`` draws, and where each place of an ``(h, w)`` map looks.

        ``(n, *shape)`` and ``(n, h, w, h, w)``; the last two axes sum to 1.
        """

    @final
    def attention(
        self, n: int = 1, *, labels: Labels = None, seed: int = 0, start: int = 0
    ) -> tuple[Samples, Tensor]:
        """The samples that ``sample`` draws, and ``(n, h, w, h, w)``: where each place looks."""
        noise = Noise(checked_seed(seed), range(start, start + n), device=self.device)
        wanted = self.labels_for(labels, n, start)
        x, maps = _infer(self, lambda copy: copy.attend(noise, wanted))
        _check_made(self, "drew", x, (n, *self.shape))
        seeds = [(noise.seed, i) for i in noise.indices]
        kind, call = Images if self.is_images else Arrays, {"method": "sample", "truncation": None}
        return kind(self.to_unit(x), wanted, seeds, self.origin, self.class_names, call), maps


class Encoder(Model):
    """Maps samples to codes."""

    @abstractmethod
    def embed(self, x: Tensor) -> Tensor:
        """``(n, *shape)`` in the model's range to ``(n, code)``."""

    @final
    def encode(self, images: "Samples | Tensor | np.ndarray", *, batch_size: int = 64) -> Tensor:
        """The codes of ``(n, *shape)`` samples in [0, 1]: ``(n, code)``."""
        x = self.checked_input(images)
        return torch.cat([self._codes(x[rows]) for rows in _portions(len(x), batch_size)])

    def _codes(self, x: Tensor) -> Tensor:
        codes = _infer(self, lambda copy: copy.embed(x))
        _check_made(self, "embedded", codes, (len(x), None))
        return codes


class Density(Model):
    """Scores samples: ``likelihood_kind`` says whether exactly, ``levels`` over how many values a
    pixel has.

    ``levels = None`` marks a density (or a pseudo-likelihood) on the continuum: never bits/dim.
    """

    likelihood_kind: Literal["exact", "bound"]
    levels: int | None = None

    @abstractmethod
    def log_weight(self, x: Tensor, labels: Tensor | None, noise: Noise) -> Tensor:
        """``(n,)`` nats: log p(x), or log p(x, z) - log q(z | x) with z from ``noise``."""

    @final
    def log_prob(
        self,
        images: "Samples | Tensor | np.ndarray",
        labels: Labels = None,
        *,
        seed: int = 0,
        samples: int = 1,
        bound: Literal["elbo", "importance"] = "importance",
        batch_size: int = 64,
    ) -> Tensor:
        """Log-likelihood or a lower bound on it, ``(n,)`` nats, of samples in [0, 1].

        Of ``samples`` log-weights, ``elbo`` is the mean (Kingma & Welling 2014, eq. 2) and
        ``importance`` the log-mean-exp (Burda et al. 2016, eq. 8). An exact density needs just one.
        The z of image i come from ``seed`` and i: another order of images draws other z.
        """
        check_count("samples", samples, 1)
        if bound not in ("elbo", "importance"):
            raise BadInput(f"bound must be elbo or importance, got {bound!r}")
        x = self.checked_input(images)
        self._on_levels(x)
        wanted = self.labels_for(labels, len(x)) if isinstance(self, Sampler) else None
        times = 1 if self.likelihood_kind == "exact" else samples
        weights = torch.cat(
            [
                self._log_weights(x, wanted, checked_seed(seed), rows, times)
                for rows in _portions(len(x), batch_size)
            ],
            dim=1,
        )
        if bound == "elbo":
            return weights.mean(0)
        return weights.logsumexp(0) - np.log(times)

    def _log_weights(
        self, x: Tensor, labels: Tensor | None, seed: int, rows: slice, times: int
    ) -> Tensor:  # (times, len(rows))
        noise = Noise(seed, _places(rows), "log_prob", self.device)
        x, labels = x[rows], None if labels is None else labels[rows]
        found = []
        for _ in range(times):
            found.append(_infer(self, lambda copy: copy.log_weight(x, labels, noise)))
            _check_made(self, "scored", found[-1], (len(x),))
        return torch.stack(found)

    def _on_levels(self, x: Tensor) -> None:
        steps = self.to_unit(x) * ((self.levels or 2) - 1)
        if self.levels and (steps - steps.round()).abs().max() > 1e-3:
            raise BadInput(
                f"this model scores {self.levels} levels a pixel: round the images to them"
            )


class Translator(Sampler):
    """Turns samples of one domain into samples of another; draws by turning its own examples.

    ``examples`` is a buffer ``(k, *shape)`` of bytes, pictures of the first domain.
    """

    domains: tuple[str, str]
    examples: Tensor

    @final
    def generate(self, noise: Noise, labels: Tensor | None = None) -> Tensor:
        """The examples as the second domain has them, in an order that the seed chooses."""
        order = stream(noise.seed, "examples").permutation(len(self.examples))
        picked = torch.from_numpy(order[np.array(noise.indices) % len(order)])
        return self.convert(self.from_unit(self.examples[picked]), self.domains[1], noise)

    @abstractmethod
    def convert(self, x: Tensor, to: str, noise: Noise) -> Tensor:
        """``(n, C, H, W)`` in the model's range into the domain ``to``."""

    @final
    def translate(
        self,
        images: "Samples | Tensor | np.ndarray",
        to: str,
        *,
        seed: int = 0,
        batch_size: int = 8,
    ) -> Samples:
        """Pictures ``(n, C, H, W)`` in [0, 1], of any size, as the domain ``to`` has them."""
        if to not in self.domains:
            raise unknown("domain", to, self.domains, "")
        x = self.from_unit(images)
        if x.shape[1] != self.shape[0]:
            raise BadInput(f"expected pictures of {self.shape[0]} channels, got {x.shape[1]}")
        seeds = [(checked_seed(seed), i) for i in range(len(x))]
        made = [self._converted(x, to, seed, rows) for rows in _portions(len(x), batch_size)]
        call = {"method": "translate", "to": to}
        return Images(torch.cat(made), None, seeds, self.origin, call=call)

    def _converted(self, x: Tensor, to: str, seed: int, rows: slice) -> Tensor:
        noise = Noise(seed, _places(rows), "translate", self.device)
        made = _infer(self, lambda copy: copy.convert(x[rows], to, noise))
        _check_made(self, "converted", made, (len(x[rows]), None, None, None))
        return self.to_unit(made)


class Completer(Sampler):
    """A sampler that fills in what is missing."""

    @abstractmethod
    def complete(
        self, x: Tensor, mask: Tensor, noise: Noise, labels: Tensor | None = None
    ) -> Tensor:
        """``(n, *shape)`` with what ``mask`` (1 = known) leaves open drawn given the rest."""
