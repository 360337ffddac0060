"""Layers: those that are frozen keep their weights while the rest of a network learns."""

from collections.abc import Iterator

from torch import nn

from genzoo.errors import BadInput, unknown
from genzoo.training.trainer import Trainer


def freeze(trainer: Trainer, names: str) -> None:
    """Freeze the layers ``names``, separated by commas, of the networks of ``trainer``.

    A name is a module's or parameter's, and means all below it: ``layers.0`` of the model,
    ``discriminator.layers.0`` of another player. A frozen layer gets no gradient and no
    update, and computes as in evaluation: its batch norm keeps its statistics, its dropout is off.
    Call it after `Trainer.prepare`. Raises UnknownName, and BadInput if nothing is left to learn.
    """
    for name in filter(None, (part.strip() for part in names.split(","))):
        matches = 0
        for full, thing in _parts(trainer):
            if not f"{full}.".startswith(f"{name}."):
                continue
            matches += 1
            if isinstance(thing, nn.Module):
                thing.eval()
            else:
                thing.requires_grad_(False)
        if not matches:
            layers = [full for full, thing in _parts(trainer) if isinstance(thing, nn.Module)]
            raise unknown("layer", name, {*layers}, "")
    for player, network in trainer.networks().items():
        if not any(p.requires_grad for p in network.parameters()):
            raise BadInput(f"freeze={names} leaves nothing of the {player} to learn")


def _parts(trainer: Trainer) -> Iterator[tuple[str, nn.Module | nn.Parameter]]:
    """Each module and parameter, by its name in the model, and by its player and its name there."""
    while trainer.inner:
        trainer = trainer.inner  # an average only follows
    networks = {f"{player}.": network for player, network in trainer.networks().items()}
    for front, network in {"": trainer.model, **networks}.items():
        yield from ((f"{front}{name}", m) for name, m in network.named_modules() if name)
        yield from ((f"{front}{name}", p) for name, p in network.named_parameters())
