"""ERF along a training: submit a checkpoint every few epochs, and the series of them at the end.

`ErfTracker` serves a plain loop; `lightning_callback` and `transformers_callback` wrap it for those trainers (each
imports its library only when called). The service measures while the training goes on; a checkpoint that cannot be
submitted is a warning and never ends a training, unless `strict`.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from erfscope._client import Client
from erfscope._errors import ErfscopeError, refuse
from erfscope._job import JobHandle
from erfscope._request import RequestFields, build
from erfscope._series import SeriesHandle
from erfscope_contract.request import ErfRequest, ModelRef
from erfscope_contract.series import DEFAULT_METRICS

if TYPE_CHECKING:
    import torch


class ErfTracker:
    """Submits the network at epoch 0, `every`, 2·`every` … under one request.

    `fields` are those of `Client.submit`: input_shape (without the batch; needed), layer, inputs, …
    """

    def __init__(
        self,
        client: Client,
        *,
        every: int = 1,
        strict: bool = False,
        request: ErfRequest | Mapping[str, Any] | None = None,
        **fields: Unpack[RequestFields],
    ) -> None:
        if every < 1:
            raise refuse("invalid-request", f"every is {every}; a checkpoint is due every 1, 2, … epochs")
        build(request, fields)  # what can never work is said before the training begins
        self.client = client
        self.jobs: dict[int, JobHandle] = {}
        self._every, self._strict = every, strict
        self._request = request
        self._fields = fields

    def __call__(self, epoch: int, module: "torch.nn.Module") -> JobHandle | None:
        """Submit `module` where a checkpoint is due; its mode and its gradients are left as they are."""
        if epoch % self._every or epoch in self.jobs:
            return None
        try:
            self.jobs[epoch] = self.client.submit(module, request=self._request, **self._fields)
        except ErfscopeError as error:
            if self._strict:
                raise
            warnings.warn(f"epoch {epoch} is missing from the ERF series: {error}", stacklevel=2)
            return None
        return self.jobs[epoch]

    def series(self, x_label: str = "epoch", metrics: Sequence[str] = DEFAULT_METRICS) -> SeriesHandle:
        """The checkpoints so far as one series; what was measured already is answered from the store."""
        epochs = sorted(self.jobs)
        if len(epochs) < 2:
            raise refuse("invalid-request", f"a series needs two checkpoints; {len(epochs)} were submitted")
        models = [ModelRef(sha256=self.jobs[epoch].job.model.sha256) for epoch in epochs]
        return self.client.series(
            models,
            x=epochs,
            labels=[f"epoch {epoch}" for epoch in epochs],
            x_label=x_label,
            metrics=metrics,
            request=self._request,
            **self._fields,
        )


def lightning_callback(tracker: ErfTracker, network: str | None = None) -> Any:
    """A `lightning.pytorch.Callback` that feeds `tracker` before the first epoch and after each.

    `network` names the attribute of the LightningModule that holds the network; by default all of it is exported.
    """
    from lightning.pytorch import Callback

    class ErfCallback(Callback):
        """Submits the network along the training."""

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            """Before the first epoch: the network as it was initialised."""
            self._submit(trainer, 0, pl_module)

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            """After each epoch."""
            self._submit(trainer, trainer.current_epoch + 1, pl_module)

        def _submit(self, trainer: Any, epoch: int, pl_module: Any) -> None:
            if trainer.is_global_zero:  # one process of a distributed training speaks
                tracker(epoch, getattr(pl_module, network) if network else pl_module)

    return ErfCallback()


def transformers_callback(tracker: ErfTracker) -> Any:
    """A `transformers.TrainerCallback` that feeds `tracker` before the first epoch and after each."""
    from transformers import TrainerCallback

    class ErfCallback(TrainerCallback):
        """Submits the network along the training."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            """Before the first epoch: the network as it was initialised."""
            self._submit(state, 0, given["model"])

        def on_epoch_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            """After each epoch."""
            self._submit(state, round(state.epoch), given["model"])

        def _submit(self, state: Any, epoch: int, model: Any) -> None:
            if state.is_world_process_zero:
                tracker(epoch, model)

    return ErfCallback()
