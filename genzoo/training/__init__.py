"""Training: trainers, the loop, losses, penalties and tricks; nothing here touches the disk."""

from genzoo.models.whole_batch import gather, own_rows
from genzoo.training.adversarial import Adversarial, Game, Term
from genzoo.training.layers import freeze
from genzoo.training.losses import LOSSES, GanLoss
from genzoo.training.monitor import TrainingMonitor, TrainingWarning
from genzoo.training.penalties import PENALTIES, gradient_penalty, orthogonal_penalty, r1_penalty
from genzoo.training.phases import Phase, phase_starts, phase_steps
from genzoo.training.standard_trainers import EMA, LossTrainer
from genzoo.training.trainer import (
    Batch,
    Diverged,
    Logs,
    Player,
    RunSettings,
    Stateful,
    Trainer,
    batches,
    fit,
    make_player,
    make_players,
)
from genzoo.training.tricks import (
    ImageBuffer,
    augment,
    instance_noise,
    label_flips,
    linear_fade,
    top_k,
)

__all__ = [
    "EMA",
    "LOSSES",
    "PENALTIES",
    "Adversarial",
    "Batch",
    "Diverged",
    "Game",
    "GanLoss",
    "ImageBuffer",
    "Logs",
    "LossTrainer",
    "Phase",
    "Player",
    "RunSettings",
    "Stateful",
    "Term",
    "Trainer",
    "TrainingMonitor",
    "TrainingWarning",
    "augment",
    "batches",
    "fit",
    "freeze",
    "gather",
    "gradient_penalty",
    "instance_noise",
    "label_flips",
    "linear_fade",
    "make_player",
    "make_players",
    "orthogonal_penalty",
    "own_rows",
    "phase_starts",
    "phase_steps",
    "r1_penalty",
    "top_k",
]
