"""When the robot itself spoke, so that its own voice is not taken for a person's."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# By which the robot says that it speaks: itself, and by the status of the action with which it does.
ROBOT_SPEAKING = "emotion/robot_speaking"  # a topic of std_msgs/Bool, in the namespace of the nodes
EXECUTING = (2, 3)  # of action_msgs/GoalStatus: executing, and canceling
REMEMBERED_S = 30.0  # chunks of sound come later than this after their capture from no microphone


@dataclass
class _Utterance:
    start_s: float
    end_s: float  # the echo included; while the source says nothing else, the time to which it is believed


class RobotSpeech:
    """Spans of time, made of what several sources tell: a speech node, the status of an action.

    A source that says that the robot speaks is believed until it says otherwise, but no longer than a limit after its
    last word: one that died in the middle of a sentence must not make the robot deaf.
    """

    def __init__(self, tail_s: float, limit_s: float) -> None:
        """Begin in silence.

        Args:
            tail_s: how long the robot's voice sounds on, in the room and in the buffers of its loudspeaker.
            limit_s: how long a source is believed after its last word.

        Raises:
            ValueError: not 0 <= tail_s, or not 0 < limit_s.
        """
        if not tail_s >= 0.0:
            raise ValueError(f"mute_tail_s is {tail_s}, expected seconds, 0 or more.")
        if not limit_s > 0.0:
            raise ValueError(f"mute_limit_s is {limit_s}, expected seconds, more than 0.")
        self._tail_s = tail_s
        self._limit_s = limit_s
        self.reset()

    def reset(self) -> None:
        """Forget all that was told."""
        self._utterances: list[_Utterance] = []
        self._current: dict[str, _Utterance] = {}  # of each source that last said that the robot speaks

    def forget_future(self, now_s: float) -> None:
        """Time was set back to `now_s`: forget what begins later."""
        self._utterances = [it for it in self._utterances if it.start_s <= now_s]
        self._current = {source: it for source, it in self._current.items() if it.start_s <= now_s}

    def tell(self, source: str, is_speaking: bool, now_s: float) -> None:
        """Take the word of a source; its own last word does not count any more."""
        self.forget_future(now_s)
        self._utterances = [it for it in self._utterances if it.end_s > now_s - REMEMBERED_S]
        current = self._current.get(source)
        if current is not None and now_s > current.end_s:
            current = None  # no longer believed
        if is_speaking:
            if current is None:
                current = _Utterance(now_s, now_s)
                self._utterances.append(current)
            current.end_s = now_s + self._limit_s
            self._current[source] = current
        else:
            if current is not None:
                current.end_s = now_s + self._tail_s
            self._current.pop(source, None)

    def disbelieved(self, now_s: float) -> list[str]:
        """The sources whose last word was that the robot speaks, longer ago than the limit."""
        return [source for source, utterance in self._current.items() if now_s > utterance.end_s]

    def sounds(self, now_s: float) -> bool:
        """Whether the robot's voice sounds."""
        return any(utterance.start_s <= now_s < utterance.end_s for utterance in self._utterances)

    def covers(self, times_s: NDArray[np.float64]) -> NDArray[np.bool_]:
        """For each of the times (N,): whether the robot's voice sounds."""
        covered = np.zeros(len(times_s), np.bool_)
        for utterance in self._utterances:
            covered |= (utterance.start_s <= times_s) & (times_s < utterance.end_s)
        return covered
