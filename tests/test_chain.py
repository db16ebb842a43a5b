"""Real processes, real DDS: a file goes in as camera and microphone, emotions come out on /emotion/state."""

import signal

import numpy as np
import pytest
import skimage.data

from emotion_msgs.msg import AudioWindow, EmotionState, EmotionStateArray, FaceCropArray
from emotion_perception.core.stamps import to_nanoseconds
from emotion_perception.nodes.starting import REFUSED
from emotion_perception.testing.media import voice, write_media

BOTH = EmotionState.FACE | EmotionState.AUDIO


def stamp_ns(message):
    return to_nanoseconds(message.header.stamp)


def fusion_counts(diagnostics):
    """What the fusion node last said about its work."""
    statuses = [status for status in diagnostics if status.name == "/emotion_fusion_node"]
    return {value.key: int(value.value) for value in statuses[-1].values if value.value.isdigit()}


def test_real_clip_becomes_states_of_face_and_voice(graph, play, real_clip):
    states = graph.listen(EmotionState, "/emotion/state")
    faces = graph.listen(FaceCropArray, "/emotion/faces")
    windows = graph.listen(AudioWindow, "/emotion/audio_window")
    diagnostics = graph.listen_to_diagnostics()
    process = play(real_clip)
    graph.wait_for(process.has_ended, "the end of the clip")
    assert process.end() == 0
    assert "Traceback" not in process.output

    judged = [state for state in states if state.modalities]
    assert len(judged) >= 10
    assert any(state.modalities == BOTH for state in judged)
    captured = {stamp_ns(message) for message in (*faces, *windows)}
    assert {stamp_ns(state) for state in judged} <= captured, "a stamp is that of a sample"
    for state in judged:
        assert list(state.labels) == ["neutral", "happy", "sad"] and state.model_id == "tiny"
        assert sum(state.probabilities) == pytest.approx(1, abs=1e-4)
        assert state.confidence == pytest.approx(state.probabilities[list(state.labels).index(state.label)])
        assert state.face_weight + state.audio_weight == pytest.approx(1)
    both = [state for state in judged if state.modalities == BOTH]
    assert np.median([abs(state.skew_s) for state in both]) < 0.2

    counts = fusion_counts(diagnostics)
    assert counts["faces"] == counts["faces_encoded"] > 20, "no frame is encoded twice"
    assert counts["audio_windows"] >= counts["audio_windows_encoded"] > 5


def test_two_faces_that_leave_and_come_back_with_8_khz_stereo_sound(graph, play, tmp_path):
    astronaut = skimage.data.astronaut()
    two, black = np.hstack([astronaut, astronaut]), np.zeros((512, 1024, 3), np.uint8)
    samples = np.concatenate([np.zeros(8000, np.float32), 0.3 * voice(1.0, 8000), np.zeros(8000, np.float32)])
    write_media(
        tmp_path / "clip.mkv",
        [two] * 20 + [black] * 30 + [two] * 20,
        samples=np.stack([samples] * 2, axis=1),
        sample_rate_hz=8000,
    )
    everybody = graph.listen(EmotionStateArray, "/emotion/states")
    process = play(tmp_path / "clip.mkv", emotion_fusion_node={"face_limit_s": 0.3, "audio_limit_s": 0.3})
    graph.wait_for(process.has_ended, "the end of the clip")
    assert process.end() == 0

    people = [len(message.states) for message in everybody]
    first, last = people.index(2), len(people) - 1 - people[::-1].index(2)
    assert min(people[first:last]) < 2, "between the two appearances nobody's face is judged"
    voices = [sum(bool(state.modalities & EmotionState.AUDIO) for state in message.states) for message in everybody]
    assert max(voices) == 1, "the voice is heard, and belongs to one person"


def test_voice_while_the_only_mouth_rests_is_somebody_unseens(graph, play, tmp_path):
    samples = np.concatenate([voice(3.0, 16000), np.zeros(8000, np.float32)])[:, None]
    write_media(tmp_path / "listener.mkv", [skimage.data.astronaut()] * 87, samples=samples, sample_rate_hz=16000)
    everybody = graph.listen(EmotionStateArray, "/emotion/states")
    graph.wait_for(play(tmp_path / "listener.mkv").has_ended, "the end of the clip")

    (face_id,) = {state.track_id for message in everybody for state in message.states} - {""}
    told_apart = [message for message in everybody if len(message.states) == 2]
    assert told_apart
    for message in told_apart:
        assert [(state.track_id, state.modalities, state.speaking) for state in message.states] == [
            (face_id, EmotionState.FACE, EmotionState.SILENT),
            ("", EmotionState.AUDIO, EmotionState.SPEAKING),
        ]


def test_black_film_gives_nobody_and_never_an_emotion(graph, play, tmp_path):
    write_media(tmp_path / "black.mp4", [np.zeros((480, 640, 3), np.uint8)] * 25 * 5)
    states = graph.listen(EmotionState, "/emotion/state")
    process = play(tmp_path / "black.mp4")
    graph.wait_for(process.has_ended, "the end of the clip")
    assert process.end() == 0
    assert len(states) > 10
    for state in states:
        assert (state.label, state.modalities, state.confidence, state.uncertain) == (
            EmotionState.NOBODY,
            0,
            0,
            True,
        )
        assert len(state.probabilities) == 0


def test_film_without_sound_is_judged_by_the_face_alone(graph, play, tmp_path):
    write_media(tmp_path / "silent.mp4", [skimage.data.astronaut()] * 40)
    states = graph.listen(EmotionState, "/emotion/state")
    graph.wait_for(play(tmp_path / "silent.mp4").has_ended, "the end of the clip")
    assert {state.modalities for state in states if state.modalities} == {EmotionState.FACE}


def test_sound_without_film_is_judged_by_the_voice_alone(graph, play, tmp_path):
    samples = np.concatenate([voice(2.0, 16000), np.zeros(8000, np.float32)])[:, None]
    write_media(tmp_path / "voice.wav", samples=samples, sample_rate_hz=16000)
    states = graph.listen(EmotionState, "/emotion/state")
    graph.wait_for(play(tmp_path / "voice.wav").has_ended, "the end of the clip")
    assert {state.modalities for state in states if state.modalities} == {EmotionState.AUDIO}
    assert {state.track_id for state in states} == {""}


def test_corrupt_packets_are_left_out_and_the_rest_is_played(graph, play, generated_clip, tmp_path):
    data = bytearray(generated_clip.read_bytes())
    for start in range(len(data) // 3, len(data) // 2, 997):
        data[start : start + 40] = bytes(40)
    (tmp_path / "corrupt.mp4").write_bytes(data)
    states = graph.listen(EmotionState, "/emotion/state")
    process = play(tmp_path / "corrupt.mp4")
    graph.wait_for(process.has_ended, "the end of the clip")
    assert process.end() == 0
    assert "Traceback" not in process.output
    assert len([state for state in states if state.modalities]) >= 10


def test_bundle_that_is_wrong_ends_the_chain_with_one_sentence(play, generated_clip, tmp_path):
    process = play(generated_clip, emotion_fusion_node={"model": str(tmp_path / "nowhere")})
    assert process.end() == REFUSED
    fatal = [line for line in process.output.splitlines() if "[FATAL]" in line]
    assert len(fatal) == 1 and "model.json does not exist" in fatal[0]
    assert "Traceback" not in process.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_chain_in_order(graph, play, generated_clip, number):
    states = graph.listen(EmotionState, "/emotion/state")
    process = play(generated_clip, media_player_node={"loop": True})
    graph.wait_for(lambda: [state for state in states if state.modalities], "a state")
    process.interrupt(number)
    assert process.end() == 0, process.output
    assert "Traceback" not in process.output and "never retrieved" not in process.output


def test_clip_that_starts_again_goes_on(graph, play, tmp_path):
    write_media(tmp_path / "short.mp4", [skimage.data.astronaut()] * 15)
    states = graph.listen(EmotionState, "/emotion/state")
    process = play(tmp_path / "short.mp4", media_player_node={"loop": True})
    graph.wait_for(lambda: len({stamp_ns(s) for s in states if s.modalities}) > 20, "states of several rounds")
    assert not process.has_ended()
    assert "Traceback" not in process.output
