"""What the face encoder is to learn of each face."""

import dataclasses

import numpy as np
import torch

from emotion_training.face_training import face_targets, resized
from emotion_training.tiny_bundle import generated_faces, tiny_config

FACES = generated_faces(tiny_config(), 0).train


def test_without_a_teacher_the_annotators_are_the_target():
    ferplus, fer2013 = face_targets(FACES, None, 0.5)
    assert torch.equal(ferplus, torch.from_numpy(FACES.soft_labels))
    assert (fer2013.argmax(1).numpy() == FACES.folder_labels).all() and (fer2013.sum(1) == 1.0).all()


def test_a_teacher_has_its_share_and_sees_a_face_as_its_mirror_image(tiny):
    teacher = tiny.trained.face
    mirrored = dataclasses.replace(FACES, images=np.ascontiguousarray(FACES.images[:, :, ::-1]))
    for own, other in zip(face_targets(FACES, teacher, 1.0), face_targets(mirrored, teacher, 1.0), strict=True):
        torch.testing.assert_close(own, other)
        torch.testing.assert_close(own.sum(1), torch.ones(len(FACES)))
    annotators, teachers = face_targets(FACES, None, 0.0)[1], face_targets(FACES, teacher, 1.0)[1]
    torch.testing.assert_close(face_targets(FACES, teacher, 0.25)[1], 0.75 * annotators + 0.25 * teachers)


def test_small_pictures_show_the_same_face():
    small = resized(FACES.images, 24)
    assert small.shape == (len(FACES), 24, 24) and small.dtype == np.uint8
    np.testing.assert_allclose(small, FACES.images.reshape(-1, 24, 2, 24, 2).mean((2, 4)), atol=1.0)
