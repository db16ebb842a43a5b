"""MobileNet (Howard et al. 2017) as an encoder of faces that starts from one that tells people apart."""

import math
from collections.abc import Collection
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from .depthwise import DepthwiseConv2d
from .face_encoder import grey_from_rgb, standardise
from .face_recognition_weights import read_face_recognition
from .registry import face_encoders

STEM_CHANNELS = 32
BLOCKS = (  # channels, stride
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
)
EPSILON = 1e-3  # of the normalisations
GREY_DEVIATION = 60.0  # grey levels by which a face's pixels deviate from their mean, about


@face_encoders.register("mobilenet")
class MobileNetFaceEncoder(nn.Module):
    """`forward` takes what the robot sends; `embed_grey` is the same network after the conversion to grey.

    input_px: the side that crops are enlarged to, that of the faces the weights were made for or somewhat less.
    blocks: how many of the thirteen; the last ones know who it is more than how the face looks. frozen_blocks: how many
    of them, and the first convolution, never train.
    """

    def __init__(self, input_px: int, blocks: int, frozen_blocks: int, embedding: int, dropout: float):
        super().__init__()
        if not 1 <= frozen_blocks < blocks <= len(BLOCKS):
            raise ValueError(
                f"blocks is {blocks} and frozen_blocks {frozen_blocks}; expected up to {len(BLOCKS)}, some frozen"
            )
        self.input_px = input_px
        layers = [_layer(nn.Conv2d(1, STEM_CHANNELS, 3, 2, padding=1, bias=False))]
        channels_in = STEM_CHANNELS
        for channels, stride in BLOCKS[:blocks]:
            layers.append(_layer(DepthwiseConv2d(channels_in, stride)))
            layers.append(_layer(nn.Conv2d(channels_in, channels, 1, bias=False)))
            channels_in = channels
        frozen = 1 + 2 * frozen_blocks
        self.frozen, self.network = nn.Sequential(*layers[:frozen]).eval(), nn.Sequential(*layers[frozen:])
        self.frozen.requires_grad_(False)
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(channels_in, embedding)
        self.embedding = embedding

    def train(self, mode: bool = True) -> "MobileNetFaceEncoder":
        super().train(mode)
        self.frozen.eval()  # its normalisation stays what it was
        return self

    def embed_grey(self, grey: Tensor) -> Tensor:
        """(B, 1, S, S) grey in [0, 1] -> (B, D)."""
        features = self.network(self.frozen(self.enlarged(grey)))  # (B, C, H, W)
        return self.project(self.dropout(features.mean(dim=(2, 3))))

    def forward(self, face: Tensor) -> Tensor:
        """(B, S, S, 3) uint8 RGB -> (B, D)."""
        return self.embed_grey(grey_from_rgb(face))

    def start_on(self, grey: Tensor, weights: Path) -> None:
        """Fills the convolutions from a file of weights, see `read_face_recognition`.

        In the file the normalisations are already part of the convolutions. They are put back so that the network stays
        the same function while its normalisations see `grey`, (B, 1, S, S) in [0, 1], and kernels are about as large as
        fresh ones, for which learning rates are meant.

        Raises:
            WeightsError: for a file that is missing or does not fit.
        """
        layers = self._layers
        with torch.no_grad():
            x = self.enlarged(grey)
            for layer, (kernel, scale, shift) in zip(layers, read_face_recognition(weights), strict=False):
                convolution, normalisation = layer[0], layer[1]
                if convolution is layers[0][0]:
                    kernel = kernel.sum(dim=1, keepdim=True) * GREY_DEVIATION  # three colours that are one grey
                length = kernel.flatten(1).norm(dim=1).clamp(min=1e-12)
                convolution.weight.copy_(kernel / length[:, None, None, None])
                scale = scale * length
                response = convolution(x)
                mean, variance = response.mean(dim=(0, 2, 3)), response.var(dim=(0, 2, 3), unbiased=False)
                normalisation.running_mean.copy_(mean)
                normalisation.running_var.copy_(variance)
                normalisation.weight.copy_(scale * torch.sqrt(variance + EPSILON))
                normalisation.bias.copy_(shift + scale * mean)
                x = functional.relu6(response * scale[:, None, None] + shift[:, None, None])

    def look_at_fewer(self, input_px: int, halving_blocks: Collection[int], blocks: int) -> None:
        """Enlarges crops to another side, and halves them in other blocks; the weights stay.

        blocks: after so many the places are the same as before.

        Raises:
            ValueError: they are not, or there are no such blocks.
        """
        count = len(self._layers) // 2
        if not all(1 <= number <= count for number in (blocks, *halving_blocks)):
            raise ValueError(
                f"learning_blocks is {blocks} and halving_blocks {list(halving_blocks)}; expected 1 to {count}"
            )
        before = self._sides(blocks)
        self.input_px = input_px
        for number, layer in enumerate(self._layers[1::2], 1):
            layer[0].stride = (2, 2) if number in halving_blocks else (1, 1)
        after = self._sides(blocks)
        if after != before:
            raise ValueError(
                f"a face has {after} places a side where blocks end from number {blocks} on; expected {before}, as "
                "before; change input_px or halving_blocks"
            )

    def first_layers(self, blocks: int) -> list[nn.Module]:
        """The first convolution and so many blocks, which take what `enlarged` makes."""
        return self._layers[: 1 + 2 * blocks]

    @property
    def _layers(self) -> list[nn.Module]:
        return [*self.frozen, *self.network]

    def _sides(self, blocks: int) -> list[int]:
        """How many places a side has at the end of block number `blocks` and of those behind it."""
        sides = [self.input_px]
        for layer in self._layers:
            sides.append(math.ceil(sides[-1] / layer[0].stride[0]))
        return sides[1 + 2 * blocks :: 2]

    def enlarged(self, grey: Tensor) -> Tensor:
        """(B, 1, S, S) grey in [0, 1] -> (B, 1, input_px, input_px), about zero mean and unit deviation."""
        size = (self.input_px, self.input_px)
        return functional.interpolate(standardise(grey), size=size, mode="bilinear", align_corners=False)


def _layer(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels, eps=EPSILON), nn.ReLU6())
