"""A training step against a plain PyTorch loop of the same networks: gan, cgan, vae, pixelcnn.

The plain loops are those of textbooks: the data and the fakes go through the discriminator one
after the other, the fakes are drawn once, no parameter is frozen, and the average is updated tensor
by tensor. Each with torch's default Adam, as textbooks write it, and with the fused one.
"""

import copy
import sys
from collections.abc import Callable

import torch
import torch.nn.functional as F
from paired import ratio
from torch import nn

from genzoo import families
from genzoo.training import EMA, Batch, RunSettings

SHAPE = (1, 28, 28)
CASES = {"gan": {}, "cgan": {"classes": 10}, "vae": {}, "pixelcnn": {}}
STEPS = {"pixelcnn": 1}  # of a round; others: 5


def game(family, config, options, x, labels, fused: bool) -> Callable[[], None]:
    """A step of a generator and a discriminator."""
    generator, critic = family.model(config).train(), family.discriminator(config).train()
    betas = options.beta1, options.beta2
    ours, theirs = (
        torch.optim.Adam(n.parameters(), options.lr, betas, fused=fused)
        for n in (generator, critic)
    )
    ones, zeros = torch.ones(len(x)), torch.zeros(len(x))

    def loss(images, target):
        return F.binary_cross_entropy_with_logits(critic(images, labels), target)

    def step():
        theirs.zero_grad()
        fakes = generator.decode(torch.randn(len(x), generator.latent_dim), labels)
        (loss(x, ones) + loss(fakes.detach(), zeros)).backward()
        theirs.step()
        ours.zero_grad()
        loss(fakes, ones).backward()
        ours.step()

    return step


def vae_loss(model, x):
    mean, log_variance = model.encoder(x).chunk(2, 1)
    z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
    error = F.binary_cross_entropy_with_logits(model.decoder(z), x, reduction="sum") / len(x)
    return error + (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean() / 2


def pixelcnn_loss(model, x):
    return F.cross_entropy(model.logits(x, None).transpose(1, 2), model.level(x))


def descent(family, config, options, x, loss, fused: bool) -> Callable[[], None]:
    """A step of one loss, and of the moving average of the weights."""
    model: nn.Module = family.model(config).train()
    average = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.Adam(model.parameters(), options.lr, fused=fused)

    def step():
        optimizer.zero_grad()
        loss(model, x).backward()
        optimizer.step()
        with torch.no_grad():
            for mean, latest in zip(average.parameters(), model.parameters(), strict=True):
                mean.lerp_(latest, 1 - options.ema_decay)

    return step


def ours(family, config, options, x, labels) -> Callable[[], None]:
    trainer = family.make_trainer(family.model(config), options)
    if options.ema_decay:
        trainer = EMA(trainer, options.ema_decay)
    trainer.prepare(RunSettings())
    x, step = x.contiguous(memory_format=torch.channels_last), iter(range(10**9))
    return lambda: trainer.step(Batch(x, labels, step=next(step)))


def times(count: int, call: Callable[[], object]) -> Callable[[], None]:
    def repeated():
        for _ in range(count):
            call()

    return repeated


def main(names: list[str]) -> None:
    losses = {"vae": vae_loss, "pixelcnn": pixelcnn_loss}
    for name in names or CASES:
        family = families.get(name)
        config, options = family.config(shape=SHAPE, **CASES[name]), family.options()
        n, count = options.batch_size, STEPS.get(name, 5)
        x = (torch.rand(n, *SHAPE) * 255).round() / 255
        labels = torch.arange(n) % 10 if name == "cgan" else None
        mine = times(count, ours(family, config, options, x, labels))
        for fused in (False, True):
            parts = family, config, options, x
            if name in losses:
                plain = descent(*parts, losses[name], fused)
            else:
                plain = game(*parts, labels, fused)
            adam = "fused" if fused else "default"
            what = f"{name}, batch {n}, a step against a plain loop, {adam} Adam"
            ratio(what, mine, times(count, plain))


if __name__ == "__main__":
    torch.manual_seed(0)
    main(sys.argv[1:])
