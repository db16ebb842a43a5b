"""Trains the fusion on the embeddings of the frozen encoders."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from .audio_training import AudioClassifier
from .config import (
    AudioEncoderConfig,
    AudioTrainingConfig,
    BundleConfig,
    FaceTrainingConfig,
    FusionConfig,
    FusionTrainingConfig,
)
from .face_set import FaceSet
from .face_training import FACES_AT_ONCE, FaceClassifier, augmented_batch, grey_batches
from .judgements import OPINIONS, Opinions
from .labels import LABELS
from .metrics import confusion_counts
from .models.fusion import IntermediateFusion
from .models.registry import fusions
from .optimisation import one_cycle
from .pairs import Pairs, PairSampler, VoiceEmbeddings
from .speech_clips import SpeechClip
from .voice_features import VoiceFeatures
from .voice_windows import WINDOWS_AT_ONCE, AugmentedWindows, plain_windows, window_samples

PAIRS_AT_ONCE = 512  # where nothing learns


def embed_pictures(model: FaceClassifier, images: np.ndarray) -> np.ndarray:
    """uint8 (N, S, S) -> embeddings float32 (N, D)."""
    model.eval()
    with torch.inference_mode():
        parts = [model.encoder.embed_grey(grey) for grey in grey_batches(images)]
    return torch.cat(parts).numpy()


def embed_faces(model: FaceClassifier, faces: FaceSet, views: int, config: FaceTrainingConfig, seed: int) -> np.ndarray:
    """Embeddings float32 (views, N, D): the plain picture first, then augmented ones."""
    generator = torch.Generator().manual_seed(seed)
    embeddings = np.empty((views, len(faces), model.encoder.embedding), np.float32)
    embeddings[0] = embed_pictures(model, faces.images)
    with torch.inference_mode():
        for view in tqdm(range(1, views), desc="face embeddings", unit="view"):
            # In a new order each time: the first of a batch are the ones that are changed as by a robot.
            for chosen in torch.randperm(len(faces), generator=generator).split(FACES_AT_ONCE):
                grey = augmented_batch(faces.images[chosen.numpy()], config, generator)
                embeddings[view, chosen.numpy()] = model.encoder.embed_grey(grey).numpy()
    return embeddings


def embed_windows(model: AudioClassifier, windows: Tensor) -> np.ndarray:
    """(M, N) in [-1, 1] -> embeddings float32 (M, Ta, D)."""
    model.eval()
    with torch.inference_mode():
        return torch.cat([model.encoder(part) for part in windows.split(WINDOWS_AT_ONCE)]).numpy()


def embed_voices(
    model: AudioClassifier,
    clips: Sequence[SpeechClip],
    views: int,
    encoder_config: AudioEncoderConfig,
    config: AudioTrainingConfig,
    seed: int,
) -> np.ndarray:
    """Embeddings float32 (views, M, Ta, D): the plain window first, then augmented ones."""
    augmented = AugmentedWindows(clips, encoder_config, config, torch.Generator().manual_seed(seed))
    plain = embed_windows(model, plain_windows(clips, augmented.samples))
    embeddings = np.empty((views, *plain.shape), np.float32)
    embeddings[0] = plain
    for view in tqdm(range(1, views), desc="voice embeddings", unit="view"):
        # In a new order each time: the babble of a window is made of those beside it.
        for chosen in torch.randperm(len(clips), generator=augmented.generator).split(WINDOWS_AT_ONCE):
            embeddings[view, chosen.numpy()] = embed_windows(model, augmented(chosen))
    return embeddings


def embed_features(model: AudioClassifier, features: VoiceFeatures, clips: Sequence[SpeechClip]) -> np.ndarray:
    """Embeddings float32 (V, M, Ta, D) of the kept windows of each clip."""
    model.eval()
    places = features.places(clips)
    with torch.inference_mode():
        return torch.stack([model.encoder.encode(view[places].float()) for view in features.views]).numpy()


def fusion_network(config: FusionConfig) -> dict[str, Any]:
    """The fusion by its registered name, as model.json records it."""
    options = {"width": config.width, "heads": config.heads, "dropout": config.dropout}
    return {"name": "cross_attention", "options": options}


def make_fusion(
    config: BundleConfig, face: FaceClassifier, audio: AudioClassifier, face_shares: np.ndarray
) -> IntermediateFusion:
    """A fusion whose heads per modality are those that the encoders were trained by, and stay so.

    One modality alone is then judged as by its encoder's own head, whatever the pairs are like. But that of the face
    has learnt how frequent each class is among faces of a web search. That is taken out of its logits (logit
    adjustment, Menon et al. 2021), and given back in part where a face is alone.

    face_shares: of each class, in the votes that the head was trained by, (C,).
    """
    fusion = fusions.build(
        **fusion_network(config.fusion),
        face_embedding=face.encoder.embedding,
        face_bins=config.fusion.bins,
        audio_embedding=audio.encoder.embedding,
        audio_tokens=audio.encoder.token_count(window_samples(config.audio_encoder)),
        classes=len(LABELS),
    )
    expected = torch.from_numpy(np.log(face_shares)).float()
    fusion.face_head.load_state_dict(face.head.state_dict())
    with torch.no_grad():
        fusion.face_head.bias -= expected
    fusion.face_prior.copy_(config.fusion.face_prior * expected)
    fusion.audio_pool.load_state_dict(audio.pool.state_dict())
    fusion.audio_head.load_state_dict(audio.head.state_dict())
    for module in (fusion.face_head, fusion.audio_pool, fusion.audio_head):
        module.requires_grad_(False)
    return fusion


def pool_of(fusion: IntermediateFusion) -> dict[str, float]:
    """How much each opinion counts, as the metrics of a bundle name them."""
    return dict(zip(OPINIONS, fusion.pool.double().numpy().round(4).tolist(), strict=True))


def run_fusion(fusion: IntermediateFusion, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Logits (B, C) and modality weights (B, 2)."""
    fusion.eval()
    with torch.inference_mode():
        parts = [fusion(*inputs) for inputs in _batches(pairs)]
    logits, weights = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
    return logits, weights


def opinions_of(fusion: IntermediateFusion, pairs: Pairs) -> Opinions:
    """What each part of the fusion says of pairs of a face and a voice."""
    fusion.eval()
    with torch.inference_mode():
        logits = [fusion.opinions(*inputs)[0] for inputs in _batches(pairs)]
    return Opinions(torch.cat(logits).numpy(), pairs.labels)


def _batches(pairs: Pairs) -> Iterator[tuple[Tensor, ...]]:
    return zip(*(torch.from_numpy(value).split(PAIRS_AT_ONCE) for value in pairs.inputs), strict=True)


def taken_for(fusion: IntermediateFusion, voices: VoiceEmbeddings) -> np.ndarray:
    """How often all views of voices of a class (rows) are taken for one (columns) by the voice head, int (C, C)."""
    tokens = torch.from_numpy(voices.views).flatten(0, 1)  # (V * M, Ta, D)
    with torch.inference_mode():
        predicted = fusion.audio_head(fusion.audio_pool(tokens)).argmax(dim=1).numpy()
    return confusion_counts(np.tile(voices.labels, len(voices.views)), predicted, len(LABELS))


def voice_confusion(known: np.ndarray, new: np.ndarray, strength: float) -> np.ndarray:
    """From which class to draw the voice of a pair (see PairSampler), (C, C) with rows that sum to 1.

    The confusion of the voice head on new speakers, mixed with the identity. With a strength of 1 so that its expected
    accuracy on the voices learnt from falls to the one on new speakers; with 0 it is the identity. One count is added
    to each cell of the new ones: those speakers are few.

    known, new: `taken_for` of the voices learnt from, and of new speakers.
    """
    counts = new + 1.0
    confusion = counts / counts.sum(axis=1, keepdims=True)
    accuracy_known, accuracy_new = np.trace(known) / known.sum(), np.diag(confusion).mean()
    share = float(
        np.clip(strength * (accuracy_known - accuracy_new) / (accuracy_known * (1.0 - accuracy_new)), 0.0, 1.0)
    )
    return (1.0 - share) * np.eye(len(LABELS)) + share * confusion


def train_fusion(
    fusion: IntermediateFusion,
    config: FusionTrainingConfig,
    sampler: PairSampler,
    validation: dict[str, Pairs],
    seed: int,
) -> list[dict[str, float]]:
    """Trains in place what the fusion does with a face and a voice; what it does with one of them is fixed.

    validation: pairs by state, or none; their accuracies are kept per epoch and nothing is chosen by them.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    learning = [parameter for parameter in fusion.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=config.learning_rate, weight_decay=config.weight_decay)
    steps_per_epoch = config.pairs_per_epoch // config.batch
    schedule = one_cycle(optimizer, config.epochs * steps_per_epoch)
    history = []
    progress = tqdm(range(config.epochs), desc="fusion", unit="epoch", mininterval=5)
    for epoch in progress:
        total_loss = 0.0
        for _ in range(steps_per_epoch):
            fusion.train()
            pairs = sampler.both(rng.integers(0, len(LABELS), config.batch), rng)
            logits, _ = fusion(*(torch.from_numpy(value) for value in pairs.inputs))
            loss = functional.cross_entropy(logits, torch.from_numpy(pairs.targets))
            if not torch.isfinite(loss):
                raise FloatingPointError(f"the fusion loss is {loss.item()} in epoch {epoch + 1}; lower learning_rate")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total_loss += loss.item()
        row = {"loss": total_loss / steps_per_epoch}
        for state, pairs in validation.items():
            row[f"validation_accuracy_{state}"] = float((run_fusion(fusion, pairs)[0].argmax(1) == pairs.labels).mean())
        history.append(row)
        progress.set_postfix({name.removeprefix("validation_accuracy_"): f"{value:.3f}" for name, value in row.items()})
    fusion.eval()
    return history
