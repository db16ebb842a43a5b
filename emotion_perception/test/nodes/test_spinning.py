"""How a process spins its nodes, as far as it shows in what the processor does for nothing."""

import signal

import cv2

from emotion_perception.nodes.spinning import spin


def test_opencv_keeps_to_the_thread_of_the_node(monkeypatch):
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # they stay pytest's
    before, threads = cv2.getNumThreads(), []
    try:
        cv2.setNumThreads(2)
        spin([], start=lambda _: bool(threads.append(cv2.getNumThreads())))
    finally:
        cv2.setNumThreads(before)
    assert threads == [1]
