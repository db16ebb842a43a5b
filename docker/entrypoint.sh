#!/bin/bash
# Runs a command where ROS, the suite and its virtual environment are found.
set -e
. "/opt/ros/${ROS_DISTRO}/setup.bash"
. /emotion/venv/bin/activate
. /emotion/install/setup.bash
exec "$@"
