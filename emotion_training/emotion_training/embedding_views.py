"""Embeddings of the corpora as the fusion learns from them, kept from one build to the next."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from .audio_training import AudioClassifier
from .config import BundleConfig, configuration_hash
from .evaluation import NOISE_SNR_DB, small_pictures
from .face_set import FaceSet, fingerprint_faces
from .face_training import FaceClassifier
from .fusion_training import embed_faces, embed_features, embed_pictures, embed_voices, embed_windows
from .pairs import FaceEmbeddings, VoiceEmbeddings
from .speech_clips import SpeechClip, fingerprint_clips
from .stage_cache import StageCache
from .voice_features import VoiceFeatures
from .voice_windows import noisy_windows, window_samples


class FaceViews:
    """Embeddings of the parts of the face corpus."""

    def __init__(self, config: BundleConfig, model: FaceClassifier, cache: StageCache, key: str):
        """key: hash of the graph that embeds."""
        self.config, self.model, self.cache = config, model, cache
        self.key = configuration_hash(config.face_training, config.seed, config.threads, key)

    def of(self, part: str, faces: FaceSet) -> FaceEmbeddings:
        views = self.config.fusion_training.face_views
        embed = partial(embed_faces, self.model, faces, views, self.config.face_training, self.config.seed)
        key = configuration_hash(self.key, views, fingerprint_faces(faces))
        stage = self.cache.get(f"face-embeddings-{part}", key, lambda: {"views": torch.from_numpy(embed())})
        return FaceEmbeddings(stage["views"].numpy(), faces.majority_labels, faces.soft_labels)

    def small(self, faces: FaceSet) -> FaceEmbeddings:
        """Of the same faces, far away."""
        embeddings = embed_pictures(self.model, small_pictures(faces.images))
        return FaceEmbeddings(embeddings[None], faces.majority_labels, faces.soft_labels)


def learnt_voices(model: AudioClassifier, features: VoiceFeatures, clips: Sequence[SpeechClip]) -> VoiceEmbeddings:
    """Embeddings of the clips that the voice encoder learnt from, in the same windows."""
    return _voice_embeddings(embed_features(model, features, clips), clips)


class VoiceViews:
    """Embeddings of new people."""

    def __init__(self, config: BundleConfig, model: AudioClassifier, cache: StageCache, key: str):
        """key: hash of the graph that embeds."""
        self.config, self.model, self.cache = config, model, cache
        self.key = configuration_hash(config.audio_training, config.seed, config.threads, key)

    def of(self, part: str, clips: Sequence[SpeechClip]) -> VoiceEmbeddings:
        config, views = self.config, self.config.fusion_training.voice_views
        encoder, training = config.audio_encoder, config.audio_training
        embed = partial(embed_voices, self.model, clips, views, encoder, training, config.seed)
        key = configuration_hash(self.key, views, fingerprint_clips(clips))
        stage = self.cache.get(f"voice-embeddings-{part}", key, lambda: {"views": torch.from_numpy(embed())})
        return _voice_embeddings(stage["views"].numpy(), clips)

    def noisy(self, clips: Sequence[SpeechClip]) -> VoiceEmbeddings:
        """Of the same voices, in noise."""
        windows = noisy_windows(clips, window_samples(self.config.audio_encoder), NOISE_SNR_DB)
        return _voice_embeddings(embed_windows(self.model, windows)[None], clips)


def _voice_embeddings(views: np.ndarray, clips: Sequence[SpeechClip]) -> VoiceEmbeddings:
    labels = np.array([clip.label for clip in clips], np.int64)
    speaker_ids = np.array([clip.speaker_id for clip in clips])
    return VoiceEmbeddings(views, labels, speaker_ids, np.array([clip.intensity or "" for clip in clips]))
