"""The Inception network against the two packages that others use, with the same random weights."""

import hashlib
import io
import json
import pickle
import shutil
import sys
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from genzoo.errors import BadInput, NetworkError, OperationFailed
from genzoo.features import inception
from genzoo.features.inception import VARIABLE, Inception
from genzoo.metrics.statistics.distances import class_score, frechet, kernel, moments

fidelity = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
NAME = fidelity.URL_INCEPTION_V3.rpartition("/")[2]


@pytest.fixture(scope="module")
def theirs():
    """torch-fidelity's network, initialised so that something arrives at its end."""
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        torch.manual_seed(0)
        patch.setattr(fidelity, "load_state_dict_from_url", lambda *_, **__: {})
        kind = fidelity.FeatureExtractorInceptionV3
        patch.setattr(kind, "load_state_dict", lambda *_: None)
        made = kind("random", ["2048", "logits_unbiased"])
        for module in made.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.3)
            if isinstance(module, nn.BatchNorm2d):
                for state in (module.weight, module.running_var):
                    state.data.uniform_(0.5, 1.5)
                for state in (module.bias, module.running_mean):
                    state.data.normal_(0, 0.1)
    return made


@pytest.fixture(scope="module")
def weights(theirs, tmp_path_factory):
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(theirs.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def ours(weights):
    return Inception(weights)


def images(n, channels, *size, seed=0):
    """Of 8 bits, in [0, 1]."""
    made = torch.Generator().manual_seed(seed)
    return torch.randint(256, (n, channels, *size), generator=made).float() / 255


def assert_near(found, wanted):
    """Within 1e-5 of the scale of what is wanted."""
    assert found.shape == wanted.shape
    assert found.dtype == np.float32
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()


# ---------------------------------------------------------------------------------------- features


@pytest.mark.parametrize("size", [(28, 28), (32, 45), (320, 299)])
def test_features_and_logits_are_torch_fidelitys(ours, theirs, size):
    x = images(2, 3, *size)
    with torch.no_grad():
        features, logits = (v.numpy() for v in theirs((x * 255).round().byte()))
    assert features.std() > 0.1
    assert_near(ours(x), features)
    assert_near(ours.logits(ours(x)), logits)


def test_features_are_pytorch_fids(ours, theirs, monkeypatch):
    """Its own scaling of pixels aside, which is by 127.5 and not, as the original's, by 128."""
    other = pytest.importorskip("pytorch_fid.inception")
    state = theirs.state_dict()
    monkeypatch.setattr(other, "load_state_dict_from_url", lambda *_, **__: state)
    network = other.InceptionV3([3], resize_input=False, normalize_input=False).eval()
    x = images(2, 3, 299, 299)
    with torch.no_grad():
        (wanted,) = network((x * 255 - 128) / 128)
    assert_near(ours(x), wanted.flatten(1).numpy())


def test_grey_is_red_green_and_blue(ours):
    x = images(2, 1, 28, 28)
    np.testing.assert_array_equal(ours(x), ours(x.repeat(1, 3, 1, 1)))


def test_pixels_are_rounded_to_8_bits(ours):
    x = images(1, 1, 16, 16)
    np.testing.assert_array_equal(ours(x), ours((x + 0.4 / 255).double()))


def test_features_do_not_depend_on_the_batch_and_leave_no_trace(ours, monkeypatch):
    x = images(3, 1, 28, 28).requires_grad_()
    before = torch.get_rng_state()
    whole = ours(x)
    monkeypatch.setattr(inception, "_BATCH", 2)
    assert_near(ours(x), whole)
    assert torch.equal(torch.get_rng_state(), before)
    assert x.grad is None


def test_whole_comparisons_are_torch_fidelitys(ours, theirs):
    """From single colours and from noise to each number, ours throughout and theirs throughout."""
    metric = {k: pytest.importorskip(f"torch_fidelity.metric_{k}") for k in ("fid", "isc", "kid")}
    kinds = (
        images(8, 3, 1, 1).expand(-1, -1, 32, 32),
        nn.functional.avg_pool2d(images(8, 3, 64, 64, seed=1), 2),
    )
    with torch.no_grad():
        (x, y), logits = (v.split(8) for v in theirs((torch.cat(kinds) * 255).round().byte()))
    real, fake = (ours(v) for v in kinds)

    told = metric["kid"].kid_features_to_metric(
        x.double(), y.double(), kid_subsets=1, kid_subset_size=8, verbose=False, rng_seed=0
    )
    wanted = told["kernel_inception_distance_mean"]
    assert kernel(real, fake) == pytest.approx(wanted, rel=1e-5)

    told = metric["isc"].isc_features_to_metric(torch.cat(logits), splits=1)
    wanted = told["inception_score_mean"]
    assert class_score(ours.logits(np.concatenate([real, fake]))) == pytest.approx(wanted, rel=1e-5)
    assert wanted > 1.1

    # Not all 2,048, of which torch-fidelity would take the eigenvalues.
    few = slice(None, None, 64)
    stated = [metric["fid"].fid_features_to_statistics(v[:, few].double()) for v in (x, y)]
    told = metric["fid"].fid_statistics_to_metric(*stated, verbose=False)
    found = frechet(moments(real[:, few]), moments(fake[:, few]))
    assert found == pytest.approx(told["frechet_inception_distance"], rel=1e-5)


@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(3, 8, 8),
        torch.zeros(1, 2, 8, 8),
        torch.zeros(0, 3, 8, 8),
        torch.zeros(1, 3, 8, 8, dtype=torch.uint8),
        torch.full((1, 3, 8, 8), torch.nan),
    ],
)
def test_what_is_no_image_is_refused(ours, x):
    with pytest.raises(BadInput, match="Inception takes images"):
        ours(x)


def test_what_are_no_features_have_no_logits(ours):
    with pytest.raises(BadInput, match=r"\(n, 2048\), got \(3, 64\)"):
        ours.logits(np.zeros((3, 64)))


# ------------------------------------------------------------------------------------- the weights


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """torch hub's folder of checkpoints, an empty one, and nothing in the environment."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", _unplugged)
    return tmp_path / "hub" / "checkpoints"


def _unplugged(*_, **__):
    raise urllib.error.URLError("the network is unplugged")


def test_the_file_is_the_given_the_named_or_the_kept(hub, tmp_path, monkeypatch):
    """None of these is one: the refusal tells which was read."""
    hub.mkdir(parents=True)
    for file in (tmp_path / "given.pth", tmp_path / "named.pth", hub / NAME):
        file.write_text("no weights")
    with pytest.raises(BadInput, match=NAME):
        Inception()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "named.pth"))
    with pytest.raises(BadInput, match=r"named\.pth"):
        Inception()
    with pytest.raises(BadInput, match=r"given\.pth"):
        Inception(str(tmp_path / "given.pth"))


def test_what_is_not_there_is_downloaded(weights, ours, hub, monkeypatch):
    asked = []

    def fetch(url, file, **_):
        asked.append(url)
        shutil.copy(weights, file)

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    before = torch.get_rng_state()
    assert Inception().sha256 == ours.sha256
    assert torch.equal(torch.get_rng_state(), before)
    assert ours.sha256 == hashlib.sha256((hub / NAME).read_bytes()).hexdigest()
    assert asked == [fidelity.URL_INCEPTION_V3]


def test_without_a_network_one_line_says_what_to_fetch(hub):
    with pytest.raises(NetworkError) as told:
        Inception()
    said = str(told.value)
    assert "\n" not in said
    for part in (fidelity.URL_INCEPTION_V3, f"put {NAME}", str(hub), VARIABLE, "unplugged"):
        assert part in said
    assert not (hub / NAME).exists()


def test_without_torch_fidelity_the_command_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(OperationFailed, match='pip install "torch-fidelity>='):
        Inception()


def test_safetensors_will_do(weights, ours, tmp_path):
    from safetensors.torch import save_file

    save_file(torch.load(weights, weights_only=True), tmp_path / "w.safetensors")
    features = images(2, 2048, 1, 1).flatten(1).numpy()
    np.testing.assert_array_equal(
        Inception(tmp_path / "w.safetensors").logits(features), ours.logits(features)
    )


def test_a_file_that_is_not_there_is_told(tmp_path, monkeypatch):
    with pytest.raises(BadInput, match=r"no such file: .*nowhere\.pth"):
        Inception(tmp_path / "nowhere.pth")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gone.pth"))
    with pytest.raises(BadInput, match=rf"{VARIABLE}: no such file: .*gone\.pth"):
        Inception()


class Trap:
    """What runs when it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("sprung"),)


def _truncated(weights):
    return weights.read_bytes()[:100_000]


def _saved(change):
    def content(weights):
        file = io.BytesIO()
        torch.save(change(torch.load(weights, weights_only=True)), file)
        return file.getvalue()

    return content


CONTENTS = {
    "empty": lambda _: b"",
    "text": lambda _: b"<html>404</html>",
    "truncated": _truncated,
    "pickle": lambda _: pickle.dumps({"fc.weight": Trap()}),
    "trap": _saved(lambda state: state | {"fc.weight": Trap()}),
    "list": _saved(lambda state: [*state.values()]),
    "other": _saved(lambda _: {"layer.weight": torch.ones(3)}),
    "missing": _saved(lambda state: {k: v for k, v in state.items() if k != "fc.weight"}),
    "wider": _saved(lambda state: state | {"fc.weight": torch.ones(1008, 2049)}),
    "nan": _saved(lambda state: state | {"fc.bias": torch.full((1008,), torch.nan)}),
}


@pytest.mark.parametrize(
    ("name", "suffix"), [*((name, "pth") for name in CONTENTS), ("truncated", "safetensors")]
)
def test_a_damaged_or_foreign_file_is_refused_and_not_run(
    name, suffix, weights, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"{name}.{suffix}"
    path.write_bytes(CONTENTS[name](weights))
    with pytest.raises(BadInput, match="weights of FID") as told:
        Inception(path)
    assert "\n" not in str(told.value)
    assert not Path("sprung").exists()


def test_the_trap_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Trap()))
    assert Path("sprung").exists()


def test_a_file_too_large_is_not_read(weights, monkeypatch):
    monkeypatch.setattr(inception, "_LARGEST", 1000)
    with pytest.raises(BadInput, match="too large"):
        Inception(weights)


# ------------------------------------------------------------------------------------ evaluate


def test_fid_of_two_folders_by_the_command(weights, theirs, tmp_path, caplog, capsys):
    """The whole way from files, with the network's own resizing, under its own name; and a warning
    that so few images say little."""
    from PIL import Image

    from genzoo import cli

    seen = []
    for seed, name in enumerate(("one", "other")):
        (tmp_path / name).mkdir()
        x = (images(8, 3, 32, 32, seed=seed) * 255).round().byte()
        for i, picture in enumerate(x.permute(0, 2, 3, 1).numpy()):
            Image.fromarray(picture).save(tmp_path / name / f"{i}.png")
        with torch.no_grad():
            seen.append(theirs(x)[0].double().numpy())
    line = ["evaluate", f"images:{tmp_path / 'one'}", "--data", f"images:{tmp_path / 'other'}"]
    told = ["--metrics", "fid,fd", "--features", f"inception:{weights}", "--json"]
    assert cli.run([*line, *told]) == 0
    (found,) = json.loads(capsys.readouterr().out)["scores"]
    assert found["name"] == "fid"
    assert found["interval"] is None
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert found["protocol"]["features_sha256"] == sha256
    assert "fid from 8 samples" in caplog.text
    assert "or use kid" in caplog.text
    assert found["value"] == pytest.approx(frechet(*map(moments, seen)), rel=1e-4)
