"""Training: what learns, the loop around it, and the folder that a run leaves."""

from genzoo.training.doctor import Doctor, Finding
from genzoo.training.losses import LOSSES, GanLoss
from genzoo.training.penalties import PENALTIES, gradient_penalty, orthogonal_penalty, r1_penalty
from genzoo.training.trainer import (
    Batch,
    Diverged,
    Logs,
    Player,
    Settings,
    Stateful,
    Trainer,
    batches,
    fit,
    player,
)
from genzoo.training.trainers import Adversarial, Averaged, Descent
from genzoo.training.tricks import Pool, augment, best, fading, instance_noise, swapped

__all__ = [
    "LOSSES",
    "PENALTIES",
    "Adversarial",
    "Averaged",
    "Batch",
    "Descent",
    "Diverged",
    "Doctor",
    "Finding",
    "GanLoss",
    "Logs",
    "Player",
    "Pool",
    "Settings",
    "Stateful",
    "Trainer",
    "augment",
    "batches",
    "best",
    "fading",
    "fit",
    "gradient_penalty",
    "instance_noise",
    "orthogonal_penalty",
    "player",
    "r1_penalty",
    "swapped",
]
