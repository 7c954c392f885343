"""The spec language: a network described layer by layer, its graph and its shapes. Pure data, no torch."""

from erfscope_contract.architecture.base import Init, InitOptions, InitSpec
from erfscope_contract.architecture.check import Checked, NamedShape, check, infer
from erfscope_contract.architecture.plan import Plan, Step, plan
from erfscope_contract.architecture.spec import AnyLayer, Architecture, InputSpec

__all__ = [
    "AnyLayer",
    "Architecture",
    "Checked",
    "Init",
    "InitOptions",
    "InitSpec",
    "InputSpec",
    "NamedShape",
    "Plan",
    "Step",
    "check",
    "infer",
    "plan",
]
