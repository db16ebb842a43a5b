"""ONNX Runtime sessions as a robot wants them: one core each, no busy waiting."""

from pathlib import Path

import onnxruntime


class GraphError(ValueError):
    """The file is no graph that ONNX Runtime can load."""


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """Open a graph for small, frequent calls on the CPU.

    The graphs here take about a millisecond: a second thread costs more than it brings, and a spinning
    one would take a core from the robot.

    Raises:
        GraphError: the file is no valid ONNX graph.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors only: warnings about graph clean-up are no news for a user
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own share no other base class
        raise GraphError(str(error)) from error
