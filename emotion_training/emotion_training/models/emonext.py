"""EmoNeXt: a ConvNeXt for faces that straightens its input and is regularised by self-attention.

El Boudouri and Bohi, "EmoNeXt: an Adapted ConvNeXt for Facial Emotion Recognition", MMSP 2023
(arXiv:2501.08199), on Liu et al., "A ConvNet for the 2020s", CVPR 2022; written anew. Where it is not what the
authors' code does:

- Their attention takes the pooled vectors of a batch as its tokens, so that the samples of a batch attend to
  each other, and at batch 1 the regularisation is 0. Here the tokens are the places of one picture's last
  feature map, and the term does not depend on the other samples.
- They compute the attended values and throw them away; here they are what is pooled, so that the value
  projection is trained too. Scores are divided by the square root of the width, not by its fourth root.
- The squeeze-and-excitation layers have biases. They stand, as in their code, behind the convolution that
  leads from a stage to the next.
"""

from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .attention import attention_weights
from .face_encoder import grey_from_rgb
from .imagenet_weights import read_imagenet_convnext
from .registry import face_encoders
from .residual_block import SqueezeExcite


class Architecture(NamedTuple):
    depths: tuple[int, int, int, int]  # blocks of the four stages
    widths: tuple[int, int, int, int]  # their channels


ARCHITECTURES = {
    "T": Architecture((3, 3, 9, 3), (96, 192, 384, 768)),
    "S": Architecture((3, 3, 27, 3), (96, 192, 384, 768)),
    "B": Architecture((3, 3, 27, 3), (128, 256, 512, 1024)),
    "L": Architecture((3, 3, 27, 3), (192, 384, 768, 1536)),
    "XL": Architecture((3, 3, 27, 3), (256, 512, 1024, 2048)),
}
REDUCTION_PX = 32  # of the picture, for each side of a place of the last feature map
LAYER_SCALE = 1e-6  # at the start: blocks begin as almost nothing
SQUEEZE = 16  # channels a unit of the squeeze-and-excitation bottleneck stands for


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def drop_branch(branch: Tensor, share: float, training: bool) -> Tensor:
    """Stochastic depth (Huang et al. 2016): in training a share of the samples does without a residual branch.

    (B, C, H, W) -> the same with zeros for them, and the others enlarged to make up for it.
    """
    if not training or share == 0.0:
        return branch
    keep = torch.rand(len(branch), 1, 1, 1, device=branch.device) >= share
    return branch * keep.to(branch.dtype) / (1.0 - share)


class ConvNeXtBlock(nn.Module):
    """Depthwise 7x7 convolution and a feed-forward step over channels, scaled and added to what came in."""

    def __init__(self, channels: int, drop: float):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.expand = nn.Linear(channels, 4 * channels)
        self.reduce = nn.Linear(4 * channels, channels)
        self.layer_scale = nn.Parameter(torch.full((channels,), LAYER_SCALE))
        self.drop = drop

    def forward(self, x: Tensor) -> Tensor:
        branch = self.depthwise(x).permute(0, 2, 3, 1)  # (B, H, W, C)
        branch = self.reduce(functional.gelu(self.expand(self.norm(branch))))
        branch = (self.layer_scale * branch).permute(0, 3, 1, 2)  # (B, C, H, W)
        return x + drop_branch(branch, self.drop, self.training)


class SpatialTransformer(nn.Module):
    """Warps a picture by the affine map that a small network reads off it (Jaderberg et al. 2015)."""

    def __init__(self, size_px: int):
        super().__init__()
        self.localisation = nn.Sequential(
            nn.Conv2d(3, 8, 7),
            nn.BatchNorm2d(8),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(8, 10, 5),
            nn.BatchNorm2d(10),
            nn.MaxPool2d(2),
            nn.ReLU(),
        )
        side = ((size_px - 6) // 2 - 4) // 2  # of the feature map after both convolutions
        self.affine = nn.Sequential(nn.Linear(10 * side * side, 32), nn.ReLU(), nn.Linear(32, 6))

    def start_as_identity(self) -> None:
        last = self.affine[2]
        nn.init.zeros_(last.weight)
        with torch.no_grad():
            last.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]))

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 3, S, S) -> the same shape."""
        features = self.localisation(picture).flatten(1)  # (B, 10 * side * side)
        matrices = self.affine(features).unflatten(1, (2, 3))  # (B, 2, 3)
        grid = functional.affine_grid(matrices, list(picture.shape), align_corners=False)  # (B, S, S, 2)
        return functional.grid_sample(picture, grid, align_corners=False)


class TokenAttention(nn.Module):
    """Dot-product self-attention over the places of one picture, which also tells how uneven it is."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, C) -> attended (B, N, C), regularisation (B,).

        The regularisation is the paper's L_SA of each sample: the mean squared deviation of its attention
        weights from their mean, which is 1 / N.
        """
        normed = self.norm(tokens)
        query, key = self.query(normed).unsqueeze(1), self.key(normed).unsqueeze(1)  # (B, 1, N, C)
        weights = attention_weights(query, key, None).squeeze(1)  # (B, N, N)
        deviation = weights - weights.mean(dim=(1, 2), keepdim=True)
        attended = normed + torch.matmul(weights, self.value(normed))
        return attended, (deviation * deviation).mean(dim=(1, 2))


@face_encoders.register("emonext")
class EmoNeXt(nn.Module):
    """Face crops of any size, brought to `size_px` and to grey in three channels, as the paper's input.

    Args:
        size: T, S, B, L or XL.
        size_px: side of the picture inside; the paper takes 224.
        stochastic_depth: share of samples that the last block is left out of; earlier ones less, linearly.

    Raises:
        ValueError: for a picture of less than two places a side, whose attention would be constant.
    """

    def __init__(
        self,
        size: Literal["T", "S", "B", "L", "XL"],
        size_px: int = 224,
        stochastic_depth: float = 0.1,
    ):
        super().__init__()
        if size_px < 2 * REDUCTION_PX:
            raise ValueError(f"size_px is {size_px}; expected at least {2 * REDUCTION_PX} for EmoNeXt")
        self.size_px = size_px
        depths, widths = ARCHITECTURES[size]
        last = sum(depths) - 1
        drops = [stochastic_depth * i / last for i in range(last + 1)]
        self.spatial_transformer = SpatialTransformer(size_px)
        self.downsampling = nn.ModuleList(
            [nn.Sequential(nn.Conv2d(3, widths[0], 4, stride=4), ChannelNorm(widths[0], eps=1e-6))]
        )
        for narrow, wide in pairwise(widths):
            self.downsampling.append(
                nn.Sequential(
                    ChannelNorm(narrow, eps=1e-6),
                    nn.Conv2d(narrow, wide, 2, stride=2),
                    SqueezeExcite(wide, SQUEEZE),
                )
            )
        self.stages = nn.ModuleList()
        for depth, width in zip(depths, widths, strict=True):
            block_drops, drops = drops[:depth], drops[depth:]
            self.stages.append(nn.Sequential(*(ConvNeXtBlock(width, drop) for drop in block_drops)))
        self.attention = TokenAttention(widths[-1])
        self.norm = nn.LayerNorm(widths[-1], eps=1e-6)
        self.embedding = widths[-1]
        self.apply(_initialise)
        self.spatial_transformer.start_as_identity()

    def start_from(self, weights: Path) -> None:
        """Fills the ConvNeXt from a file, see `imagenet_weights`; the parts that it does not have stay.

        Raises:
            WeightsError: for a file that is missing or does not fit, which changes nothing.
        """
        self.load_state_dict(read_imagenet_convnext(weights, self.state_dict()), strict=False)

    def forward_features(self, picture: Tensor) -> Tensor:
        """(B, 3, size_px, size_px) in [0, 1] -> tokens (B, N, D), N = (size_px / 32)**2."""
        features = self.spatial_transformer(picture)
        for downsampling, stage in zip(self.downsampling, self.stages, strict=True):
            features = stage(downsampling(features))
        return features.flatten(2).transpose(1, 2)  # (B, D, H, W) -> (B, H * W, D)

    def forward_head(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, N, D) -> embeddings (B, D), attention regularisation (B,)."""
        attended, regularisation = self.attention(tokens)
        return self.norm(attended.mean(dim=1)), regularisation

    def forward_regularised(self, face: Tensor) -> tuple[Tensor, Tensor]:
        """(B, S, S, 3) uint8 RGB -> embeddings (B, D), attention regularisation (B,), for training."""
        return self._regularised(grey_from_rgb(face))

    def embed_grey(self, grey: Tensor) -> Tensor:
        """(B, 1, S, S) grey in [0, 1] -> (B, D)."""
        return self._regularised(grey)[0]

    def _regularised(self, grey: Tensor) -> tuple[Tensor, Tensor]:
        shape = (self.size_px, self.size_px)
        picture = functional.interpolate(grey, size=shape, mode="bilinear", align_corners=False)
        return self.forward_head(self.forward_features(picture.expand(-1, 3, -1, -1)))

    def forward(self, face: Tensor) -> Tensor:
        """(B, S, S, 3) uint8 RGB -> (B, D)."""
        return self.forward_regularised(face)[0]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
