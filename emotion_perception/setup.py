"""Installs the nodes, their parameter files and the model bundles."""

from pathlib import Path

from setuptools import find_packages, setup

NAME = "emotion_perception"
NODES = (
    "camera_node",
    "microphone_node",
    "media_player_node",
    "face_crop_node",
    "audio_window_node",
    "emotion_fusion_node",
    "hri_faces_node",
    "hri_bridge_node",
    "overlay_node",
)
PROGRAMS = ("emotion_pipeline", "wait_until_active")


def shared(folder: str) -> list[tuple[str, list[str]]]:
    """Each file below the folder, for the same place below share/."""
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return [(f"share/{NAME}/{path.parent}", [str(path)]) for path in files]


setup(
    name=NAME,
    version="0.1.0",
    description="Emotions of people from their face and voice, as ROS 2 nodes",
    author="Emotion suite maintainers",
    license="Apache-2.0",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={f"{NAME}.core": ["*.json"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        *shared("config"),
        *shared("models"),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},  # by which `colcon test` knows that pytest runs the tests
    zip_safe=False,
    entry_points={
        "console_scripts": [
            *(f"{node} = {NAME}.nodes.{node}:main" for node in NODES),
            *(f"{program} = {NAME}.{program}:main" for program in PROGRAMS),
        ],
    },
)
