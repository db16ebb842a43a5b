"""Installs the demo, the example behaviours, the launch files, the robots' parameter files and the simulated worlds."""

from pathlib import Path

from setuptools import find_packages, setup

NAME = "emotion_bringup"


def shared(folder: str) -> list[tuple[str, list[str]]]:
    """Each file below the folder, for the same place below share/."""
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return [(f"share/{NAME}/{path.parent}", [str(path)]) for path in files]


setup(
    name=NAME,
    version="0.1.0",
    description="Launch files, robot presets, example behaviours and the demo of the emotion suite",
    author="Emotion suite maintainers",
    license="Apache-2.0",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        *shared("config"),
        *shared("launch"),
        *shared("models"),
        *shared("worlds"),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},  # by which `colcon test` knows that pytest runs the tests
    zip_safe=False,
    entry_points={
        "console_scripts": [
            f"demo = {NAME}.demo:main",
            f"greet_and_slow_down = {NAME}.examples.greet_and_slow_down:main",
        ]
    },
)
