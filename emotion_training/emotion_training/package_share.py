"""Where the files of the suite's packages lie."""

from pathlib import Path

try:
    from ament_index_python.packages import get_package_share_directory
except ModuleNotFoundError:  # no ROS

    def get_package_share_directory(package_name: str) -> str:
        raise LookupError(package_name)


def package_share(package: str) -> Path:
    """The folder with config/, msg/ and the like of an installed package; where it is not, of its sources."""
    try:
        return Path(get_package_share_directory(package))
    except LookupError:  # then this is the source tree, where the packages lie side by side
        return Path(__file__).resolve().parents[2] / package
