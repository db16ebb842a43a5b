"""The profiles with which Fast DDS loses no images and soon finds a new node."""

import os
from pathlib import Path

from ament_index_python.packages import get_package_share_directory

# Fast DDS of Humble and of Jazzy reads it, other middleware does not.
FAST_DDS_PROFILES = "FASTRTPS_DEFAULT_PROFILES_FILE"


def fast_dds_environment() -> dict[str, str]:
    """The variable that makes the processes of a graph use config/fastdds.xml; empty if the user has profiles."""
    if FAST_DDS_PROFILES in os.environ:
        return {}
    return {FAST_DDS_PROFILES: str(Path(get_package_share_directory("emotion_bringup")) / "config" / "fastdds.xml")}
