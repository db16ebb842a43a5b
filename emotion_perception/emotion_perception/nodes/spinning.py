"""How a process runs nodes: until Ctrl-C or SIGTERM, and with an orderly end."""

import signal
import sys
import threading
from collections.abc import Callable, Sequence

import cv2
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from emotion_perception.nodes.parameter_files import unheeded
from emotion_perception.nodes.perception_node import PerceptionNode
from emotion_perception.nodes.simulated_clock import SimulatedClock

SIGNALS = (signal.SIGINT, signal.SIGTERM)
END_S = 1.0  # the longest that the end waits for a callback
SIGNAL_LOOK_S = 0.1  # how often the main thread looks whether a signal came


def leave_to_life_cycle(nodes: Sequence[PerceptionNode]) -> bool:
    """Start nothing: the transitions come over the nodes' services."""
    return True


def spin(
    make_nodes: Sequence[Callable[[], PerceptionNode]],
    start: Callable[[Sequence[PerceptionNode]], bool] = leave_to_life_cycle,
    stop: threading.Event | None = None,
) -> bool:
    """Run nodes, each in a thread of its own, until they are told to stop.

    Not in one MultiThreadedExecutor: its shutdown does not wait for the callbacks that its threads still hold, and for
    every event it prepares anew to wait for everything of every node, which takes twice the processor time.

    rclpy's own signal handlers would invalidate the context under the hands of callbacks and threads that are just
    publishing. Here a signal only asks for the end; the nodes end while the graph is still whole.

    Args:
        make_nodes: called once ROS is initialised.
        start: called with the nodes when they spin; false ends everything at once.
        stop: ends everything when it is set.

    Returns:
        What `start` returned.

    Raises:
        Exception: what a callback raised; a bug ends the process, with its traceback.
    """
    stop = stop or threading.Event()
    for number in SIGNALS:
        signal.signal(number, lambda *_: stop.set())
    # A thread of OpenCV that has done its part of an image waits busily for the next one. With two threads the colours
    # of an image of 640x480 took five times the processor time, with four threads fifteen times.
    cv2.setNumThreads(1)
    rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    nodes: list[PerceptionNode] = []
    threads: list[_SpinThread] = []
    try:
        for make_node in make_nodes:
            nodes.append(make_node())
            threads.append(_SpinThread(nodes[-1], stop))
        if any(node.get_parameter("use_sim_time").value for node in nodes):
            threads.append(_SpinThread(SimulatedClock(nodes), stop))
        for complaint in unheeded(sys.argv, nodes):
            nodes[0].get_logger().warning(complaint)
        for thread in threads:
            thread.start()
        started = start(nodes)
        if started:
            # The system may give a signal to any thread, and only a main thread that wakes up handles it.
            while not stop.wait(SIGNAL_LOOK_S):
                pass
    finally:
        for thread in threads:  # first: no callback may run while what it uses is taken apart
            thread.end()
        for node in reversed(nodes):  # the sources stand last
            if node.is_active:
                node.trigger_deactivate()
        for thread in reversed(threads):
            thread.node.destroy_node()
        rclpy.try_shutdown()
        for number in SIGNALS:  # a second one has nothing left to end
            signal.signal(number, signal.SIG_IGN)
    for thread in threads:
        if thread.failure is not None:
            raise thread.failure
    return started


class _SpinThread(threading.Thread):
    """Spins one node until its end; an error of a callback is kept, and ends everything."""

    def __init__(self, node: Node, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.node = node
        self.failure: BaseException | None = None
        self._stop_all = stop
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)

    def run(self) -> None:
        try:
            self._executor.spin()
        except BaseException as failure:  # raised again by the main thread
            self.failure = failure
            self._stop_all.set()

    def end(self) -> None:
        """Let no further callback begin, and wait for the present one."""
        self._executor.shutdown(timeout_sec=END_S)
        if self.is_alive():
            self.join(timeout=END_S)
