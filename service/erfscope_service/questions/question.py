"""One kind of question: what it asks, what it is answered, and how its documents call it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from erfscope_contract.job import Work
from erfscope_jobs.records import Kind

R = TypeVar("R", bound=BaseModel)
J = TypeVar("J", bound=Work)


@dataclass(frozen=True)
class Question(Generic[R, J]):
    """A row of the table: its kind, its models, and the words of its OpenAPI.

    Every request has a `model` (ModelRef) and an `input` (InputOptions).
    """

    kind: Kind
    request: type[R]
    answer: type[BaseModel]
    job: type[J]
    noun: str  # "advice", "fit": as a sentence about one job calls it
    summary: str
    description: str
    example: Mapping[str, Any]
    example_summary: str

    @property
    def path(self) -> str:
        """Where it is submitted."""
        return f"/{self.kind}"

    @property
    def body(self) -> dict[str, Any]:
        """OpenAPI's requestBody."""
        content = {
            "schema": {"$ref": f"#/components/schemas/{self.request.__name__}"},
            "examples": {"spec": {"summary": self.example_summary, "value": self.example}},
        }
        return {"required": True, "content": {"application/json": content}}
