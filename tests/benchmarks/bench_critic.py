"""A WGAN-GP step against the loop of PyTorch-GAN: same networks, penalty and optimisers.

In that loop the critic's backward pass runs on through the generator that drew the fakes, and the
generator's fills the critic's gradients too; contiguous tensors, default Adam.
"""

import torch
from paired import ratio

from genzoo import families
from genzoo.training import Batch, RunSettings

BATCH = 32
SHAPE = (3, 64, 64)


class Plain:
    """One step as that loop writes it: five updates of the critic, one of the generator."""

    def __init__(self, family, config):
        self.generator, self.critic = family.model(config), family.discriminator(config)
        betas = (0.0, 0.9)
        self.steps = [
            torch.optim.Adam(n.parameters(), 1e-4, betas) for n in (self.critic, self.generator)
        ]

    def penalty(self, real, fake):
        share = torch.rand(len(real), 1, 1, 1)
        between = (share * real + (1 - share) * fake).requires_grad_()
        said = self.critic(between)
        (slope,) = torch.autograd.grad(
            said, between, torch.ones_like(said), create_graph=True, retain_graph=True
        )
        return ((slope.flatten(1).norm(2, dim=1) - 1) ** 2).mean()

    def __call__(self, parts):
        for real in parts:
            self.steps[0].zero_grad()
            fake = self.generator.decode(torch.randn(len(real), self.generator.latent_dim))
            loss = self.critic(fake).mean() - self.critic(real).mean()
            (loss + 10 * self.penalty(real.data, fake.data)).backward()
            self.steps[0].step()
        self.steps[1].zero_grad()
        fake = self.generator.decode(torch.randn(len(real), self.generator.latent_dim))
        (-self.critic(fake).mean()).backward()
        self.steps[1].step()


def main() -> None:
    family = families.get("wgan-gp")
    config = family.config(shape=SHAPE)
    plain = Plain(family, config)
    for precision in ("fp32", "bf16"):
        trainer = family.make_trainer(family.model(config), family.options(batch_size=BATCH))
        trainer.prepare(RunSettings(precision=precision))
        real = torch.rand(BATCH * trainer.batches_per_step, *SHAPE) * 2 - 1
        parts = real.split(BATCH)
        batch = Batch(real.contiguous(memory_format=torch.channels_last))
        name = f"wgan-gp {SHAPE[1]} px, batch {BATCH}, {precision}, a step against PyTorch-GAN's"
        ratio(name, lambda t=trainer, b=batch: t.step(b), lambda p=parts: plain(p), rounds=5)


if __name__ == "__main__":
    main()
