"""Chatter disappears, everything else on stderr arrives."""

import os

import pytest

from emotion_perception.core.native_stderr import without_native_chatter

CHATTER = b"""INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
W0000 00:00:1795495215.864134    4525 inference_feedback_manager.cc:114] Feedback manager requires a model.
"""


def test_drops_chatter_and_keeps_the_rest(capfd):
    with without_native_chatter():
        os.write(2, CHATTER + b"E0000 00:00:1795495215.864134    4525 graph.cc:1] broken\n")
        os.write(2, b"[INFO] [1795495215.9] [camera_node]: another thread\n")
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == (
        "E0000 00:00:1795495215.864134    4525 graph.cc:1] broken\n"
        "[INFO] [1795495215.9] [camera_node]: another thread\n"
        "afterwards\n"
    )


def test_gives_stderr_back_after_an_error(capfd):
    with pytest.raises(KeyError), without_native_chatter():
        os.write(2, b"the reason\n")
        raise KeyError
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "the reason\nafterwards\n"
