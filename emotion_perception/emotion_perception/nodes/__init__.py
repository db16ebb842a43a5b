"""The ROS 2 nodes: parameters, conversion, a call of the core, publication."""
