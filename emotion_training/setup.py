"""Installs the training of the model bundle and its configurations."""

from pathlib import Path

from setuptools import find_packages, setup

NAME = "emotion_training"


def shared(folder: str) -> tuple[str, list[str]]:
    """The files of a folder, for the same place below share/; not what a build left of files that are gone."""
    return f"share/{NAME}/{folder}", sorted(str(path) for path in Path(folder).iterdir() if path.is_file())


setup(
    name=NAME,
    version="0.1.0",
    description="Training and export of the model bundle of emotion_perception",
    author="Emotion suite maintainers",
    license="Apache-2.0",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        shared("config"),
        shared("splits"),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},  # by which `colcon test` knows that pytest runs the tests
    zip_safe=False,
    entry_points={
        "console_scripts": [
            f"adapt = {NAME}.adapt:main",
            f"build_default_bundle = {NAME}.build_default_bundle:main",
            f"compare = {NAME}.compare:main",
            f"evaluate = {NAME}.evaluate:main",
            f"export = {NAME}.export:main",
            f"from-bag = {NAME}.from_bag:main",
            f"prepare = {NAME}.prepare:main",
            f"train = {NAME}.train:main",
        ]
    },
)
