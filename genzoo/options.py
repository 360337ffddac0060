"""Options: how a model is trained. Sampling: how it samples. Imports no torch."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from genzoo.errors import UnknownName, unknown
from genzoo.schemas import Count, Decay, Name, Rate, Schema, Share, Weight

__all__ = [
    "AdversarialOptions",
    "AugmentationName",
    "DiscriminatorRate",
    "DiscriminatorSteps",
    "GanLossName",
    "GeneratorSteps",
    "InstanceNoise",
    "InverseDecay",
    "LabelNoise",
    "LatentSampling",
    "OptimizerName",
    "Options",
    "PenaltyInterval",
    "PenaltyName",
    "PixelSampling",
    "Sampling",
    "TopKShare",
    "TranslatorOptions",
    "Truncation",
]

# The types of options, so that a family redeclares a default in one line:
# ``discriminator_steps: DiscriminatorSteps = 5``.
OptimizerName = Literal["adam", "rmsprop", "sgd"]
InverseDecay = Annotated[float, Field(ge=0, le=1)]
GanLossName = Literal[
    "non-saturating", "minimax", "least-squares", "hinge", "wasserstein", "relativistic"
]
DiscriminatorRate = Annotated[float, Field(ge=0, le=10)]
DiscriminatorSteps = Annotated[int, Field(ge=1, le=100)]
GeneratorSteps = Annotated[int, Field(ge=1, le=100)]
PenaltyName = Literal["none", "gradient", "r1", "r1+r2"]
PenaltyInterval = Annotated[int, Field(ge=1, le=1000)]
TopKShare = Annotated[float, Field(ge=0.05, le=1)]
LabelNoise = Annotated[float, Field(ge=0, le=0.5)]
InstanceNoise = Annotated[float, Field(ge=0, le=10)]
AugmentationName = Literal[
    "none",
    "color",
    "geometric",
    "translation",
    "cutout",
    "color,geometric",
    "color,translation",
    "color,cutout",
    "geometric,translation",
    "geometric,cutout",
    "translation,cutout",
    "color,geometric,translation",
    "color,geometric,cutout",
    "color,translation,cutout",
    "geometric,translation,cutout",
    "color,geometric,translation,cutout",
]
Layers = Annotated[str, Field(max_length=4000)]
Truncation = Annotated[float, Field(ge=0.02, le=1e6)]


class Options(Schema):
    """How to train a model; a family redeclares the defaults with its paper's values."""

    batch_size: Count = 64
    """samples in one update"""
    optimizer: OptimizerName = "adam"
    lr: Rate = 1e-3
    """learning rate of the model"""
    beta1: Decay = 0.9
    """Adam's first decay"""
    beta2: Decay = 0.999
    """Adam's second decay"""
    rms_decay: Decay = 0.99
    """RMSprop's decay of the mean square: 0.99 in PyTorch (alpha), 0.9 in Keras (rho)"""
    momentum: Share = 0.0
    """momentum of rmsprop and sgd"""
    warmup: Share = 0.0
    """share of the run in which the rates rise linearly from 0"""
    lr_decay_start: Share = 1.0
    """share of the run after which the rates fall linearly to 0"""
    lr_inverse_decay: InverseDecay = 0.0
    """after k steps the rates are divided by 1 + k times this (Keras calls it decay)"""
    gradient_clip: Weight = 0.0
    """largest gradient norm; 0: no clipping"""
    ema_decay: Decay = 0.0
    """decay of the weights' moving average, which is saved; 0: the last weights are saved"""
    horizontal_flip: bool = False
    """mirror half of the images left-right"""
    freeze: Layers = ""
    """layers that do not learn, separated by commas: layers.0,discriminator.head"""


class AdversarialOptions(Options):
    """How to train a generator against a discriminator."""

    loss: GanLossName = "non-saturating"
    discriminator_lr: DiscriminatorRate = 0.0
    """learning rate of the discriminator; 0: the model's (two time-scales: Heusel et al. 2017)"""
    discriminator_lr_inverse_decay: InverseDecay = 0.0
    """inverse decay of the discriminator's rate; 0: the model's"""
    discriminator_steps: DiscriminatorSteps = 1
    """discriminator updates in a step, each on a batch of its own"""
    discriminator_warmup_steps: Annotated[int, Field(ge=0, le=1000)] = 0
    """further discriminator updates in each of the first 25 steps and in every 500th, on the step's
    batches in turn (the code of Arjovsky et al.: 95, which make 100); 0: none"""
    generator_steps: GeneratorSteps = 1
    """generator updates in a step"""
    penalty: PenaltyName = "none"
    """gradient penalty: Gulrajani et al. 2017, eq. 3, or Mescheder et al. 2018, eq. 9 (r1);
    r1+r2 has that at the fakes, too (eq. 10)"""
    penalty_weight: Weight = 10.0
    penalty_interval: PenaltyInterval = 1
    """steps between two penalties; the weight is multiplied by this number"""
    weight_clip: Weight = 0.0
    """bound on each of the discriminator's weights (Arjovsky et al. 2017, algorithm 1); 0: none"""
    orthogonal_weight: Weight = 0.0
    """weight of the penalty on products of the generator's weights (Brock et al. 2019, eq. 3)"""
    top_k: TopKShare = 1.0
    """share of the fakes that the generator learns from, the best ones (Sinha et al. 2020)"""
    label_smoothing: Share = 0.0
    """one-sided: the real target is 1 minus this (Salimans et al. 2016, section 3.4)"""
    soft_labels: bool = False
    """real targets from U(0.7, 1.2), fake from U(0, 0.3), in place of 1 and 0"""
    label_noise: LabelNoise = 0.0
    """share of the discriminator's targets that are swapped"""
    instance_noise: InstanceNoise = 0.0
    """standard deviation of noise on the discriminator's input (Sonderby et al. 2017)"""
    instance_noise_until: Share = 1.0
    """share of the run after which this noise is 0"""
    augment: AugmentationName = "none"
    """augmentation of real and fake images for the discriminator (Zhao et al. 2020)"""
    augment_probability: Share = 1.0
    """probability that an augmentation acts on an image; of an adaptive one: the largest"""
    augment_target: Share = 0.0
    """the probability adapts so that the mean sign of the logits of real images stays at this
    (Karras et al. 2020, section 3: 0.6); 0: it is fixed"""


class TranslatorOptions(Schema):
    """Where the examples of a translator come from, beside the options of its training."""

    examples_from: Name = ""
    """a model whose samples become the stored examples, where those of the data must not be
    published; they are transformed as the data's first domain is"""


class Sampling(Schema):
    """How a model samples: ``model.sample(16, steps=20)`` sets a field for one call.

    A family redeclares it with fields of its own, each with a default and bounds.
    """


class LatentSampling(Sampling):
    """How a model that decodes a code samples."""

    truncation: Truncation | None = None
    """values of a code beyond this limit are drawn again (Brock et al. 2019, section 3.1)"""
    temperature: Annotated[float, Field(ge=0, le=10)] | None = None
    """normal values of a code are multiplied by it: below 1 samples are more typical and vary less
    (Kingma & Dhariwal 2018, section 6); left out: the model's own, usually 1"""


class PixelSampling(Sampling):
    """How pixels are drawn."""

    temperature: Annotated[float, Field(ge=0, le=10)] = 1.0
    """logits are divided by it: below 1 likely values come more often, at 0 only the likeliest"""


# An option that acts only under another one: the other's name.
SWITCHES = {
    "beta1": "optimizer",
    "beta2": "optimizer",
    "rms_decay": "optimizer",
    "momentum": "optimizer",
    "penalty_weight": "penalty",
    "penalty_interval": "penalty",
    "label_smoothing": "soft_labels",
    "instance_noise_until": "instance_noise",
    "augment_probability": "augment",
    "augment_target": "augment",
}

# Names of fields in other frameworks, in small letters alone: those of configs, options, sampling.
OTHER_NAMES = {
    "attention_resolution": "attention attnresolution attnres",
    "augment": "aug augmentation augmentations diffaugment",
    "augment_probability": "augp pinit",
    "augment_target": "adatarget",
    "batch_size": "bs batch minibatch minibatchsize nbatch",
    "beta": "kl klweight kldweight",
    "beta1": "betas b1 adambeta1",
    "beta2": "b2 adambeta2",
    "channels": "nc inchannels nchannels numchannels colors",
    "classes": "nclasses numclasses",
    "cycle_weight": "lambdacycle lambdaa cycleloss",
    "discriminator_lr": "dlr lrd criticlr disclr",
    "discriminator_steps": "ncritic criticsteps criticiters dsteps",
    "discriminator_units": "ndf dunits",
    "dropout": "dropoutrate droprate",
    "ema_decay": "ema emabeta averaging polyak",
    "generator_steps": "gsteps",
    "generator_units": "hidden hiddendim hiddensize hiddenunits nhidden",
    "gradient_clip": "clipnorm gradclip maxgradnorm",
    "horizontal_flip": "hflip randomflip mirror",
    "identity_weight": "lambdaidentity identityloss",
    "label_smoothing": "smooth",
    "latent_dim": "zdim nz z zsize latent latents latentsize codedim codesize noisedim bottleneck",
    "layers": "layer nlayers numlayers depth",
    "likelihood": "criterion reconstructionloss",
    "loss": "criterion objective ganmode lossfn",
    "lr": "learningrate lrate stepsize eta glr lrg",
    "lr_inverse_decay": "lrdecay",
    "network": "arch architecture backbone net",
    "optimizer": "optim opt solver",
    "penalty": "gp gradientpenalty",
    "penalty_weight": "gpweight lambdagp gplambda r1gamma",
    "residual_blocks": "nblocks nresblocks",
    "rms_decay": "alpha rho",
    "size": "imagesize imgsize imsize resolution side",
    "truncation": "trunc psi truncationpsi",
    "units": "hidden hiddendim hiddensize hiddenunits nhidden",
    "warmup": "warmupsteps lrwarmup",
    "weight_clip": "clipvalue weightclipping",
    "width": "ngf ndf filters nfilters basechannels ch hidden hiddendim hiddensize features",
}


def ours(name: str, known: Iterable[str]) -> str:
    """The one of the ``known`` fields that ``name`` means elsewhere, or in other letters; or ""."""
    plain = "".join(filter(str.isalnum, name.lower()))
    known = [*known]
    same = [field for field in known if field.replace("_", "") == plain]
    others = [field for field in known if plain in OTHER_NAMES.get(field, "").split()]
    return next(iter(same + others), "")


def unknown_field(name: str, known: Iterable[str], hint: str) -> UnknownName:
    """The error for a field called ``name``, none of ``known``; ``hint``: what to type."""
    known = [*known]
    if field := ours(name, known):
        return UnknownName(f"no field is called {name!r}: did you mean {field}? {hint}")
    return unknown("field", name, known, hint)
