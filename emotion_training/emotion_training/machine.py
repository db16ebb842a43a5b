"""What a run is made on and by, and the words for it in its report."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch

PACKAGES = ("torch", "lightning", "numpy", "scikit-learn")
BFLOAT16 = ("avx512_bf16", "amx_bf16")  # of the processor's instructions, those that multiply it


def machine() -> str:
    """Processor, cores, memory, Python and the versions that figures depend on, in one line."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{processor()}, {os.cpu_count()} cores, {memory_gib:.0f} GiB; {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {packages}"
    )


def processor() -> str:
    """Its name where Linux tells it, else that of the architecture."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def code_commit() -> str:
    """Hash of the commit of this code; "-changed" is added where files differ; "uncommitted" without one.

    Where the code lies outside its repository, as in a container, EMOTION_COMMIT of the environment says it.
    """
    if commit := os.environ.get("EMOTION_COMMIT"):
        return commit
    folder = Path(__file__).resolve().parent  # Git sees no change behind the symbolic link of a colcon workspace
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return f"{commit}-changed" if _git(folder, "status", "--porcelain", "--", str(folder)) else commit
    except (subprocess.CalledProcessError, FileNotFoundError):
        return "uncommitted"


def training_device() -> torch.device:
    """CUDA's first graphics processor where there is one, which gives other weights than the CPU does."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def half_precision(device: torch.device, wanted: bool) -> torch.autocast:
    """A context in which products are made in bfloat16, if that is wanted and the processor can: one that cannot takes
    1.3 to 2.4 times as long for it as for float32.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted and _multiplies_bfloat16(device))


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in BFLOAT16)


def make_reproducible(seed: int, threads: int) -> None:
    """From here on the same code gives the same figures again, on the same machine with as many threads."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it CUDA refuses to be deterministic
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a guard of debugging that takes a tenth of a training


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
