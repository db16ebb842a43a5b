"""From raw media to crops and sound: what is kept, what is reported, and going on after a stop."""

import gc
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import skimage.data
import soundfile

from emotion_perception.core.face_box import Box, FaceDetection
from emotion_perception.testing.media import voice, write_media
from emotion_training.clip import Clip
from emotion_training.command import end_with_parent
from emotion_training.corpora import CorpusError
from emotion_training.media_clips import cut_clips
from emotion_training.package_share import robot_parameters
from emotion_training.prepare import main
from emotion_training.prepared_corpus import PreparedCorpus

RATE_HZ = 16_000


@pytest.fixture(scope="module")
def astronaut():
    """(256, 256, 3) with one face."""
    return np.ascontiguousarray(skimage.data.astronaut()[:256, 96:352])


def face_film(path, astronaut, duration_s=1.0):
    """A film of one face that moves, with a voice from beginning to end."""
    images = [np.roll(astronaut, index, axis=1) for index in range(round(25 * duration_s))]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_media(path, images, samples=voice(duration_s, 48_000)[:, None])


def run(root, out, *more, corpus="ravdess"):
    arguments = ["--corpus", corpus, "--root", str(root), "--out", str(out), "--workers", "1", *more]
    return main(arguments)


def corpus_of(folder, *rows):
    """What becomes of a manifest with these rows, the header among them."""
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    assert run(folder, folder / "out", corpus="manifest") == 0
    return PreparedCorpus(folder / "out")


def report_of(out):
    return json.loads((out / "report.json").read_text())


@pytest.fixture(scope="module")
def ravdess(tmp_path_factory, astronaut):
    """One clip of each kind of trouble, and one without."""
    root = tmp_path_factory.mktemp("ravdess")
    face_film(root / "Actor_01" / "01-01-03-01-01-01-01.mp4", astronaut)
    write_media(
        root / "Actor_01" / "01-01-04-01-01-01-01.mp4",
        [np.full((128, 128, 3), 90, np.uint8)] * 25,
        samples=voice(1.0, 48_000)[:, None],
    )
    write_media(root / "Actor_01" / "02-01-05-01-01-01-01.mp4", [astronaut] * 10)
    soundfile.write(root / "Actor_01" / "03-01-06-01-01-01-01.wav", np.zeros(RATE_HZ), RATE_HZ)
    (root / "Actor_01" / "01-01-07-01-01-01-01.mp4").write_bytes(b"this is no film")
    soundfile.write(root / "Actor_01" / "03-01-08-01-01-01-01.wav", 0.5 * voice(1.0, RATE_HZ), RATE_HZ)
    return root


@pytest.fixture(scope="module")
def prepared(ravdess, tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared")
    assert run(ravdess, out) == 0
    return out


def clips_by_label(out):
    return {clip.label: clip for clip in PreparedCorpus(out).clips}


def test_a_film_becomes_crops_and_sound(prepared):
    corpus = PreparedCorpus(prepared)
    clip = clips_by_label(prepared)["happy"]
    faces, times_s = corpus.load_faces(clip)
    size_px = robot_parameters("face_crop_node")["crop_px"]
    assert faces.shape == (10, size_px, size_px, 3) and faces.dtype == np.uint8
    np.testing.assert_allclose(times_s, np.arange(0.0, 1.0, 0.1), atol=0.021)  # the film has 25 pictures a second
    audio = corpus.load_audio(clip)
    assert audio.dtype == np.float32 and abs(len(audio) - RATE_HZ) < 0.07 * RATE_HZ  # AAC pads the sound
    assert 0.1 < np.abs(audio).max() <= 1.0
    assert (clip.speaker_id, clip.intensity, clip.clip_id) == ("ravdess-01", "normal", "01-03-01-01-01-01")


def test_one_side_alone_is_kept(prepared):
    corpus, clips = PreparedCorpus(prepared), clips_by_label(prepared)
    assert sorted(clips) == ["angry", "happy", "sad", "surprised"]
    assert clips["sad"].video is None and len(corpus.load_audio(clips["sad"])) > 0
    assert len(corpus.load_faces(clips["sad"])[0]) == 0
    assert clips["angry"].audio is None and len(corpus.load_faces(clips["angry"])[0]) > 0
    assert len(corpus.load_audio(clips["angry"])) == 0
    original = 0.5 * voice(1.0, RATE_HZ)
    np.testing.assert_allclose(corpus.load_audio(clips["surprised"]), original, atol=2 / 2**15)


def test_the_report_says_what_cannot_be_used_and_why(prepared):
    report = report_of(prepared)
    assert {(problem["clip_id"][3:5], problem["reason"], problem["used"]) for problem in report["problems"]} == {
        ("04", "no face", "sound"),
        ("05", "no sound", "face"),
        ("06", "silent", "nothing"),
        ("07", "unreadable", "nothing"),
    }
    assert (report["clips"], report["usable"], report["with_face"], report["with_sound"]) == (6, 4, 2, 3)
    text = (prepared / "report.md").read_text()
    assert "4 of 6 clips can be used" in text and "cannot be read as media" in text


def modification_times(out):
    return {path.name: path.stat().st_mtime_ns for path in (out / "clips").glob("*")}


def test_finished_clips_are_not_made_again(ravdess, tmp_path):
    assert run(ravdess, tmp_path) == 0
    before, report = modification_times(tmp_path), report_of(tmp_path)
    assert run(ravdess, tmp_path) == 0
    assert modification_times(tmp_path) == before
    assert report_of(tmp_path)["problems"] == report["problems"]


def changed(before, after):
    return {name for name in after if after[name] != before.get(name)}


def test_what_changed_or_broke_is_made_again(tmp_path):
    root, out = tmp_path / "emodb", tmp_path / "out"
    root.mkdir()
    for name in ("03a01Fa", "03a01Wa", "03a02Fa"):
        soundfile.write(root / f"{name}.wav", 0.5 * voice(0.5, RATE_HZ), RATE_HZ)
    assert run(root, out, corpus="emodb") == 0
    before = modification_times(out)

    soundfile.write(root / "03a01Wa.wav", 0.5 * voice(0.7, RATE_HZ), RATE_HZ)
    assert run(root, out, corpus="emodb") == 0
    assert changed(before, modification_times(out)) == {"03a01Wa.npz"}

    kept = out / "clips" / "03a02Fa.npz"
    whole = kept.read_bytes()
    for broken in (b"", b"half", whole[: len(whole) // 2]):
        kept.write_bytes(broken)
        before = modification_times(out) | {kept.name: 0}
        assert run(root, out, corpus="emodb") == 0
        assert changed(before, modification_times(out)) == {kept.name} and kept.read_bytes() == whole

    before = modification_times(out)
    assert run(root, out, "--rate-hz", "5", corpus="emodb") == 0
    assert changed(before, modification_times(out)) == set(before)


def test_several_processes_make_the_same_files(ravdess, prepared, tmp_path):
    assert run(ravdess, tmp_path, "--workers", "2") == 0
    for path in (prepared / "clips").glob("*.npz"):
        with np.load(path) as expected, np.load(tmp_path / "clips" / path.name) as found:
            for name in ("faces", "times_s", "audio", "outcome"):
                np.testing.assert_array_equal(found[name], expected[name])


def test_segments_are_cut_out_of_one_reading(tmp_path, astronaut):
    face_film(tmp_path / "talk.mp4", astronaut, duration_s=3.0)
    corpus = corpus_of(
        tmp_path,
        "clip_id,speaker_id,video,start_s,end_s,label",
        "whole,anne,talk.mp4,,,happy",
        "first,anne,talk.mp4,0.5,1.0,happy",
        "last,anne,talk.mp4,2.04,2.6,sad",
        "beyond,anne,talk.mp4,7,8,sad",
    )
    clips = {clip.clip_id: clip for clip in corpus.clips}
    whole = corpus.load_audio(clips["whole"])
    for name, start_s, end_s in (("first", 0.5, 1.0), ("last", 2.04, 2.6)):
        expected = whole[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]
        np.testing.assert_allclose(corpus.load_audio(clips[name]), expected, atol=1e-4)
        faces, times_s = corpus.load_faces(clips[name])
        assert len(faces) == round((end_s - start_s) * 10 + 0.4) and 0.0 <= times_s[0] < 0.04
        assert clips[name].start_s is None and clips[name].end_s is None
    problems = report_of(tmp_path / "out")["problems"]
    assert [(problem["clip_id"], problem["reason"]) for problem in problems] == [
        ("beyond", "nothing in the clip's span")
    ]


def test_sound_of_another_file_of_the_same_name_length_and_time_is_made_anew(tmp_path):
    for name, hertz in (("anne", 200.0), ("ben", 300.0)):
        (tmp_path / name).mkdir()
        tone = 0.5 * np.sin(2.0 * np.pi * hertz * np.arange(RATE_HZ) / RATE_HZ)
        soundfile.write(tmp_path / name / "001.wav", tone, RATE_HZ)
        os.utime(tmp_path / name / "001.wav", ns=(0, 0))  # as of an archive
    header, rows = "clip_id,speaker_id,audio,label", ["1,anne,anne/001.wav,sad", "1,ben,ben/001.wav,sad"]
    heard = []
    for row in rows:
        corpus = corpus_of(tmp_path, header, row)
        heard.append(corpus.load_audio(corpus.clips[0]))
    assert len(heard[0]) == len(heard[1]) and not np.array_equal(*heard)


def test_a_file_that_cannot_be_read_is_named_and_ends_nothing(tmp_path):
    (tmp_path / "talk.wav").symlink_to("/proc/self/mem")  # which even root may not read from its beginning
    soundfile.write(tmp_path / "other.wav", 0.5 * voice(1.0, RATE_HZ), RATE_HZ)
    corpus_of(tmp_path, "clip_id,speaker_id,audio,label", "1,anne,talk.wav,sad", "2,ben,other.wav,sad")
    (problem,) = report_of(tmp_path / "out")["problems"]
    assert (problem["clip_id"], problem["reason"]) == ("1", "unreadable")


@pytest.mark.parametrize("kind", ["cut off", "overwritten"])
def test_a_damaged_recording_is_used_and_named(tmp_path, kind):
    file = tmp_path / "talk.flac"
    soundfile.write(file, 0.5 * voice(4.0, RATE_HZ), RATE_HZ)
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    if kind == "cut off":
        del content[middle:]
    else:
        content[middle : middle + 8000] = bytes(8000)
    file.write_bytes(content)
    corpus_of(tmp_path, "clip_id,speaker_id,audio,label", "1,anne,talk.flac,sad")
    (problem,) = report_of(tmp_path / "out")["problems"]
    assert (problem["reason"], problem["used"]) == ("damaged", "sound")


def test_a_clip_longer_than_its_recording_is_kept_and_named(tmp_path, astronaut):
    face_film(tmp_path / "talk.mp4", astronaut, duration_s=3.0)
    rows = ["rounded,anne,talk.mp4,0,3.05,sad", "late,anne,talk.mp4,2,9,sad"]
    corpus_of(tmp_path, "clip_id,speaker_id,video,start_s,end_s,label", *rows)
    (problem,) = report_of(tmp_path / "out")["problems"]
    assert problem["details"] == "pictures to 3.00 s and sound to 3.01 s of 2 s to 9 s"
    assert (problem["clip_id"], problem["used"]) == ("late", "all")
    assert problem["reason"] == "pictures or sound end before the clip"


@pytest.mark.parametrize(("film_s", "sound_s"), [(2.0, 1.2), (1.2, 2.0)])
def test_a_clip_in_which_pictures_or_sound_end_is_kept_and_named(tmp_path, astronaut, film_s, sound_s):
    """Though the recording goes on, if only for a while."""
    write_media(tmp_path / "face.mkv", [astronaut] * round(25 * film_s))
    soundfile.write(tmp_path / "talk.wav", voice(sound_s, RATE_HZ), RATE_HZ)
    corpus_of(tmp_path, "clip_id,speaker_id,video,audio,start_s,end_s", "cut,anne,face.mkv,talk.wav,0.5,1.4")
    (problem,) = report_of(tmp_path / "out")["problems"]
    assert (problem["reason"], problem["used"]) == ("pictures or sound end before the clip", "all")
    shorter = "sound" if sound_s < film_s else "pictures"
    assert problem["details"] == f"{shorter} to 1.20 s of 0.5 s to 1.4 s"


def test_a_clip_of_a_slow_camera_does_not_end_early(tmp_path, astronaut):
    write_media(tmp_path / "slow.mkv", [astronaut] * 4, image_times_s=[0.0, 1.0, 2.0, 3.0])
    soundfile.write(tmp_path / "talk.wav", voice(4.0, RATE_HZ), RATE_HZ)
    corpus_of(tmp_path, "clip_id,speaker_id,video,audio,start_s,end_s", "a,anne,slow.mkv,talk.wav,0.5,2.9")
    assert report_of(tmp_path / "out")["problems"] == []


def test_sound_in_long_blocks_is_whole_in_every_clip(tmp_path, astronaut):
    samples = voice(4.0, RATE_HZ)
    path = tmp_path / "film.mkv"
    write_media(path, [astronaut] * 100, samples=samples[:, None], sample_rate_hz=RATE_HZ, block_samples=2 * RATE_HZ)
    corpus = corpus_of(tmp_path, "clip_id,speaker_id,video,start_s,end_s", "a,anne,film.mkv,0,1", "b,anne,film.mkv,1,3")
    for clip, start_s, end_s in zip(corpus.clips, (0, 1), (1, 3), strict=True):
        expected = samples[start_s * RATE_HZ : end_s * RATE_HZ]
        np.testing.assert_allclose(corpus.load_audio(clip), expected, atol=1e-3)


def test_the_larger_of_two_faces_is_the_clips(tmp_path, astronaut):
    small = astronaut[::2, ::2] // 3
    image = np.zeros((256, 400, 3), np.uint8)
    image[:128, :128], image[:, 144:] = small, astronaut
    write_media(tmp_path / "two.mp4", [image] * 10, samples=voice(0.4, 48_000)[:, None])
    corpus = corpus_of(tmp_path, "clip_id,speaker_id,video", "two,anne,two.mp4")
    faces, _ = corpus.load_faces(corpus.clips[0])
    assert len(faces) == 4 and faces.mean() > 80  # the small face is dark


@pytest.mark.parametrize("images_with_large, brightness", [(2, 60), (8, 180)])
def test_the_face_that_is_large_and_there_for_long_is_the_clips(tmp_path, images_with_large, brightness):
    image = np.full((100, 200, 3), 60, np.uint8)
    image[:, 100:] = 180
    write_media(tmp_path / "two.mkv", [image] * 10)
    small, large = FaceDetection(Box(20.0, 20.0, 40.0, 40.0), 0.9), FaceDetection(Box(120.0, 20.0, 60.0, 60.0), 0.9)
    looks = iter([[small, large]] * images_with_large + [[small]] * (10 - images_with_large))
    detector = SimpleNamespace(detect=lambda image: next(looks))
    ((_, media),) = cut_clips([Clip("two", "test", "anne", video=tmp_path / "two.mkv")], detector, 25.0, 16)
    assert media.faces.mean() == pytest.approx(brightness, abs=5)


def test_crops_are_rgb_as_on_the_robot(tmp_path):
    red = np.broadcast_to(np.array([200, 60, 20], np.uint8), (100, 100, 3))
    write_media(tmp_path / "red.mkv", [red] * 5)
    detector = SimpleNamespace(detect=lambda image: [FaceDetection(Box(20.0, 20.0, 60.0, 60.0), 0.9)])
    ((_, media),) = cut_clips([Clip("red", "test", "anne", video=tmp_path / "red.mkv")], detector, 25.0, 16)
    assert media.faces.reshape(-1, 3).mean(axis=0) == pytest.approx([200, 60, 20], abs=8)


def test_the_face_of_one_who_looked_away_is_the_clips_again(tmp_path):
    """And not that of somebody much further away who was there meanwhile."""
    image = np.full((100, 200, 3), 60, np.uint8)
    image[:, 100:] = 180
    write_media(tmp_path / "away.mkv", [image] * 100)
    far, near = FaceDetection(Box(20.0, 20.0, 20.0, 20.0), 0.9), FaceDetection(Box(120.0, 20.0, 60.0, 60.0), 0.9)
    looks = iter([[near]] * 25 + [[far]] * 50 + [[near]] * 25)
    detector = SimpleNamespace(detect=lambda image: next(looks))
    ((_, media),) = cut_clips([Clip("away", "test", "anne", video=tmp_path / "away.mkv")], detector, 25.0, 16)
    assert media.faces.mean() == pytest.approx(180, abs=5)
    np.testing.assert_allclose(media.times_s, np.r_[0:25, 75:100] / 25, atol=1e-3)


@pytest.mark.parametrize("kind", ["another place", "another scene"])
def test_two_people_who_are_shown_in_turn_are_not_one(tmp_path, kind):
    noise = np.random.default_rng(0).integers(0, 255, (2, 100, 240, 3), dtype=np.uint8)
    scenes = [noise[0], noise[1 if kind == "another scene" else 0]]
    write_media(tmp_path / "turns.mkv", [scenes[0]] * 50 + [scenes[1]] * 50)
    here, there = FaceDetection(Box(20.0, 20.0, 40.0, 40.0), 0.9), FaceDetection(Box(190.0, 20.0, 38.0, 38.0), 0.9)
    looks = iter([[here]] * 50 + [[]] * 30 + [[here if kind == "another scene" else there]] * 20)
    detector = SimpleNamespace(detect=lambda image: next(looks))
    ((_, media),) = cut_clips([Clip("turns", "test", "anne", video=tmp_path / "turns.mkv")], detector, 25.0, 16)
    np.testing.assert_allclose(media.times_s, np.arange(50) / 25, atol=1e-3)


def test_a_broken_picture_costs_none_of_the_others(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (2, 100, 240, 3), dtype=np.uint8)
    write_media(tmp_path / "film.mkv", [noise[int(index == 55)] for index in range(100)])
    detector = SimpleNamespace(detect=lambda image: [FaceDetection(Box(20.0, 20.0, 40.0, 40.0), 0.9)])
    ((_, media),) = cut_clips([Clip("film", "test", "anne", video=tmp_path / "film.mkv")], detector, 25.0, 16)
    assert len(media.faces) >= 99


def test_a_short_finding_beside_a_face_does_not_part_it(tmp_path):
    write_media(tmp_path / "film.mkv", [np.zeros((100, 240, 3), np.uint8)] * 100)
    face, stray = FaceDetection(Box(20.0, 20.0, 40.0, 40.0), 0.9), FaceDetection(Box(50.0, 20.0, 40.0, 40.0), 0.9)
    looks = iter([[face]] * 40 + [[]] * 30 + [[stray]] * 2 + [[stray, face]] + [[face]] * 27)
    detector = SimpleNamespace(detect=lambda image: next(looks))
    ((_, media),) = cut_clips([Clip("film", "test", "anne", video=tmp_path / "film.mkv")], detector, 25.0, 16)
    np.testing.assert_allclose(media.times_s, np.r_[0:40, 72:100] / 25, atol=1e-3)


@pytest.mark.parametrize(
    ("times_s", "end_s"),
    [
        ([0.0], 2.9),
        ([0.0, 2.0, 4.0], 1.2),
        ([0.0, 0.1, 0.2, 1.5, 1.6, 3.0], 0.9),
        ([0.0, 0.1, 0.2, 1.5, 1.6, 3.0], 2.0),
    ],
)
def test_pictures_that_go_on_do_not_end_early(tmp_path, astronaut, times_s, end_s):
    write_media(tmp_path / "rare.mkv", [astronaut] * len(times_s), image_times_s=times_s)
    soundfile.write(tmp_path / "talk.wav", voice(4.0, RATE_HZ), RATE_HZ)
    corpus_of(tmp_path, "clip_id,speaker_id,video,audio,start_s,end_s", f"a,anne,rare.mkv,talk.wav,0,{end_s}")
    assert report_of(tmp_path / "out")["problems"] == []


def test_clips_of_a_film_whose_sound_ends_are_not_kept_to_its_end(tmp_path):
    samples = voice(1.0, RATE_HZ)[:, None]
    write_media(tmp_path / "film.mkv", [np.zeros((32, 32, 3), np.uint8)] * 500, samples=samples, sample_rate_hz=RATE_HZ)
    looks = []
    detector = SimpleNamespace(detect=lambda image: looks.append(image) or [])
    clips = [
        Clip(name, "test", "anne", video=tmp_path / "film.mkv", start_s=s, end_s=s + 2.0)
        for s, name in ((0, "a"), (17, "b"))
    ]
    first, _ = next(cut_clips(clips, detector, 25.0, 16))
    assert first.clip_id == "a" and len(looks) == 50


def test_a_clip_of_another_span_is_cut_again(tmp_path):
    soundfile.write(tmp_path / "a.wav", voice(1.0, RATE_HZ), RATE_HZ)
    for start_s, end_s in ((0.0, 0.4), (0.0, 0.5), (0.2, 0.5)):
        corpus = corpus_of(tmp_path, "clip_id,speaker_id,audio,start_s,end_s", f"a,anne,a.wav,{start_s},{end_s}")
        assert len(corpus.load_audio(corpus.clips[0])) == round((end_s - start_s) * RATE_HZ)


def test_sound_of_full_scale_does_not_wrap(tmp_path):
    samples = np.repeat(np.array([1.0, -1.0, 1.5, 0.5], np.float32), RATE_HZ // 10)
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ, subtype="FLOAT")
    corpus = corpus_of(tmp_path, "clip_id,speaker_id,audio", "a,anne,a.wav")
    np.testing.assert_allclose(corpus.load_audio(corpus.clips[0]), np.clip(samples, -1.0, 1.0), atol=2 / 2**15)


def test_a_corpus_of_which_nothing_can_be_used_is_an_error(tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", np.zeros(RATE_HZ), RATE_HZ)
    (tmp_path / "manifest.csv").write_text("clip_id,speaker_id,audio\na,anne,a.wav\n")
    assert run(tmp_path, tmp_path / "out", corpus="manifest") == 1
    assert "error: 0 of 1 clips can be used; what is wrong: " in capsys.readouterr().err


def test_separate_sound_goes_before_that_of_the_film(tmp_path, astronaut):
    face_film(tmp_path / "film.mp4", astronaut)
    soundfile.write(tmp_path / "sound.wav", 0.25 * np.sin(np.arange(RATE_HZ) * 0.1), RATE_HZ)
    corpus = corpus_of(tmp_path, "clip_id,speaker_id,video,audio", "a,anne,film.mp4,sound.wav")
    audio = corpus.load_audio(corpus.clips[0])
    np.testing.assert_allclose(audio, 0.25 * np.sin(np.arange(RATE_HZ) * 0.1), atol=3 / 2**15)
    assert len(corpus.load_faces(corpus.clips[0])[0]) == 10


def test_late_sound_stays_in_step_with_the_pictures(tmp_path, astronaut):
    path = tmp_path / "late.mkv"
    write_media(path, [astronaut] * 25, samples=voice(0.5, RATE_HZ)[:, None], sample_rate_hz=RATE_HZ, audio_start_s=0.5)
    corpus = corpus_of(tmp_path, "clip_id,speaker_id,video", "a,anne,late.mkv")
    audio = corpus.load_audio(corpus.clips[0])
    assert len(audio) == pytest.approx(RATE_HZ, abs=32) and not audio[:7900].any() and audio[8000:].any()


def test_all_that_a_clip_knows_comes_back(tmp_path):
    soundfile.write(tmp_path / "a.wav", 0.5 * voice(0.5, RATE_HZ), RATE_HZ)
    (tmp_path / "manifest.csv").write_text(
        "clip_id,speaker_id,session_id,label,valence,arousal,intensity,audio,vote_happy,vote_sad,feature_au12\n"
        "a/1,anne,s1,happy,0.5,-0.25,strong,a.wav,3,1,0.75\n"
        "b,luc,,,,,,a.wav,,,\n"
    )
    assert run(tmp_path, tmp_path / "out", "--option", "corpus=cafe", corpus="manifest") == 0
    first, second = PreparedCorpus(tmp_path / "out").clips
    assert (first.clip_id, first.corpus, first.speaker_id, first.session_id) == ("a/1", "cafe", "cafe-anne", "cafe-s1")
    assert (first.label, first.valence, first.arousal, first.intensity) == ("happy", 0.5, -0.25, "strong")
    assert (first.votes, first.face_features) == ({"happy": 3.0, "sad": 1.0}, (0.75,))
    assert (second.label, second.votes, second.face_features, second.session_id) == (None,) * 4


def test_the_folder_can_be_moved(prepared, tmp_path):
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for path in (prepared / "clips.parquet", *(prepared / "clips").iterdir()):
        target = moved / path.relative_to(prepared)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    corpus = PreparedCorpus(moved)
    assert len(corpus.load_audio(corpus.clips[0])) > 0


def test_pictures_need_no_preparation(tmp_path, capsys):
    (tmp_path / "train" / "happy").mkdir(parents=True)
    (tmp_path / "train" / "happy" / "a.png").write_bytes(b"picture")
    assert run(tmp_path, tmp_path / "out", corpus="fer2013") == 1
    assert "pictures need no preparation: a configuration names them by data.corpus.reader" in capsys.readouterr().err


def test_a_wrong_corpus_folder_is_one_sentence(tmp_path, capsys):
    assert run(tmp_path / "none", tmp_path / "out") == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_an_output_folder_that_cannot_be_made_is_named(ravdess, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run(ravdess, tmp_path / "file") == 1
    assert "file cannot be made" in capsys.readouterr().err


def test_a_clip_id_too_long_for_a_file_is_named_before_the_work(tmp_path, capsys):
    (tmp_path / "a.wav").write_bytes(b"sound")
    (tmp_path / "manifest.csv").write_text(f"clip_id,speaker_id,audio\n{'a' * 247},anne,a.wav\n")
    assert run(tmp_path, tmp_path / "out", corpus="manifest") == 1
    said = capsys.readouterr().err
    assert "would have a file name of 251 characters; expected 250 or fewer, so shorten its clip_id" in said
    assert not (tmp_path / "out").exists()
    (tmp_path / "manifest.csv").write_text(f"clip_id,speaker_id,audio\n{'a' * 246},anne,a.wav\n")
    run(tmp_path, tmp_path / "out", corpus="manifest")
    assert len(modification_times(tmp_path / "out")) == 1


def test_an_option_without_a_value_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(tmp_path, tmp_path / "out", "--option", "corpus", corpus="manifest")
    assert "--option: 'corpus' has no value; expected NAME=VALUE" in capsys.readouterr().err


def test_a_clip_id_of_any_signs_stays_in_its_cell(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"no sound")
    (tmp_path / "manifest.csv").write_text('clip_id,speaker_id,audio\n"a|\nb",anne,a.wav\n')
    run(tmp_path, tmp_path / "out", corpus="manifest")
    assert "| a\\| b | unreadable | nothing |" in (tmp_path / "out" / "report.md").read_text()


@pytest.mark.parametrize("rate_hz", ["inf", "nan", "0", "-1"])
def test_a_rate_that_is_none_is_refused(tmp_path, capsys, rate_hz):
    with pytest.raises(SystemExit):
        run(tmp_path, tmp_path / "out", "--rate-hz", rate_hz)
    assert "--rate-hz, --crop-px and --workers must be positive and finite" in capsys.readouterr().err


def test_a_full_disk_stops_the_run_and_loses_nothing(ravdess, tmp_path, capsys, monkeypatch):
    complaints = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)
    full = tmp_path / "clips" / "01-08-01-01-01-01.npz.part"
    full.parent.mkdir()
    full.symlink_to("/dev/full")
    assert run(ravdess, tmp_path) == 1
    gc.collect()
    (*_, message) = capsys.readouterr().err.splitlines()
    assert "(No space left on device); finished clips are kept, make room" in message
    assert complaints == []
    full.unlink()
    before = modification_times(tmp_path)
    assert len(before) == 5

    assert run(ravdess, tmp_path) == 0
    after = modification_times(tmp_path)
    assert len(after) == 6 and not changed(before, {name: after[name] for name in before})


def test_a_folder_that_was_not_prepared_is_named(tmp_path):
    with pytest.raises(CorpusError, match="clips.parquet does not exist; run `prepare`"):
        PreparedCorpus(tmp_path)


@pytest.mark.parametrize("left_bytes", [0, 4, 200, -100])
def test_a_damaged_clip_is_named(prepared, tmp_path, left_bytes):
    corpus = PreparedCorpus(prepared)
    broken = tmp_path / "clip.npz"
    broken.write_bytes(corpus.clips[0].audio.read_bytes()[:left_bytes])
    clip = replace(corpus.clips[0], audio=broken)
    with pytest.raises(CorpusError, match="clip.npz cannot be read"):
        corpus.load_audio(clip)


def test_no_process_outlives_a_run_that_was_killed(tmp_path):
    for name in ("a", "b", "c"):
        soundfile.write(tmp_path / f"{name}.wav", 0.5 * voice(0.5, RATE_HZ), RATE_HZ)
    (tmp_path / "manifest.csv").write_text("clip_id,speaker_id,audio\na,anne,a.wav\nb,anne,b.wav\nc,anne,c.wav\n")
    dies_with_its_first_clip = (
        "import os, signal, sys\n"
        "from emotion_training import prepare\n"
        "prepare.tqdm.update = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "prepare.main(sys.argv[1:])\n"
    )
    options = ["--corpus", "manifest", "--root", str(tmp_path), "--out", str(tmp_path / "out"), "--workers", "2"]
    command = [sys.executable, "-c", dies_with_its_first_clip, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as process:
        try:
            process.communicate(timeout=60)  # until the last process that could write has ended
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            pytest.fail("worker processes are left")
    assert process.returncode == -signal.SIGKILL


def test_ctrl_c_ends_the_run_and_its_processes_in_one_sentence(tmp_path):
    """Which a terminal gives to all of them, and no film is read to its end first."""
    soundfile.write(tmp_path / "short.wav", 0.5 * voice(0.5, RATE_HZ), RATE_HZ)
    write_media(tmp_path / "long.mkv", [np.zeros((64, 64, 3), np.uint8)] * 2500)
    rows = ["clip_id,speaker_id,video,audio", "short,anne,,short.wav", "long,anne,long.mkv,", "other,luc,,long.wav"]
    soundfile.write(tmp_path / "long.wav", 0.5 * voice(0.5, RATE_HZ), RATE_HZ)
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    interrupted_after_its_first_clip = (
        "import os, signal, sys\n"
        "from emotion_training import prepare\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background ignores it
        "prepare.tqdm.update = lambda *_: os.killpg(0, signal.SIGINT)\n"
        "sys.exit(prepare.main(sys.argv[1:]))\n"
    )
    options = ["--corpus", "manifest", "--root", str(tmp_path), "--out", str(tmp_path / "out"), "--workers", "2"]
    command = [sys.executable, "-c", interrupted_after_its_first_clip, *options]
    run = subprocess.run(command, capture_output=True, text=True, start_new_session=True, timeout=60)
    assert run.returncode == 130 and "Traceback" not in run.stderr
    assert "interrupted" in run.stderr.splitlines()[-1]
    assert not list((tmp_path / "out" / "clips").glob("long*"))


def test_a_worker_leaves_ctrl_c_to_the_process_that_it_works_for():
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=end_with_parent) as pool:
        assert pool.submit(signal.getsignal, signal.SIGINT).result() == signal.SIG_IGN


def test_sound_that_ends_before_a_clip_is_not_called_silent(tmp_path, astronaut):
    write_media(tmp_path / "face.mkv", [astronaut] * 50)
    soundfile.write(tmp_path / "short.wav", 0.5 * voice(0.75, RATE_HZ), RATE_HZ)
    corpus_of(tmp_path, "clip_id,speaker_id,video,audio,start_s,end_s", "late,anne,face.mkv,short.wav,1,1.8")
    (problem,) = report_of(tmp_path / "out")["problems"]
    assert (problem["reason"], problem["used"]) == ("no sound", "face")
    assert problem["details"] == "in short.wav, which ends at 0.75 s"
