"""A DCGAN training step against the loop of pytorch/examples: same networks, loss and optimisers.

That loop runs the discriminator on data and on fakes, steps it, and runs it again on the fakes for
the generator, with its parameters' gradients computed along; contiguous tensors, default Adam.
"""

import sys

import torch
import torch.nn.functional as F
from paired import ratio

from genzoo import families
from genzoo.training import Batch, RunSettings

BATCH = 64


class Plain:
    """One step as that example writes it."""

    def __init__(self, family, config):
        self.generator, self.critic = family.model(config), family.discriminator(config)
        betas = (0.5, 0.999)
        self.steps = [
            torch.optim.Adam(n.parameters(), 2e-4, betas) for n in (self.critic, self.generator)
        ]

    def __call__(self, real):
        ones, zeros = torch.ones(len(real)), torch.zeros(len(real))
        self.critic.zero_grad()
        F.binary_cross_entropy_with_logits(self.critic(real), ones).backward()
        fake = self.generator.decode(torch.randn(len(real), self.generator.latent_dim))
        F.binary_cross_entropy_with_logits(self.critic(fake.detach()), zeros).backward()
        self.steps[0].step()
        self.generator.zero_grad()
        F.binary_cross_entropy_with_logits(self.critic(fake), ones).backward()
        self.steps[1].step()


def main() -> None:
    family = families.get("dcgan")
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    config = family.config(size=size)
    real = torch.rand(BATCH, 3, size, size) * 2 - 1
    plain = Plain(family, config)
    for precision in ("fp32", "bf16"):
        trainer = family.make_trainer(family.model(config), family.options(batch_size=BATCH))
        trainer.prepare(RunSettings(precision=precision))
        batch = Batch(real.contiguous(memory_format=torch.channels_last))
        name = f"dcgan {size} px, batch {BATCH}, {precision}, a step against pytorch/examples'"
        ratio(name, lambda t=trainer, b=batch: t.step(b), lambda: plain(real), rounds=5)


if __name__ == "__main__":
    main()
