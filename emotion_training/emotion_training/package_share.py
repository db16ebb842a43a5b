"""Where the files of the suite's packages lie."""

from pathlib import Path

try:
    from ament_index_python.packages import get_package_share_directory
except ModuleNotFoundError:  # no ROS: then this is the source tree, where the packages lie side by side
    _SOURCES = Path(__file__).resolve().parents[2]

    def get_package_share_directory(package_name: str) -> str:
        return str(_SOURCES / package_name)


def package_share(package: str) -> Path:
    """The folder with config/, msg/ and the like of an installed package; without ROS, of its sources."""
    return Path(get_package_share_directory(package))
