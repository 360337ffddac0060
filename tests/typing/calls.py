"""What a user calls, and the type of each answer: a name that has become Any is an error here."""

from pathlib import Path
from typing import assert_type

import torch
from torch import Tensor

import genzoo

assert_type(genzoo.load("vae-mnist"), genzoo.Sampler)
genzoo.load("dcgan-mnist").sample(16, truncation=0.7).save("samples.png")
assert_type(genzoo.load("cyclegan-hair", genzoo.Translator), genzoo.Translator)
model = genzoo.load("vae-mnist", genzoo.Latent)
assert_type(model, genzoo.Latent)
samples = model.sample(4, seed=0, labels=None)
assert_type(samples, genzoo.Samples)
assert_type(samples.tensor, Tensor)
assert_type(samples.save("samples.png"), Path)
assert_type(model.codes(4, seed=0), Tensor)
assert_type(model.decode_codes(model.codes(4)), genzoo.Samples)
if isinstance(model, genzoo.Encoder):
    assert_type(model.encode(samples), Tensor)
if isinstance(model, genzoo.Density):
    assert_type(model.log_prob(samples), Tensor)
assert_type(genzoo.save(model, "copy", family="vae"), Path)
assert_type(genzoo.model_names(), list[str])
with genzoo.one_thread():
    model.sample(1)

assert_type(genzoo.editing.interpolate(model, [0, 1], steps=3), genzoo.Samples)
assert_type(genzoo.interpolate("vae-mnist", sample="0:3,7"), genzoo.Samples)
assert_type(genzoo.direction(model, of="7"), genzoo.Direction)
assert_type(genzoo.steer("vae-mnist", "seven.safetensors", sample=[3]), genzoo.Samples)
assert_type(genzoo.train("vae", steps=1), genzoo.Sampler)
assert_type(genzoo.list_models()[0].name, str)
assert_type(genzoo.inpaint(model, samples, "box:0,0,9,9"), genzoo.Completion)
assert_type(genzoo.project(model, samples), genzoo.Projection)

digits = genzoo.data.open("digits")
assert_type(digits, genzoo.data.DataSet)
assert_type(digits.batch([0, 1]), Tensor)
assert_type(digits.labels_of([0, 1]), Tensor | None)
assert_type(genzoo.data.names(), list[str])

evaluation = genzoo.evaluate("vae-mnist", metrics="fd", n=500, sampling={"truncation": 0.7})
assert_type(evaluation, genzoo.evaluation.Evaluation)
assert_type(evaluation.scores[0], genzoo.metrics.Score)
assert_type(evaluation.scores[0].value, float)
assert_type(genzoo.compare("vae", "dcgan"), genzoo.evaluation.Comparison)
assert_type(genzoo.neighbours("vae-mnist", n=4), genzoo.Neighbours)

family = genzoo.families.get("vae")
assert_type(family, genzoo.Family)
network = family.model(family.tiny)
assert_type(network, genzoo.Model)
trainer = family.make_trainer(network, family.options())
assert_type(trainer, genzoo.Trainer)
assert_type(genzoo.testing.run("trains", "vae"), str | None)
for batch in genzoo.training.batches(torch.zeros(8, *network.shape), 4, steps=2):
    assert_type(batch, genzoo.Batch)
    assert_type(trainer.step(batch), genzoo.Logs)
try:
    genzoo.load("nothing-like-this")
except genzoo.GenzooError as error:
    assert_type(error.exit_code, int)
