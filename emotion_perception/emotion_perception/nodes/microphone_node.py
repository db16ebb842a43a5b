"""A microphone of this computer as a ROS topic."""

from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from numpy.typing import NDArray
from rclpy.qos import QoSProfile

from emotion_msgs.msg import AudioChunk
from emotion_perception.core.stamps import NANOSECONDS_PER_S
from emotion_perception.nodes.arrivals import Arrivals, Diagnosis
from emotion_perception.nodes.conversions import to_audio_chunk
from emotion_perception.nodes.perception_node import Parameter, PerceptionNode
from emotion_perception.nodes.starting import run

RETRY_S = 2.0  # before a microphone that was lost is opened again


class MicrophoneNode(PerceptionNode):
    """Publishes what PortAudio captures, at the device's own rate."""

    PARAMETERS = (
        Parameter(
            "device",
            "Name of the microphone or a part of it, as python -m sounddevice lists it; empty: the default",
        ),
        Parameter("channels", "Channels to capture", 1, 32),
        Parameter("chunk_s", "Length of a published chunk, in seconds", 0.005, 0.2),
        Parameter("audio_topic", "Topic of the sound"),
        Parameter("frame_id", "Frame of the microphone"),
    )

    def __init__(self) -> None:
        super().__init__("microphone_node")
        self._stream: Any = None

    def configure(self) -> None:
        try:
            import sounddevice  # looks for PortAudio when it is imported, and only this node needs it
        except OSError:
            raise ValueError(
                "The microphone needs the system library PortAudio; install it with: sudo apt-get install libportaudio2"
            ) from None
        device = self.value("device") or None
        try:
            information = sounddevice.query_devices(device, "input")
            self._sample_rate_hz = int(information["default_samplerate"])
            sounddevice.check_input_settings(device, self.value("channels"), "float32", samplerate=self._sample_rate_hz)
        except (ValueError, sounddevice.PortAudioError) as error:
            raise ValueError(
                f"The microphone {device or '(default)'!r} does not open with {self.value('channels')} channels "
                f"({error}); expected an input device that python -m sounddevice lists."
            ) from None
        self._publisher = self.add_publisher(AudioChunk, self.value("audio_topic"), QoSProfile(depth=100))

    def activate(self) -> None:
        self._arrivals = Arrivals(f"microphone {self.value('device') or '(default)'}", "is it still plugged in?")
        self._loss = ""
        self._open()
        self.add_timer(RETRY_S, self._open_if_lost)

    def deactivate(self) -> None:
        if self._stream is not None:
            self._stream.stop()  # to close it while it runs would cancel PortAudio's thread amid a callback
            self._stream.close()
            self._stream = None

    def diagnose(self) -> Diagnosis:
        diagnosis = self._arrivals.diagnose()
        if self._loss:
            diagnosis.level, diagnosis.message = DiagnosticStatus.ERROR, self._loss
        return diagnosis

    def _open(self) -> None:
        """Begin to capture.

        Raises:
            ValueError: the microphone is not there, or another program holds it.
        """
        import sounddevice  # which configure found

        try:
            self._stream = sounddevice.InputStream(
                device=self.value("device") or None,
                samplerate=self._sample_rate_hz,
                channels=self.value("channels"),
                blocksize=round(self.value("chunk_s") * self._sample_rate_hz),
                dtype="float32",
                latency="low",
                callback=self._on_samples,
            )
            self._stream.start()
        except (ValueError, sounddevice.PortAudioError) as error:
            raise ValueError(
                f"The microphone {self.value('device') or '(default)'!r} does not start ({error}); expected one that "
                "is plugged in and that no other program holds."
            ) from None

    def _open_if_lost(self) -> None:
        """Open the microphone anew if its stream has ended: a stream never comes back, and to start it again hangs."""
        if self._stream is not None and self._stream.active:
            return
        self.deactivate()
        try:
            self._open()
            self._loss = ""
        except ValueError as error:
            self._loss = str(error)

    def _on_samples(self, samples: NDArray[np.float32], _: int, time: Any, status: Any) -> None:
        """Publish samples (N, channels); called by PortAudio's thread."""
        now_ns, waited_s = self.get_clock().now().nanoseconds, self._waited_s(time.currentTime)  # read together
        age_s = time.currentTime - time.inputBufferAdcTime
        duration_s = len(samples) / self._sample_rate_hz
        if not duration_s <= age_s < 1.0:  # some hosts do not tell when the first sample was captured
            age_s = duration_s  # it has just ended
        captured_ns = now_ns - round((age_s + waited_s) * NANOSECONDS_PER_S)
        if status.input_overflow:
            self._arrivals.refuse("The microphone lost samples: this computer was too busy to take them.")
        self._arrivals.receive()
        self._publisher.publish(to_audio_chunk(samples, self._sample_rate_hz, captured_ns, self.value("frame_id")))

    def _waited_s(self, called_s: float) -> float:
        """How long PortAudio's thread, which called at `called_s`, waited for Python's lock; 0 if it does not tell."""
        import sounddevice  # which configure found

        try:
            waited_s = self._stream.time - called_s
        except sounddevice.PortAudioError:  # of a stream that has no time yet
            return 0.0
        return waited_s if 0.0 <= waited_s < 1.0 else 0.0


def main() -> None:
    run(MicrophoneNode)
