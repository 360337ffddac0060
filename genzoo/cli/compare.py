"""compare: which of several models is better, by which metric, and how sure that is."""

from pathlib import Path
from typing import Annotated, Any

from genzoo.cli.app import Ticker, agreed, app, as_json, parse_settings
from genzoo.cli.completing import complete_model
from genzoo.cli.options import (
    Device,
    Features,
    Force,
    Groups,
    Json,
    Root,
    Seed,
    Settings,
    argument,
    count_option,
    data_option,
    metrics_option,
    out_option,
)
from genzoo.devices import is_first_process
from genzoo.files import expanded
from genzoo.text import printable


@app.command(
    examples=[
        "genzoo compare vae dcgan",
        "genzoo compare vae-mnist gan-mnist --metrics kd,sharpness -n 1000 -o scores",
    ]
)
def compare(
    models: Annotated[
        list[str],
        argument("Two or more models, folders or families.", "MODEL", complete=complete_model),
    ],
    *,
    data: Annotated[str | None, data_option("the first that all models share")] = None,
    n: Annotated[int, count_option("Number of samples of each model.")] = 4000,
    seed: Seed = 0,
    settings: Settings = None,
    metrics: Annotated[str | None, metrics_option()] = None,
    features: Features = None,
    groups: Groups = None,
    root: Root = None,
    out: Annotated[
        Path | None,
        out_option("Folder for compare.html, .png and .json.", "MODEL-vs-MODEL", "FOLDER"),
    ] = None,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Rank models by metrics, with confidence.

    --set NAME=VALUE is for all models that have this setting, --set MODEL:NAME=VALUE for one.
    """
    from genzoo.evaluation import choice

    any_data = metrics is not None or features is not None
    folders, _, _ = choice.choose_models(models, data, any_data=any_data)
    path = expanded(out or Path("-vs-".join(Path(name).name for name in folders)))
    choice.check_target(path, force)
    from genzoo.evaluation import compare as comparing

    ticker = Ticker()
    result = comparing.compare(
        *models,
        data=data,
        n=n,
        seed=agreed(seed),
        sampling=_sampling(parse_settings(settings)),
        metrics=[name.strip() for name in metrics.split(",")] if metrics is not None else None,
        features=features,
        groups=groups,
        root=root,
        device=device,
        progress=ticker.count,
    )
    ticker.done()
    if is_first_process():
        result.save(path, force=force)
    is_file = path.suffix.lower() in choice.ENDINGS
    if json:
        as_json({"path" if is_file else "folder": str(path), **result.record()})
        return
    print("\n".join(map(printable, str(result).split("\n"))))
    print(printable(str(path if is_file else path / choice.FILES[0])))


def _sampling(values: dict[str, Any]) -> dict[str, Any]:
    """``{"./fm:steps": 20}`` as ``{"./fm": {"steps": 20}}``; a name alone stays for all models."""
    sampling: dict[str, Any] = {}
    for key, value in values.items():
        model, colon, name = key.rpartition(":")
        if colon:
            sampling.setdefault(model, {})[name] = value
        else:
            sampling[name] = value
    return sampling
