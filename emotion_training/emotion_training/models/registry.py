"""Networks by name: a class is registered by decorator and built from a name and its options.

@fusions.register("gated")
class GatedFusion(nn.Module): ...

fusions.build("gated", {"width": 64}, face_embedding=128, audio_embedding=128, classes=7)
"""

import inspect
from collections.abc import Callable, Mapping
from typing import TypeVar

from jsonargparse import ArgumentError, ArgumentParser
from torch import nn

Network = TypeVar("Network", bound=type[nn.Module])


class ModelError(Exception):
    """A model that cannot be built; the message names the value and what was expected."""


class Registry:
    """The networks of one kind."""

    def __init__(self, kind: str):
        self.kind = kind
        self._networks: dict[str, type[nn.Module]] = {}

    def register(self, name: str) -> Callable[[Network], Network]:
        """Class decorator; ModelError for a name that is taken."""

        def add(network: Network) -> Network:
            if name in self._networks:
                raise ModelError(f"{self.kind} {name!r} is registered twice; expected another name")
            self._networks[name] = network
            return network

        return add

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._networks))

    def __contains__(self, name: str) -> bool:
        return name in self._networks

    def network(self, name: str) -> type[nn.Module]:
        """The class of that name; ModelError with the known names."""
        if name not in self._networks:
            raise ModelError(f"{self.kind} {name!r} is unknown; expected one of {', '.join(self.names)}")
        return self._networks[name]

    def build(self, name: str, options: Mapping[str, object], **given: object) -> nn.Module:
        """Builds a network from the user's options and from what the rest of the model gives.

        Args:
            name: as registered.
            options: arguments of the constructor by name, as they stand in a configuration; checked against
                its annotations (a list is taken for a tuple).
            given: arguments that follow from the data and the other networks; a network takes from them what
                its constructor has.

        Raises:
            ModelError: for an unknown name, and for an option that is unknown, missing, of another type or refused.
        """
        network = self.network(name)
        arguments = set(inspect.signature(network).parameters)
        given = {key: value for key, value in given.items() if key in arguments}
        known = sorted(arguments - set(given))
        for key in options:
            if key not in known:
                raise ModelError(
                    f"{self.kind} {name} has no option {key!r}; expected one of {', '.join(known) or 'none'}"
                )
        parser = ArgumentParser(exit_on_error=False)
        parser.add_class_arguments(network, skip=set(given))
        try:
            typed = parser.parse_object(dict(options)).as_dict()
        except ArgumentError as error:
            reason = " ".join(str(error).split())  # jsonargparse writes lines
            raise ModelError(f"the options of {self.kind} {name} do not fit: {reason}") from None
        try:
            return network(**typed, **given)
        except ValueError as error:
            raise ModelError(f"the options of {self.kind} {name} do not fit: {error}") from None


face_encoders = Registry("face encoder")
feature_encoders = Registry("feature encoder")
audio_encoders = Registry("audio encoder")
fusions = Registry("fusion")
joint_models = Registry("joint model")  # one encoder for all modalities: early fusion
