"""Faces of FER2013 with their votes in memory, from a small generated archive."""

import zipfile

import cv2
import numpy as np
import pytest

from emotion_training.corpora import read_corpus
from emotion_training.face_set import FaceSet, fingerprint_faces, load_faces, split_faces, without_duplicates
from emotion_training.labels import LABELS

HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"


def png(value, size_px=48):
    return cv2.imencode(".png", np.full((size_px, size_px), value, np.uint8))[1].tobytes()


@pytest.fixture
def corpus(tmp_path):
    archive, votes = tmp_path / "fer2013.zip", tmp_path / "fer2013new.csv"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("train/happy/fer0000001.png", png(10))
        file.writestr("train/fear/fer0000000.png", png(20))
        file.writestr("train/sad/fer0000002.png", png(30))
        file.writestr("train/sad/fer0000003.png", png(10))
        file.writestr("valid/surprise/fer0000009.png", png(20))
    votes.write_text(
        HEADER
        + "Training,fer0000000.png,1,0,2,0,0,0,5,1,1,0\n"
        + "Training,fer0000001.png,0,10,0,0,0,0,0,0,0,0\n"
        + "Training,fer0000002.png,0,0,0,0,0,0,0,4,2,4\n"
        + "Training,fer0000003.png,0,0,0,5,5,0,0,0,0,0\n"
        + "PublicTest,fer0000009.png,0,0,10,0,0,0,0,0,0,0\n"
    )
    return archive, votes


def faces_of(corpus, part):
    archive, votes = corpus
    return load_faces(read_corpus("fer2013", archive, part=part, votes=votes), 48)


def test_votes_are_renormalised_over_the_seven_classes(corpus):
    faces = faces_of(corpus, "train")
    assert faces.names == ("fer0000000", "fer0000001", "fer0000003")  # 2 has no usable vote
    expected = dict.fromkeys(LABELS, 0.0) | {"neutral": 1 / 8, "surprised": 2 / 8, "scared": 5 / 8}
    np.testing.assert_allclose(faces.soft_labels[0], [expected[label] for label in LABELS])
    np.testing.assert_allclose(faces.soft_labels.sum(axis=1), 1.0)
    assert [LABELS[c] for c in faces.folder_labels] == ["scared", "happy", "sad"]
    assert [LABELS[c] for c in faces.majority_labels] == ["scared", "happy", "sad"]
    assert faces.subset(np.array([2, 0])).names == ("fer0000003", "fer0000000")
    assert faces.images.shape == (3, 48, 48) and faces.images[1, 0, 0] == 10


def test_copies_are_merged_and_copies_of_test_pictures_taken_out(corpus):
    unique = without_duplicates(faces_of(corpus, "train"), faces_of(corpus, "valid"))
    assert unique.names == ("fer0000001",)
    assert unique.soft_labels[0].tolist() == [0.0, 0.5, 0.25, 0.25, 0.0, 0.0, 0.0]


def test_the_validation_part_is_disjoint_and_the_same_for_a_seed(corpus):
    faces = faces_of(corpus, "train")
    train, validation = split_faces(faces, 1 / 3, seed=3)
    assert sorted(train.names + validation.names) == sorted(faces.names) and len(validation) == 1
    assert split_faces(faces, 1 / 3, seed=3)[1].names == validation.names
    assert len({split_faces(faces, 1 / 3, seed=seed)[1].names for seed in range(8)}) > 1


def test_a_fingerprint_is_of_the_pictures_and_of_their_votes(corpus):
    faces = faces_of(corpus, "train")
    brighter = FaceSet(faces.names, faces.images + 1, faces.soft_labels, faces.folder_labels)
    surer = FaceSet(faces.names, faces.images, faces.soft_labels**2, faces.folder_labels)
    assert fingerprint_faces(faces) == fingerprint_faces(faces_of(corpus, "train"))
    assert len({fingerprint_faces(of) for of in (faces, brighter, surer)}) == 3
