"""What is kept of a face, and until when."""

import numpy as np

from emotion_perception.core.person import FaceSample, Person
from emotion_perception.core.probability_smoothing import ProbabilitySmoother, SmoothingSettings

FACE = FaceSample("a", np.zeros((8, 8, 3), np.uint8), area=1.0, off_center=0.0, mouth_opening=float("nan"))


def test_face_that_is_as_old_as_the_window_is_forgotten_and_no_younger_one():
    person = Person(ProbabilitySmoother(SmoothingSettings(0.0, 0.6, 0.3)))
    for stamp_ns in (10, 11, 19):
        person.see(stamp_ns, np.full(2, stamp_ns, np.float32), FACE)
    person.forget(10)
    embeddings, mask = np.zeros((5, 2), np.float32), np.zeros(5, np.bool_)
    person.bin(20, 10, embeddings, mask)
    assert embeddings[:, 0].tolist() == [11, 0, 0, 0, 19] and mask.tolist() == [True, False, False, False, True]
    person.see(21, np.full(2, 21, np.float32), FACE)  # younger than the moment: it is of the present all the same
    person.bin(20, 10, embeddings, mask)
    assert embeddings[:, 0].tolist() == [11, 0, 0, 0, 20]
    person.forget(21)
    assert person.is_forgotten
