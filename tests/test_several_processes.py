"""Two processes learn what one learns: gradients, buffers and logs of each family."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from genzoo import families
from genzoo.errors import OperationFailed
from genzoo.models.shared_samples import _removed_after_errors

# Whatever looks at more than a sample: norms, dropout, a deviation, pools, pairs, balances, EM.
FEW = ["gan", "progan", "stylegan", "cyclegan", "gmm", "ebgan", "wavegan", "began", "srgan"]
OPTIONS = [
    'dcgan?penalty="gradient"',  # through batch norms, twice
    'dcgan?micro_batches=2&discriminator_steps=2&augment="color"&augment_target=0.3&top_k=0.5',
    'infogan?penalty="r1"&loss="relativistic"',
    "cyclegan?micro_batches=2",
]
FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="pair.py divides a process in two")


def differences(folder, names):
    script = Path(__file__).with_name("pair.py")
    command = [sys.executable, script, folder / "found.json", *names]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "found.json").read_text())


def check(found):
    """In double precision the sums of two processes differ from those of one in the last digits."""
    assert {k: v for k, v in found.items() if v[0] > 1e-12 or v[1] > 1e-10} == {}


@FORKS
def test_two_processes_find_the_gradients_of_one(tmp_path):
    found = differences(tmp_path, [*FEW, *OPTIONS])
    assert len(found) == len(FEW) + len(OPTIONS)
    check(found)


@FORKS
@pytest.mark.slow
def test_they_do_so_in_every_family(tmp_path):
    check(differences(tmp_path, families.names()))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "cannot write .*samples: No space left"),
        (OperationFailed("the network is gone"), "^the network is gone$"),
    ],
)
def test_whoever_stops_removes_the_folder_of_samples(error, said, tmp_path):
    """The first process may have died, and nobody else would."""
    (aside := tmp_path / "aside").mkdir()
    (aside / "00000000.png").write_bytes(b"half")
    with (
        pytest.raises(OperationFailed, match=said),
        _removed_after_errors(tmp_path / "samples", aside),
    ):
        raise error
    assert not aside.exists()


def test_a_process_whose_folder_was_removed_says_so(tmp_path):
    with (
        pytest.raises(OperationFailed, match="process 0 of 1 stops: another one has ended"),
        _removed_after_errors(tmp_path / "samples", tmp_path / "gone"),
    ):
        (tmp_path / "gone" / "00000000.png").write_bytes(b"")
