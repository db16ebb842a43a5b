"""Early fusion: low-level features of both modalities, joined before the one encoder that sees them."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from .action_unit_encoder import Standardise
from .face_encoder import grey_from_rgb, standardise
from .log_mel import LogMel
from .masking import equal_shares, present_modalities
from .registry import joint_models
from .residual_block import residual_stages
from .unimodal_heads import AttentivePooling

PICTURE_SIDE = 12  # of the coarse grey picture that stands for a face crop
LOG_MEL_MEAN, LOG_MEL_DEVIATION = -7.0, 4.0  # about, of log-mel energies between silence and the reference


@joint_models.register("early")
class EarlyFusion(nn.Module):
    """A whole model: spectrogram and face rows are one picture over time for one residual network.

    The low-level features of a face are the clip-level features, standardised, or the grey values of a coarse
    picture of each crop; a linear layer brings them to `face_rows` rows, which are held from one face to the
    next and stacked under the mel bands. A missing modality is replaced by learned rows.

    It takes what other models give to their encoders, so it has the contract of a fusion with raw signals in the
    place of embeddings. `face_standardise.fit` is called once with clip-level features of the training data.

    modality_weights: equal shares over what is present; the joint encoder tells no others.

    Args:
        face_features: number F of clip-level features; None for face crops.
        face_rows: together with `mels` a multiple of 2 to the number of stages.
        channels: of the stages; each halves time and rows.
    """

    def __init__(
        self,
        sample_rate_hz: int,
        face_features: int | None,
        classes: int,
        mels: int = 64,
        face_rows: int = 16,
        channels: tuple[int, ...] = (16, 32, 64, 128),
        embedding: int = 128,
        dropout: float = 0.3,
    ):
        super().__init__()
        self.log_mel = LogMel(sample_rate_hz, mels)
        self.face_standardise = Standardise(face_features) if face_features is not None else None
        self.face_rows = nn.Linear(face_features or PICTURE_SIDE**2, face_rows)
        self.absent_face = nn.Parameter(torch.zeros(face_rows))
        self.absent_audio = nn.Parameter(torch.zeros(mels))
        self.network = residual_stages(channels)
        self.token_frames = 2 ** len(channels)
        rows = (mels + face_rows) // self.token_frames
        self.join_rows = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(channels[-1] * rows, embedding), nn.LayerNorm(embedding), nn.ReLU()
        )
        self.pool = AttentivePooling(embedding)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(embedding, classes))

    def forward(self, face: Tensor, face_mask: Tensor, audio: Tensor, audio_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Face uint8 (B, Tf, S, S, 3) or float32 (B, F), bool (B, Tf), audio (B, N), bool (B,) -> logits (B, C),
        modality_weights (B, 2).
        """
        bands = self.log_mel(torch.where(audio_mask.unsqueeze(1), audio, 0.0))  # (B, mels, T)
        bands = (bands - LOG_MEL_MEAN) / LOG_MEL_DEVIATION
        bands = torch.where(audio_mask[:, None, None], bands, self.absent_audio.unsqueeze(1))
        low_level = self._face_features(face, face_mask)  # (B, Tf, F)
        rows = torch.where(face_mask.unsqueeze(2), self.face_rows(low_level), self.absent_face)  # (B, Tf, rows)
        frames = bands.shape[2]
        held = torch.arange(frames, device=rows.device) * rows.shape[1] // frames  # (T,): the face of a frame
        picture = torch.cat([bands, rows[:, held].transpose(1, 2)], dim=1)  # (B, mels + rows, T)
        picture = functional.pad(picture, (-frames % self.token_frames, 0)).unsqueeze(1)
        features = self.network(picture)  # (B, C, (mels + rows) / 16, Ta)
        tokens = self.join_rows(features.flatten(1, 2).transpose(1, 2))  # (B, Ta, D)
        weights = equal_shares(present_modalities(face_mask, audio_mask))
        return self.head(self.pool(tokens)), weights

    def _face_features(self, face: Tensor, face_mask: Tensor) -> Tensor:
        """Low-level features (B, Tf, F) of crops, or of the one row of clip-level features."""
        if self.face_standardise is not None:
            return self.face_standardise(torch.where(face_mask, face, 0.0)).unsqueeze(1)
        crops = face.flatten(0, 1)  # (B * Tf, S, S, 3)
        grey = standardise(grey_from_rgb(crops))  # (B * Tf, 1, S, S)
        coarse = functional.avg_pool2d(grey, crops.shape[1] // PICTURE_SIDE)
        coarse = coarse[:, 0, :PICTURE_SIDE, :PICTURE_SIDE].flatten(1)  # (B * Tf, F)
        return coarse.unflatten(0, face.shape[:2])
