"""The microphone messages that robots publish, read into one form.

`audio_common_msgs` is the name of two packages with different messages, of ros-drivers and of mgonzs13; only one
can be installed, and none needs to be: a type is imported when it is asked for.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from emotion_perception.core.audio_messages import READERS, Chunk, Unstamped


def audio_format(name: str) -> tuple[type, Callable[[Any, Unstamped], Chunk]]:
    """The message class of a type such as audio_common_msgs/AudioData, and the function that reads it.

    The function raises AudioError when a message does not hold what its type promises.

    Raises:
        ValueError: the type is not known, or its package is not installed.
    """
    if name not in READERS:
        raise ValueError(f"audio_type is {name!r}; expected one of {', '.join(READERS)}.")
    package, message = name.split("/")
    try:
        message_type = getattr(import_module(f"{package}.msg"), message)
        if message == "AudioData":
            _ = message_type.data  # both packages have one, of other fields
        return message_type, READERS[name]
    except ModuleNotFoundError:
        raise ValueError(
            f"audio_type is {name} but {package} is not installed; install ros-$ROS_DISTRO-audio-common-msgs."
        ) from None
    except AttributeError:
        raise ValueError(
            f"audio_type is {name} but the {package} installed here has no such {message}; it is the other of the two "
            "packages of that name: choose the type that your microphone's node publishes (ros2 topic type)."
        ) from None
