"""Complains of what parameter files say and no node takes.

ROS passes over a section that matches no node, and over a parameter that its node has not, without a word. The process
says it, not the launch file: however it was started, it knows the whole names of its nodes and what they declared. A
section for another node of the suite is no mistake, as that may have a process of its own.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import yaml

from emotion_perception.nodes.perception_node import PerceptionNode, default_parameters

Section = tuple[str, Mapping[str, Any]]  # a name, of nodes or with wildcards, and what it sets
OF_ROS = "qos_overrides"  # the group of parameters that ROS declares for some topics only


def unheeded(arguments: Sequence[str], nodes: Sequence[PerceptionNode]) -> Iterator[str]:
    """A sentence for each part of a command line's parameter files that is lost on the nodes.

    Args:
        arguments: the command line, which ROS has read without complaint.
        nodes: those of this process.
    """
    for option, file in pairwise(arguments):
        if option == "--params-file":
            try:
                # By libyaml, as ROS does; without types and tags, which are left to ROS.
                contents = list(yaml.load_all(Path(file).read_bytes(), yaml.CBaseLoader))
            except yaml.YAMLError as error:
                yield f"{file} was not looked through for names that no node knows: {' '.join(str(error).split())}."
                continue
            sections = [section for content in contents for section in _sections(content)]
            for complaint in _complaints(sections, nodes):
                yield f"{file} {complaint}."


def _complaints(sections: Sequence[Section], nodes: Sequence[PerceptionNode]) -> Iterator[str]:
    if not sections:
        yield "holds no parameters, expected sections such as /**/face_crop_node: with ros__parameters: in them"
    known = default_parameters() | {node.get_name(): {} for node in nodes}  # a node's name may have been remapped
    for name, _ in sections:
        if _last(name) not in known and "*" not in _last(name):
            yield f"has parameters of {name}, expected a node of this suite; its nodes are {', '.join(known)}"
    for node in nodes:
        own = [section for section in sections if _last(section[0]) == node.get_name()]
        yield from _complaints_of_node(node, own)


def _complaints_of_node(node: PerceptionNode, sections: Sequence[Section]) -> Iterator[str]:
    """What is lost of the sections that end in the node's name."""
    name, full_name = node.get_name(), node.get_fully_qualified_name()
    heard = [parameters for section, parameters in sections if _matches(section, full_name)]
    if sections and not heard:
        named = ", ".join(section for section, _ in sections)
        yield f"has parameters of {named}, expected {full_name}; write /**/{name}: for any namespace"
    for parameter in chain.from_iterable(heard):
        if not node.has_parameter(parameter) and parameter.partition(".")[0] != OF_ROS:
            expected = ", ".join(parameter.name for parameter in node.PARAMETERS)
            yield f"sets {parameter} of {full_name}, expected one of {expected}; correct or remove it"


def _sections(content: Any, name: str = "") -> Iterator[Section]:
    """The names of nodes, of which parts may stand one in the other, and the parameters of each."""
    for key, value in content.items() if isinstance(content, Mapping) else ():
        if key == "ros__parameters":
            yield name, value if isinstance(value, Mapping) else {}
        else:
            yield from _sections(value, f"{name}/{key.strip('/')}")


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _matches(name: str, full_name: str) -> bool:
    """Whether ROS takes a section for a node; * is any word of the name, and ** any number of words."""
    pattern = re.escape(name).replace(r"/\*\*", r"(/\w+)*").replace(r"/\*", r"/\w+")
    return re.fullmatch(pattern, full_name) is not None
