# Made from the table in __init__.py: GENZOO_WRITE_STUBS=1 pytest tests/test_public_names.py

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from genzoo import data as data
from genzoo import demo as demo
from genzoo import editing as editing
from genzoo import evaluation as evaluation
from genzoo import families as families
from genzoo import metrics as metrics
from genzoo import runs as runs
from genzoo import testing as testing
from genzoo import training as training
from genzoo import zoo as zoo
from genzoo.data.catalogue import list_data as list_data
from genzoo.data.contents import cache as cache
from genzoo.devices import one_thread as one_thread
from genzoo.editing.activity import measure_activity as measure_activity
from genzoo.editing.arithmetic import Combination as Combination
from genzoo.editing.arithmetic import arithmetic as arithmetic
from genzoo.editing.attention import AttentionMaps as AttentionMaps
from genzoo.editing.attention import attention as attention
from genzoo.editing.directions import Direction as Direction
from genzoo.editing.directions import direction as direction
from genzoo.editing.directions import steer as steer
from genzoo.editing.inpainting import Completion as Completion
from genzoo.editing.inpainting import inpaint as inpaint
from genzoo.editing.projection import Projection as Projection
from genzoo.editing.projection import project as project
from genzoo.editing.sweep import Sweep as Sweep
from genzoo.editing.sweep import sweep as sweep
from genzoo.editing.translation import translate as translate
from genzoo.editing.walks import interpolate as interpolate
from genzoo.editing.walks import traverse as traverse
from genzoo.errors import BadInput as BadInput
from genzoo.errors import DataMissing as DataMissing
from genzoo.errors import GenzooError as GenzooError
from genzoo.errors import InvalidModel as InvalidModel
from genzoo.errors import NetworkError as NetworkError
from genzoo.errors import OperationFailed as OperationFailed
from genzoo.errors import UnknownName as UnknownName
from genzoo.evaluation.compare import compare as compare
from genzoo.evaluation.evaluate import evaluate as evaluate
from genzoo.evaluation.inside import Inside as Inside
from genzoo.evaluation.inside import look_inside as look_inside
from genzoo.evaluation.neighbours import Neighbours as Neighbours
from genzoo.evaluation.neighbours import neighbours as neighbours
from genzoo.evaluation.outliers import Outliers as Outliers
from genzoo.evaluation.outliers import outliers as outliers
from genzoo.evaluation.reference import reference as reference
from genzoo.evaluation.representations import extract_features as extract_features
from genzoo.evaluation.truncation import truncate as truncate
from genzoo.evaluation.verify import verify as verify
from genzoo.exports.formats import Exported as Exported
from genzoo.exports.formats import export as export
from genzoo.families.adopted import Adopted as Adopted
from genzoo.families.adopted import Shapes as Shapes
from genzoo.families.family import Family as Family
from genzoo.families.family import Upgraded as Upgraded
from genzoo.families.family import rename_fields as rename_fields
from genzoo.families.hooks import hookimpl as hookimpl
from genzoo.families.registry import list_families as list_families
from genzoo.metrics.registry import list_metrics as list_metrics
from genzoo.models.abilities import Attentive as Attentive
from genzoo.models.abilities import Completer as Completer
from genzoo.models.abilities import Density as Density
from genzoo.models.abilities import Encoder as Encoder
from genzoo.models.abilities import Stepwise as Stepwise
from genzoo.models.abilities import Translator as Translator
from genzoo.models.model import Discriminator as Discriminator
from genzoo.models.model import Model as Model
from genzoo.models.origin import Origin as Origin
from genzoo.models.picture_files import SYNTHETIC as SYNTHETIC
from genzoo.models.randomness import Noise as Noise
from genzoo.models.sampler import Latent as Latent
from genzoo.models.sampler import Sampler as Sampler
from genzoo.models.samples import Images as Images
from genzoo.models.samples import Points as Points
from genzoo.models.samples import Samples as Samples
from genzoo.models.samples import Signals as Signals
from genzoo.runs.info import info as info
from genzoo.runs.plot import plot as plot
from genzoo.runs.run import Interrupted as Interrupted
from genzoo.runs.run import RunStatus as RunStatus
from genzoo.runs.train import forecast as forecast
from genzoo.runs.train import train as train
from genzoo.testing.environment import env as env
from genzoo.testing.status import list_plugins as list_plugins
from genzoo.training import EMA as EMA
from genzoo.training import Adversarial as Adversarial
from genzoo.training import Batch as Batch
from genzoo.training import Logs as Logs
from genzoo.training import LossTrainer as LossTrainer
from genzoo.training import Trainer as Trainer
from genzoo.training import fit as fit
from genzoo.zoo.adoption import adopt as adopt
from genzoo.zoo.card import list_models as list_models
from genzoo.zoo.card import upgrade as upgrade
from genzoo.zoo.citation import cite as cite
from genzoo.zoo.folder import save as save
from genzoo.zoo.hub import search as search
from genzoo.zoo.names import load as load
from genzoo.zoo.names import model_names as model_names
from genzoo.zoo.provenance import inspect as inspect
from genzoo.zoo.provenance import reproduce as reproduce
from genzoo.zoo.publish import pull as pull
from genzoo.zoo.publish import push as push

__version__: str

def lazy(
    package: str,
    homes: Mapping[str, Sequence[str]],
    packages: Sequence[str] = (),
    old_names: Mapping[str, str] | None = None,
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]: ...
