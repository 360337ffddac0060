"""Family: what a plugin of a family provides."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, final

from genzoo.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

    from genzoo.families.adopted import Adopt
    from genzoo.models.model import Discriminator, Model
    from genzoo.options import Options, Sampling
    from genzoo.schemas import Schema
    from genzoo.training import Trainer


# The kinds of data that a family can ask for, and what each one is.
DATA = MappingProxyType(
    {
        "any": "a data set of any kind; images if the config has a field size, signals if length",
        "images": "a data set of images",
        "labelled": "a data set with labels",
        "unpaired": "two domains of images: A,B, a folder of both, or NAME@TRANSFORM",
        "paired": "pairs of images: two folders A,B, one folder, or NAME@TRANSFORM",
        "points": "a data set of points",
        "signals": "a data set of signals",
    }
)
Data = Literal["any", "images", "labelled", "unpaired", "paired", "points", "signals"]
API = 2
BRANCHES = (
    "explicit/tractable",
    "explicit/continuous flow",
    "explicit/approximate",
    "explicit/approximate/Markov chain",
    "implicit/direct",
    "none/reconstruction",
)


class Upgraded(NamedTuple):
    """What an older revision stored, in today's names.

    ``tensors``: old name -> new name, of each tensor that was renamed.
    """

    config: dict[str, Any]
    options: dict[str, Any]
    tensors: Mapping[str, str] = MappingProxyType({})


# (revision, config, options, names of the stored tensors), all as stored.
Upgrade = Callable[[int, dict[str, Any], dict[str, Any], Collection[str]], Upgraded]


def rename_fields(**names: str) -> Upgrade:
    """An upgrade that only renames: ``rename_fields(code="latent_dim")``, in config and options."""

    def upgrade(
        revision: int, config: dict[str, Any], options: dict[str, Any], tensors: Collection[str]
    ) -> Upgraded:
        from genzoo.schemas import renamed  # imports pydantic, which a listing does not need

        return Upgraded(renamed(config, names), renamed(options, names))

    upgrade.__dict__["names"] = names
    return upgrade


@final
@dataclass(frozen=True, kw_only=True)
class Family:
    """A kind of model. Its name is the entry point's; its branch, year and summary are metadata of
    its package, so that a listing imports no plugin.

    ``config`` and ``options`` are schemas; ``tiny`` is the smallest config that runs. ``api`` is
    the plugin API that the family was written for. ``trainer``: without one, `Adversarial` trains a
    family with a ``discriminator``. ``finish`` is called once after training with the model, its
    options and batches of training data, of 20,000 random samples at most. ``revision`` counts up
    whenever a stored model needs ``upgrade`` to be read. ``data`` is the kind of data set that
    training takes, one of `DATA`. ``adopt`` reads public networks: from names and shapes to an
    `Adopted`. Raises BadInput for any other network.
    """

    config: "type[Schema]"
    options: "type[Options]"
    model: "Callable[[Any], Model]"
    tiny: "Schema"
    paper: str
    api: int
    trainer: "Callable[[Any, Any], Trainer] | None" = None
    discriminator: "Callable[[Any], Discriminator] | None" = None
    finish: "Callable[[Any, Any, Iterable[Tensor]], None] | None" = None
    data: Data = "any"
    revision: int = 1
    upgrade: Upgrade | None = None
    adopt: "Adopt | None" = None

    def __post_init__(self) -> None:
        if type(self.api) is not int:
            raise BadInput(f"api must be a whole number, got {self.api!r}")
        if not isinstance(self.tiny, self.config):
            raise BadInput(f"tiny must be a {self.config.__name__}, got {type(self.tiny).__name__}")
        if self.data not in DATA:
            raise BadInput(f"data must be one of {', '.join(DATA)}, got {self.data!r}")
        if self.trainer is None and self.discriminator is None:
            raise BadInput("trainer is missing: only a family with a discriminator has a default")

    @property
    def sampling(self) -> "type[Sampling]":
        """The settings of its models' sampling; none for models that don't sample."""
        from genzoo.options import Sampling

        maker: Any = self.model
        if not isinstance(maker, type):  # a function: its result has a class
            import torch

            with torch.random.fork_rng(devices=[]):  # whoever asks keeps their random numbers
                maker = type(maker(self.tiny))
        return getattr(maker, "sampling", Sampling)

    def make_trainer(self, model: Any, options: Any) -> "Trainer":
        """What trains ``model``: the family's own trainer, or `Adversarial`."""
        if self.trainer is not None:
            return self.trainer(model, options)
        from genzoo.training import Adversarial

        assert self.discriminator is not None
        return Adversarial(model, self.discriminator(model.config), options)

    def upgraded(
        self,
        revision: int,
        config: dict[str, Any],
        options: dict[str, Any],
        tensors: Collection[str] = (),
    ) -> Upgraded:
        """The fields of a model of an older ``revision``, in today's names."""
        if self.upgrade is None or revision >= self.revision:
            return Upgraded(config, options)
        return self.upgrade(revision, config, options, tensors)
