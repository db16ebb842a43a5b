"""How long the exported graphs take on one core."""

import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime

from .bundle_writer import BundleModels, BundleShape, GraphSpec, bundle_specs, write_graph
from .config import BundleConfig
from .machine import processor

RUNS = 200


def measure_latency(models: BundleModels, config: BundleConfig) -> dict:
    """Median milliseconds of each graph at batch 1 with one thread, and on what machine."""
    with tempfile.TemporaryDirectory() as work:
        medians = {}
        for spec in bundle_specs(models, BundleShape.of(config)):
            path = Path(work) / spec.file
            write_graph(models, spec, path)
            medians[spec.file] = round(_median_ms(spec, path), 3)
    return {"median_ms_one_core": medians, "machine": processor(), "onnxruntime": onnxruntime.__version__}


def _median_ms(spec: GraphSpec, path: Path) -> float:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    case = next(case for case in spec.cases if len(case[0]) == 1)
    feed = {name: value.numpy() for name, value in zip(spec.inputs, case, strict=True)}
    durations_s = []
    for _ in range(RUNS):
        started_s = time.perf_counter()
        session.run(None, feed)
        durations_s.append(time.perf_counter() - started_s)
    return 1000.0 * float(np.median(durations_s))
