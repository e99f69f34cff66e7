"""URLs in Python: a training that is interrupted and goes on, and is published only when it is finished."""

from __future__ import annotations

from pathlib import Path

import pytest

import shapecnn
from shapecnn.errors import UsageError
from shapecnn.storage.objects.snapshot import latest
from shapecnn.storage.objects.url import Url

CHANGES = {"stages.grids.epochs": 2, "validation.folds": 2}


def test_an_interrupted_training_goes_on_at_its_url(world: Path, bucket: Url) -> None:
    def interrupt(line: str) -> None:
        if "epoch 1 of 2" in line:
            raise KeyboardInterrupt

    made = shapecnn.prepare("meshes", f"{bucket}/grids", shapecnn.VoxelSettings(), objects="shards", workers=1)
    assert made.written == 9
    url = bucket / "new-run"
    with pytest.raises(KeyboardInterrupt):
        shapecnn.train("demo-shapenets", str(bucket / "grids"), str(url), settings=CHANGES, device="cpu", say=interrupt)
    assert latest(url, fresh=True) is None
    with pytest.raises(UsageError, match=rf"^{url} contains an unfinished training\..*shapecnn train --resume {url}$"):
        shapecnn.train("demo-shapenets", str(bucket / "grids"), str(url), settings=CHANGES, device="cpu")
    lines: list[str] = []
    result = shapecnn.train(None, None, url, resume=True, device="cpu", say=lines.append)
    assert str(result.run) == str(url)
    assert result.epochs == 2
    assert not any("epoch 1 of 2" in line for line in lines)
    assert shapecnn.open_model(str(url)).predict("meshes/box/train/0.off")[0].error is None
    again = shapecnn.train(None, None, str(url), resume=True)
    assert (again.run, again.epochs) == (url, 2)
