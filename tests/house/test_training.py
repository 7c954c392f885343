"""ERF along real trainings: a plain loop, Lightning's and the Hugging Face trainer, against the running service."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.house.conftest import House
from torch import nn

from erfscope import Client, errors
from erfscope.training import ErfTracker, lightning_callback, transformers_callback

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:lightning", "ignore::DeprecationWarning")
SHAPE = (1, 24, 24)


class Net(nn.Module):
    """Three convolutions; as the Hugging Face trainer calls it, it answers with its loss."""

    def __init__(self) -> None:
        super().__init__()
        first, middle, last = (nn.Conv2d(a, b, 3, padding=1) for a, b in ((1, 8), (8, 8), (8, 1)))
        self.body = nn.Sequential(first, nn.ReLU(), middle, nn.ReLU(), last)

    def forward(self, pixels: torch.Tensor, labels: torch.Tensor | None = None) -> Any:
        out = self.body(pixels)
        return out if labels is None else {"loss": (out - labels).square().mean(), "logits": out}


class Blur(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """Noise, and the noise blurred: what the network learns."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.noise = torch.randn(16, *SHAPE, generator=generator)
        self.blurred = nn.functional.avg_pool2d(self.noise, 5, 1, 2)

    def __len__(self) -> int:
        return len(self.noise)

    def __getitem__(self, n: int) -> dict[str, torch.Tensor]:
        return {"pixels": self.noise[n], "labels": self.blurred[n]}


@pytest.fixture
def tracker(house: House) -> Any:
    with Client(house.url) as client:
        yield ErfTracker(client, input_shape=SHAPE, inputs=4, strict=True)


def check(tracker: ErfTracker, epochs: list[int]) -> None:
    """Each checkpoint was measured, and the weights moved between them."""
    series = tracker.series().result()
    assert [point.x for point in series.points] == epochs
    assert [point.label for point in series.points] == [f"epoch {n}" for n in epochs]
    sizes = [point.metrics["mass_50_side"] for point in series.points]
    assert len(set(sizes)) == len(sizes)
    assert all(point.metrics["trf_size"] == 7 for point in series.points)
    change = series.trends["mass_50_side"].change
    assert change is not None
    assert change.difference == pytest.approx(sizes[-1] - sizes[0])


def test_a_plain_loop(tracker: ErfTracker) -> None:
    torch.manual_seed(0)
    net, data = Net(), Blur()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    for epoch in range(5):
        tracker(epoch, net) if epoch % 2 == 0 else None
        optimizer.zero_grad()
        net(data.noise, data.blurred)["loss"].backward()
        optimizer.step()
    assert net.training
    check(tracker, [0, 2, 4])


def test_every_skips_epochs_and_an_error_is_a_warning(house: House) -> None:
    with Client(house.url) as client:
        tracker = ErfTracker(client, every=3, input_shape=(3, 24, 24), inputs=2)
        assert tracker(1, Net()) is None
        with pytest.warns(UserWarning, match="epoch 3 is missing"):
            assert tracker(3, Net()) is None  # it takes one channel, not three


def test_what_can_never_work_is_said_at_once(house: House) -> None:
    with Client(house.url) as client, pytest.raises(errors.InvalidRequest, match="inputz"):
        ErfTracker(client, inputz=3)  # type: ignore[call-arg]


def test_lightning(tracker: ErfTracker, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own
        import lightning.pytorch as pl

        class Module(pl.LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.net = Net()

            def training_step(self, batch: dict[str, torch.Tensor], index: int) -> torch.Tensor:
                return self.net(**batch)["loss"]

            def configure_optimizers(self) -> torch.optim.Optimizer:
                return torch.optim.Adam(self.parameters(), lr=0.05)

        torch.manual_seed(1)
        trainer = pl.Trainer(
            max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, default_root_dir=tmp_path, callbacks=[lightning_callback(tracker, "net")],
        )  # fmt: skip
        trainer.fit(Module(), torch.utils.data.DataLoader(Blur(), batch_size=8))
    check(tracker, [0, 1, 2])


def test_the_hugging_face_trainer(tracker: ErfTracker, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own
        from transformers import Trainer, TrainingArguments

        torch.manual_seed(2)
        arguments = TrainingArguments(
            output_dir=str(tmp_path), num_train_epochs=2, per_device_train_batch_size=8, learning_rate=0.05,
            save_strategy="no", report_to=[], use_cpu=True, disable_tqdm=True, logging_strategy="no",
        )  # fmt: skip
        callback = transformers_callback(tracker)
        Trainer(model=Net(), args=arguments, train_dataset=Blur(), callbacks=[callback]).train()
    check(tracker, [0, 1, 2])
