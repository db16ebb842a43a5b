"""Several networks of the same make in one: small networks on few clips differ by their draws, their mean less so."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from .audio_visual import AudioVisualModel, FusionOutput
from .registry import ModelError


class MemberEnsemble(nn.Module):
    """K models with weights of their own, computed at once.

    In training each member has its own say, and learns by its own loss: logits are (B, K, C). In evaluation they are
    (B, C), the mean of the members' log-probabilities, and so are those of a single modality.
    """

    def __init__(self, members: Sequence[AudioVisualModel]):
        """Raises ModelError for members with batch normalisation, whose statistics are not kept by member."""
        super().__init__()
        if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in members[0].modules()):
            raise ModelError("members with batch normalisation cannot be computed at once; set members to 1")
        self.members = nn.ModuleList(members)

    def forward(self, batch: Mapping[str, Tensor]) -> FusionOutput:
        """A batch as `AudioVisualModel` takes it; see the class."""
        first = self.members[0]
        parameters = _stacked([dict(member.named_parameters()) for member in self.members])
        buffers = _stacked([dict(member.named_buffers()) for member in self.members])
        kinds: list[str] = []

        def run(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> tuple[Tensor, ...]:
            output = functional_call(first, (parameters, buffers), (batch,))._asdict()
            kinds[:] = [kind for kind, value in output.items() if value is not None]
            return tuple(output[kind] for kind in kinds)

        outputs = vmap(run, randomness="different")(parameters, buffers)  # (K, B, ...) each
        found = {kind: output.transpose(0, 1) for kind, output in zip(kinds, outputs, strict=True)}  # (B, K, ...)
        weights = found.pop("modality_weights").mean(dim=1)  # (B, 2)
        if not self.training:
            found = {kind: torch.log_softmax(logits, dim=2).mean(dim=1) for kind, logits in found.items()}
        return FusionOutput(
            found["logits"], weights, found.get("face_logits"), found.get("audio_logits"), face_regularisation=None
        )


def per_member(output: FusionOutput, *rows: Tensor) -> tuple[FusionOutput, ...]:
    """The output of K members (B, K, C) as one of B * K clips (B * K, C), and `rows` (B, ...) repeated to match.

    The output of a single model stays as it is, and so do the rows.
    """
    if output.logits.ndim == 2:
        return output, *rows
    members = output.logits.shape[1]
    flat = {
        kind: None if logits is None else logits.flatten(0, 1)  # (B * K, C)
        for kind, logits in output._asdict().items()
        if kind in ("logits", "face_logits", "audio_logits")
    }
    return output._replace(**flat), *(value.repeat_interleave(members, dim=0) for value in rows)


def _stacked(members: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors (K, ...) by name."""
    return {name: torch.stack([member[name] for member in members]) for name in members[0]}
