"""Synthetic label-matched pairs: a face and a voice of the same class, from people who never met."""

from dataclasses import dataclass, replace

import numpy as np

from .config import FusionTrainingConfig
from .labels import LABELS, label_index


@dataclass(frozen=True)
class FaceEmbeddings:
    """views: float32 (V, N, D), view 0 of the plain picture; labels: int64 (N,); soft_labels: float32 (N,
    C).
    """

    views: np.ndarray
    labels: np.ndarray
    soft_labels: np.ndarray


@dataclass(frozen=True)
class VoiceEmbeddings:
    """views: float32 (V, M, Ta, D), view 0 of the plain window; labels: int64 (M,); speaker_ids: str (M,);
    intensities: str (M,), "normal", "strong" or "" where it is not known.
    """

    views: np.ndarray
    labels: np.ndarray
    speaker_ids: np.ndarray
    intensities: np.ndarray


@dataclass(frozen=True)
class Pairs:
    """What the fusion is given, and what it should say.

    face_embeddings float32 (B, Tf, D), face_mask bool (B, Tf), audio_embeddings float32 (B, Ta, D),
    audio_mask bool (B,), targets float32 (B, C), labels int64 (B,); voices int64 (B,) and speaker_ids str (B,): which
    clip the voice is of, and whose it is.
    """

    face_embeddings: np.ndarray
    face_mask: np.ndarray
    audio_embeddings: np.ndarray
    audio_mask: np.ndarray
    targets: np.ndarray
    labels: np.ndarray
    voices: np.ndarray
    speaker_ids: np.ndarray

    @property
    def inputs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return self.face_embeddings, self.face_mask, self.audio_embeddings, self.audio_mask

    def only(self, state: str) -> "Pairs":
        """The same pairs as the fusion sees them in the state `both`, `face` or `audio`."""
        return replace(
            self, face_mask=self.face_mask & (state != "audio"), audio_mask=self.audio_mask & (state != "face")
        )


class PairSampler:
    """Draws pairs of one split: a face and a voice of one class, expressed about as strongly.

    On the true pairs of RAVDESS the errors of face and voice go together a little more than the class alone makes them
    (phi 0.08 within a class), and how strongly the emotion is expressed is a part of it (0.06 without). So a face whose
    annotators agreed more than is usual for its class gets no voice of normal intensity, any other face no strong one.

    voice_confusion: (C, C), row y the share of each class from which the voice of a pair of class y is drawn.
    The encoder knows the voices that it learnt from far better than new ones; with what it confuses on new
    speakers the fusion learns how far a voice is to be trusted. The identity gives true pairs.
    """

    def __init__(
        self,
        faces: FaceEmbeddings,
        voices: VoiceEmbeddings,
        bins: int,
        config: FusionTrainingConfig,
        voice_confusion: np.ndarray,
    ):
        self.faces, self.voices, self.bins, self.config = faces, voices, bins, config
        self.voice_confusion = voice_confusion
        self.faces_of = [np.flatnonzero(faces.labels == c) for c in range(len(LABELS))]
        self.voices_of = [np.flatnonzero(voices.labels == c) for c in range(len(LABELS))]
        for label, face_indices, voice_indices in zip(LABELS, self.faces_of, self.voices_of, strict=True):
            if len(face_indices) == 0 or len(voice_indices) == 0:
                raise ValueError(
                    f"class {label} has {len(face_indices)} faces and {len(voice_indices)} voices; "
                    "expected at least one of each: choose other speakers or a larger validation share"
                )
        agreement = faces.soft_labels.max(axis=1)  # (N,)
        usual = np.array([np.median(agreement[of_class]) for of_class in self.faces_of])  # (C,)
        self.face_is_clear = agreement >= usual[faces.labels]  # (N,)

    def both(self, labels: np.ndarray, rng: np.random.Generator, plain: bool = False) -> Pairs:
        """A pair for each of `labels`, int (B,). plain: one picture in every bin and the plain window, no
        confusion.
        """
        faces = np.array([rng.choice(self.faces_of[c]) for c in labels])
        voice_classes = labels if plain else [rng.choice(len(LABELS), p=self.voice_confusion[c]) for c in labels]
        voices = np.array([self._voice_for(face, c, rng) for face, c in zip(faces, voice_classes, strict=True)])
        hard = np.eye(len(LABELS), dtype=np.float32)[labels]
        smoothing = self.config.label_smoothing
        targets = hard * (1.0 - smoothing) + smoothing / len(LABELS)
        return self._pairs(faces, voices, targets, labels, None if plain else rng)

    def _voice_for(self, face: int, label: int, rng: np.random.Generator) -> int:
        """A voice of a class for a face; of any intensity where the class has no fitting one."""
        of_class = self.voices_of[label]
        unfitting = "normal" if self.face_is_clear[face] else "strong"
        fitting = of_class[self.voices.intensities[of_class] != unfitting]
        return int(rng.choice(fitting if len(fitting) else of_class))

    def face_only(self, count: int, rng: np.random.Generator) -> Pairs:
        """Faces as often as they occur in the corpus, with their votes as targets."""
        return self._faces(rng.integers(0, len(self.faces.labels), count), rng)

    def audio_only(self, count: int, rng: np.random.Generator) -> Pairs:
        """Voices as often as they occur in the corpora."""
        return self._voices(rng.integers(0, len(self.voices.labels), count), rng)

    def in_every_state(self, count: int, rng: np.random.Generator) -> dict[str, Pairs]:
        """So many of each: of both with classes in equal numbers, of one alone with classes as in its corpora."""
        labels = np.arange(count) % len(LABELS)
        return {
            "both": self.both(labels, rng),
            "face": self.face_only(count, rng),
            "audio": self.audio_only(count, rng),
        }

    def every_face(self) -> Pairs:
        """Each picture once, as it is, without a voice."""
        return self._faces(np.arange(len(self.faces.labels)), None)

    def every_voice(self) -> Pairs:
        """Each clip once, by its plain window, without a face."""
        return self._voices(np.arange(len(self.voices.labels)), None)

    def _faces(self, faces: np.ndarray, rng: np.random.Generator | None) -> Pairs:
        """Some faces, int (B,), alone."""
        voices = np.zeros(len(faces), np.int64)
        return self._pairs(faces, voices, self.faces.soft_labels[faces], self.faces.labels[faces], rng).only("face")

    def _voices(self, voices: np.ndarray, rng: np.random.Generator | None) -> Pairs:
        """Some voices, int (B,), alone."""
        faces, labels = np.zeros(len(voices), np.int64), self.voices.labels[voices]
        return self._pairs(faces, voices, np.eye(len(LABELS))[labels], labels, rng).only("audio")

    def _pairs(
        self,
        faces: np.ndarray,
        voices: np.ndarray,
        targets: np.ndarray,
        labels: np.ndarray,
        rng: np.random.Generator | None,
    ) -> Pairs:
        """Pairs as a robot would meet them, drawn by `rng`; plain ones without it."""
        count = len(faces)
        if rng is None:
            face_embeddings = np.repeat(self.faces.views[0, faces][:, None], self.bins, axis=1)  # (B, Tf, D)
            face_mask = np.ones((count, self.bins), bool)
            audio_embeddings = self.voices.views[0, voices]  # (B, Ta, D)
        else:
            shown = self._face_sequences(faces, rng)  # (B, Tf)
            # Who is far away or in the dark is so in all bins.
            face_embeddings = self.faces.views[rng.integers(0, len(self.faces.views), (count, 1)), shown]
            face_mask = self._bin_masks(count, rng)
            audio_embeddings = self.voices.views[rng.integers(0, len(self.voices.views), count), voices]
        return Pairs(
            face_embeddings,
            face_mask,
            audio_embeddings,
            np.ones(count, bool),
            targets.astype(np.float32),
            labels,
            voices,
            self.voices.speaker_ids[voices],
        )

    def _face_sequences(self, faces: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Which picture each bin shows, int (B, Tf): mostly the same, at times another or a neutral one."""
        shown = np.repeat(faces[:, None], self.bins, axis=1)
        other = rng.random(shown.shape) < self.config.other_face_probability
        neutral = rng.random(shown.shape) < self.config.neutral_face_probability
        for row, face in enumerate(faces):
            shown[row, other[row]] = rng.choice(self.faces_of[self.faces.labels[face]], other[row].sum())
        shown[neutral] = rng.choice(self.faces_of[label_index("neutral")], neutral.sum())
        shown[:, -1] = faces  # the newest bin always shows the person
        return shown

    def _bin_masks(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Bool (B, Tf): single bins lost, half of the tracks younger than the sequence, never all masked."""
        lost = rng.random((count, self.bins)) < self.config.masked_bin_probability
        age = np.where(rng.random(count) < 0.5, self.bins, rng.integers(1, self.bins + 1, count))
        mask = ~lost & (np.arange(self.bins) >= self.bins - age[:, None])
        mask[:, -1] |= ~mask.any(axis=1)
        return mask
