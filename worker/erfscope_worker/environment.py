"""What of this machine decides the bytes of an answer, and how torch is set up for one job."""

import json
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

GPU_SIGNS = ("/dev/nvidiactl", "/dev/dxg")

# What a child may inherit: no credentials, no service addresses.
INHERITED = (
    "PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "LANG",
    "LC_ALL",
    "TZ",
    "LD_LIBRARY_PATH",
    "CUDA_HOME",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
)


def has_gpu_driver() -> bool:
    """Whether it is worth the seconds to ask torch for a GPU."""
    return any(Path(sign).exists() for sign in GPU_SIGNS)


def clean(threads: int) -> dict[str, str]:
    """The environment of zygote and children."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    if "PYTHONPATH" in inherited:  # an empty or relative part of it is the folder in which the worker was started
        places = inherited["PYTHONPATH"].split(os.pathsep)
        inherited["PYTHONPATH"] = os.pathsep.join(place for place in places if os.path.isabs(place))
    one_pool = {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": str(threads)}
    python = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1"}
    return {**inherited, **one_pool, **python, "CUDA_CACHE_DISABLE": "1"}  # its cache would go with the job's folder


def describe(device: str = "cpu") -> dict[str, str]:
    """torch's version and the kind of device; asking about CUDA starts its driver: never in a zygote."""
    loaded = sys.modules.get("torch")
    return {"torch": str(loaded.__version__) if loaded else version("torch"), "device": device_kind(device)}


def device_kind(device: str) -> str:
    """`cpu-avx512`, `cuda-nvidia-h200`: devices of one kind give the same bytes."""
    if device == "cpu":
        loaded = sys.modules.get("torch")
        return "cpu-" + str(loaded.backends.cpu.get_cpu_capability() if loaded else platform.machine()).lower()
    import torch

    if not torch.cuda.is_available():
        return "none"
    return "cuda-" + str(torch.cuda.get_device_name(0)).replace(" ", "-").lower()


def configure(threads: int) -> None:
    """Set torch up in a child, where it has been imported."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)


if __name__ == "__main__":
    print(json.dumps(describe(sys.argv[1])))
