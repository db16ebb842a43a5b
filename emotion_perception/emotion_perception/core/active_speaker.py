"""Whose voice it is: that of the face whose mouth moves while somebody is heard.

A mouth's movement is the mean change of its opening from one step of 0.1 s to the next, in distances of the eyes' outer
corners a second, over those steps of the last second in which a voice is heard. With less than ten images a second it
is the change over two or three steps, divided by the root of their number: a mouth that speaks goes to and fro in
between. Measured on two films of one talker each, faces 40 to 385 px wide: 0.14 and more in every second of talk
(median 0.28); in silence 0.10 and less (median 0.04), also in images that are tilted, shifted and scaled like those of
a nodding head, and up to 0.15 where a mouth opens for an utterance to come. The change of the mouth's pixels, minus
that of the eyes', does not tell talk (median 0.04) from silence (0.00, and up to 0.08 in such images).
"""

import itertools
import math
from collections import defaultdict, deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import IntEnum

from emotion_perception.core.stamps import NANOSECONDS_PER_S

STEP_NS = 100_000_000  # about half a syllable
WINDOW_NS = 10 * STEP_NS
MIN_STEPS = 4  # with a voice, before anything is said about a mouth
# Between two sightings of a mouth. At four images a second ten talkers on film kept 97 % of their words, at two and a
# half, with four steps, 77 %.
MAX_STEPS = 3
TAKEOVER_RATIO = 1.5  # how many times more than the speaker's another mouth must move
# For how long the mouth of one who speaks may move less before the voice is somebody unseen's. Eight talkers of
# television, faces of 100 px, lost 20 % of their words to somebody unseen without it, 10 % with it, 9 % with twice as
# much; six listeners got 1.8, 2.9 and 4.1 % of the words of others.
REST_NS = 5 * STEP_NS
OFF_SCREEN = ""  # the track id of a voice without a face


class Speech(IntEnum):
    """Whether a person speaks; the numbers are those of the message EmotionState."""

    UNKNOWN = 0
    SILENT = 1
    SPEAKING = 2


@dataclass(frozen=True)
class SpeakerSettings:
    """How much a mouth moves that speaks."""

    movement_enter: float  # from which a face may be the speaker's
    movement_leave: float  # below which it is silent

    def __post_init__(self) -> None:
        if not 0 <= self.movement_leave <= self.movement_enter:
            raise ValueError(
                f"mouth_movement_enter is {self.movement_enter} and mouth_movement_leave is {self.movement_leave}; "
                "they must hold 0 <= mouth_movement_leave <= mouth_movement_enter."
            )


@dataclass(frozen=True)
class Verdict:
    """Who speaks, as far as that can be told."""

    speech: Mapping[str, Speech]  # of everybody who is present
    voice_of: str | None  # whose voice was heard of late: a track id, or OFF_SCREEN; None when that is undecided


class ActiveSpeaker:
    """Compares the mouths with the voice. Stamps are integer nanoseconds."""

    def __init__(self, settings: SpeakerSettings, memory_ns: int) -> None:
        """Begin without a voice.

        Args:
            settings: how much a mouth moves that speaks.
            memory_ns: whose voice it was is undecided again so long after it was looked at last; not before
                `WINDOW_NS`, through which a speaker is believed.
        """
        self._settings = settings
        self._memory_ns = max(memory_ns, WINDOW_NS)
        self._openings: defaultdict[str, deque[tuple[int, float]]] = defaultdict(deque)
        self._voice: deque[tuple[int, bool]] = deque()
        self._speaker: str | None = None  # at this moment
        self._voice_of: str | None = None
        self._moved_ns = 0  # when the speaker's mouth was last seen to move as one that speaks
        self._decided_ns = 0  # when whose voice it is was looked at last

    def see_mouth(self, stamp_ns: int, track_id: str, opening: float) -> None:
        """Take how far a mouth is open; NaN tells nothing."""
        if math.isfinite(opening):
            self._openings[track_id].append((stamp_ns, opening))

    def hear(self, stamp_ns: int, is_voice: bool) -> None:
        """Take whether somebody speaks up to `stamp_ns`."""
        self._voice.append((stamp_ns, is_voice))

    def hear_nothing(self) -> None:
        """Nobody can be heard, because the robot itself speaks."""
        self._voice.clear()

    def decide(self, now_ns: int, present: Collection[str]) -> Verdict:
        """Say who of the present track ids speaks.

        One who has begun is believed through short pauses, until another mouth moves clearly more. A voice with which
        no mouth moves is OFF_SCREEN, for which every mouth must have been measured and that of who spoke so far have
        rested for `REST_NS`, and stays so until one moves as much as that of a speaker.
        """
        self._forget(now_ns)
        voiced = self._voiced_steps()
        if not voiced:
            self._speaker = None
            speech = Speech.SILENT if self._voice else Speech.UNKNOWN
            return Verdict(dict.fromkeys(present, speech), self._voice_of)
        movements = self._movements(voiced, present)
        is_voice_now = self._voice[-1][1]  # a mouth comes to rest a little before its voice
        if is_voice_now and len(voiced) > MIN_STEPS:
            has_just_moved = now_ns - self._moved_ns < REST_NS
            self._speaker = self._voice_of = self._choose(movements, present, has_just_moved)
            if self._speaker and movements.get(self._speaker, 0.0) >= self._settings.movement_leave:
                self._moved_ns = now_ns
            self._decided_ns = now_ns
        return Verdict({track_id: self._speech_of(track_id, movements) for track_id in present}, self._voice_of)

    def _forget(self, now_ns: int) -> None:
        start_ns = now_ns - WINDOW_NS
        while self._voice and self._voice[0][0] <= start_ns:
            self._voice.popleft()
        for track_id, openings in list(self._openings.items()):
            while openings and openings[0][0] <= start_ns:
                openings.popleft()
            if not openings:
                del self._openings[track_id]
        if now_ns - self._decided_ns > self._memory_ns:
            self._voice_of = None  # a word too short to decide anything may be another's by now

    def _voiced_steps(self) -> set[int]:
        """The steps in which a voice is heard; one heard up to a stamp was heard before it, too."""
        stamps_ns = (stamp_ns for stamp_ns, is_voice in self._voice if is_voice)
        return {step for stamp_ns in stamps_ns for step in (stamp_ns // STEP_NS - 1, stamp_ns // STEP_NS)}

    def _movements(self, voiced: set[int], present: Collection[str]) -> dict[str, float]:
        """How much each of the mouths moves that were measured in enough of the steps."""
        movements = {}
        for track_id in present:
            by_step: defaultdict[int, list[float]] = defaultdict(list)
            for stamp_ns, opening in self._openings.get(track_id, ()):
                by_step[stamp_ns // STEP_NS].append(opening)
            means = sorted((step, sum(openings) / len(openings)) for step, openings in by_step.items())
            change, steps, distance = 0.0, 0, 0.0
            for (last, before), (step, after) in itertools.pairwise(means):
                if step - last <= MAX_STEPS and not voiced.isdisjoint(range(last + 1, step + 1)):
                    change += abs(after - before)
                    steps += step - last
                    distance += math.sqrt(step - last)
            if steps >= MIN_STEPS:
                movements[track_id] = change / distance * NANOSECONDS_PER_S / STEP_NS
        return movements

    def _choose(self, movements: Mapping[str, float], present: Collection[str], has_just_moved: bool) -> str | None:
        """Whose voice is heard; `has_just_moved`: the mouth of the one who spoke so far, as one that speaks."""
        # Who has begun unseen is believed until a mouth moves as one that speaks, be that of somebody who comes now.
        if self._speaker == OFF_SCREEN and max(movements.values(), default=0.0) < self._settings.movement_enter:
            return OFF_SCREEN
        if not movements:
            return None
        moves_most = max(movements, key=movements.__getitem__)
        speaker = movements.get(self._speaker, 0.0) if self._speaker is not None else 0.0
        if speaker >= self._settings.movement_leave and movements[moves_most] <= TAKEOVER_RATIO * speaker:
            return self._speaker
        if movements[moves_most] >= self._settings.movement_enter:
            return moves_most
        is_nobody = movements[moves_most] < self._settings.movement_leave and len(movements) == len(present)
        if is_nobody and has_just_moved and self._speaker in movements:
            return self._speaker
        return OFF_SCREEN if is_nobody else None

    def _speech_of(self, track_id: str, movements: Mapping[str, float]) -> Speech:
        if track_id == self._speaker:
            return Speech.SPEAKING
        limit = self._settings.movement_leave if self._speaker is None else self._settings.movement_enter
        return Speech.SILENT if movements.get(track_id, math.inf) < limit else Speech.UNKNOWN
