"""Training of the face networks: what they start from, and whom they learn from."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from emotion_training import face_training, machine
from emotion_training.config import FaceCycle
from emotion_training.face_training import FaceTargets, make_member, train_face_classifier
from emotion_training.labels import LABELS
from emotion_training.machine import make_reproducible
from emotion_training.models.start_weights import WeightsError
from emotion_training.optimisation import one_cycle, parameter_groups, update_average
from emotion_training.stage_cache import StageCache
from emotion_training.tiny_bundle import generated_faces, tiny_config
from emotion_training.train_bundle import _train_faces

CONFIG = tiny_config()
FIRST, SECOND = CONFIG.face_encoder.members


def train(member, **options):
    """All its cycles."""
    faces, trained = generated_faces(CONFIG, 0), None
    given = CONFIG.face_training, faces.train, faces.validation, Path("weights")
    for count in range(1, len(member.cycles) + 1):
        until = replace(member, cycles=member.cycles[:count])
        trained, _ = train_face_classifier(until, *given, seed=0, before=trained, **options)
    return trained


def always(label):
    """A network that says the same of every face."""
    teacher = make_member(FIRST)
    for head in (teacher.head, teacher.fer2013_head):
        torch.nn.init.zeros_(head.weight)
        head.bias.data = 20.0 * torch.eye(len(LABELS))[label]
    return teacher


def test_a_network_that_cannot_start_from_weights_says_so():
    with pytest.raises(
        WeightsError, match="compact_cnn cannot start from weights/faceres.json; set its start_from to nu"
    ):
        train(replace(FIRST, start_from="faceres.json"))


def test_a_second_cycle_goes_on_from_the_weights_of_the_first():
    cycle = FaceCycle(epochs=1, teacher_share=0.0)
    member = replace(SECOND, learning_rate=1e-9)
    once, twice = (train(replace(member, cycles=cycles)) for cycles in ((cycle,), (cycle, cycle)))
    for first, second in zip(once.parameters(), twice.parameters(), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-6)


def test_a_teacher_has_its_share_of_both_labels():
    faces = generated_faces(CONFIG, 0).train
    own = FaceTargets.of(faces)
    taught = own.taught(always(2), faces.images, share=0.25)
    said = torch.eye(len(LABELS))[2]
    torch.testing.assert_close(taught.ferplus, 0.75 * torch.from_numpy(faces.soft_labels) + 0.25 * said)
    np.testing.assert_array_equal(own.fer2013.argmax(dim=1), faces.folder_labels)
    torch.testing.assert_close(taught.fer2013, 0.75 * own.fer2013 + 0.25 * said)


def test_a_cycle_learns_from_the_members_before():
    faces = generated_faces(CONFIG, 0)
    member = replace(FIRST, cycles=(FaceCycle(epochs=8, teacher_share=1.0),))
    taught = train(member, earlier=(always(2),))
    told = train(replace(FIRST, cycles=(FaceCycle(epochs=8, teacher_share=0.0),)), earlier=(always(2),))
    with torch.inference_mode():
        grey = torch.from_numpy(faces.validation.images).unsqueeze(1) / 255.0
        assert set(taught(grey)[0].argmax(dim=1).tolist()) == {2}
        assert len(set(told(grey)[0].argmax(dim=1).tolist())) > 1


def test_a_cycle_learns_from_the_one_before_it_together_with_the_members_before(monkeypatch):
    teachers, taught = [], FaceTargets.taught

    def observed(targets, teacher, images, share):
        teachers.append([copy.deepcopy(member.state_dict()) for member in teacher.encoder.members])
        return taught(targets, teacher, images, share)

    monkeypatch.setattr(FaceTargets, "taught", observed)
    earlier, first = always(2), FaceCycle(epochs=2, teacher_share=0.0)
    train(replace(SECOND, cycles=(first, FaceCycle(epochs=1, teacher_share=0.5))), earlier=(earlier,))
    own = train(replace(SECOND, cycles=(first,)))
    ((of_earlier, of_own),) = teachers
    for expected, found in ((earlier.encoder, of_earlier), (own.encoder, of_own)):
        torch.testing.assert_close(found, dict(expected.state_dict()))


def test_a_build_that_was_interrupted_goes_on_with_the_cycle_of_the_face_that_it_was_in(tmp_path, monkeypatch):
    cycles = (FaceCycle(epochs=2, teacher_share=0.0), FaceCycle(epochs=1, teacher_share=0.5))
    members = (replace(FIRST, ships=False), replace(SECOND, cycles=cycles))
    config = replace(CONFIG, face_encoder=replace(CONFIG.face_encoder, members=members))
    faces, begun, own = generated_faces(config, 0), [], face_training._train_cycle
    make_reproducible(config.seed, config.threads)
    (uninterrupted,), whole = _train_faces(config, faces, Path(), StageCache(None))

    def until_the_third(*arguments):
        begun.append(arguments[1])
        if len(begun) == 3:
            raise KeyboardInterrupt
        return own(*arguments)

    monkeypatch.setattr(face_training, "_train_cycle", until_the_third)
    with pytest.raises(KeyboardInterrupt):
        _train_faces(config, faces, Path(), StageCache(tmp_path))
    (gone_on,), stages = _train_faces(config, faces, Path(), StageCache(tmp_path))
    assert begun == [FIRST.cycles[0].epochs, 2, 1, 1]
    torch.testing.assert_close(gone_on.state_dict(), uninterrupted.state_dict(), rtol=0.0, atol=0.0)
    assert stages["face 2, mobilenet"]["history"] == whole["face 2, mobilenet"]["history"]


def test_averaged_weights_and_statistics_follow_the_model_slower_and_slower_up_to_the_decay():
    for step, decay in ((0, 0.1), (10, 11 / 20), (10**6, 0.9)):
        averaged, model = (torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2)) for _ in range(2))
        before = copy.deepcopy(averaged.state_dict())
        model[1].running_mean.fill_(3.0)
        model[1].num_batches_tracked.fill_(7)
        update_average(averaged, model, 0.9, step)
        expected = {name: decay * before[name] + (1.0 - decay) * value for name, value in model.state_dict().items()}
        expected["1.num_batches_tracked"] = torch.tensor(7)
        torch.testing.assert_close(dict(averaged.state_dict()), expected)


def test_matrices_decay_and_vectors_do_not_and_what_is_kept_is_in_no_group():
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 1))
    network[2].requires_grad_(False)
    groups = [
        ([tuple(p.shape) for p in group["params"]], group["weight_decay"]) for group in parameter_groups(network, 0.1)
    ]
    assert groups == [([(3, 2)], 0.1), ([(3,), (3,), (3,)], 0.0)]


def test_the_learning_rate_is_highest_after_15_percent_of_the_steps_and_nearly_0_at_their_end():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4)
    schedule = one_cycle(optimizer, 20)
    rates = schedule.get_last_lr()
    for _ in range(19):
        optimizer.step()
        schedule.step()
        rates += schedule.get_last_lr()
    assert max(rates) == rates[2] == pytest.approx(0.4) and rates[-1] < 1e-5


def test_half_precision_learns_what_full_precision_learns(monkeypatch):
    """Weights rounded for one step must not be those of the next."""
    monkeypatch.setattr(machine, "_multiplies_bfloat16", lambda device: True)
    member = replace(FIRST, cycles=(FaceCycle(epochs=1, teacher_share=0.0),), ema_decay=0.0)
    full, half = (train(replace(member, bfloat16=bfloat16)).head.weight for bfloat16 in (False, True))
    torch.manual_seed(0)
    start = make_member(member).head.weight
    assert 0.0 < torch.dist(full, half) < 0.1 * torch.dist(full, start)
