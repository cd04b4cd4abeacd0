"""The form of a secret in forge.yaml: where it is kept. Its value is refused there."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from runbook.documents.forms import Section, Text, Variable


class SecretReference(Section):
    """Where a secret is kept: exactly one of the two. The secret itself never stands in this file."""

    env: Variable | None = Field(default=None, description="The name of the environment variable that holds it.")
    file: Text | None = Field(default=None, description="A file that holds it; relative to this file's folder.")

    @model_validator(mode="before")
    @classmethod
    def _refuse_inline(cls, value: Any) -> Any:
        if isinstance(value, str | int | float):
            remedy = "Move it to an environment variable or a file, write {env: NAME} or {file: PATH}, and replace the secret"
            raise PydanticCustomError("inline_secret", "a secret must not stand in this file", {"remedy": remedy})
        return value

    @model_validator(mode="after")
    def _require_one(self) -> SecretReference:
        if (self.env is None) == (self.file is None):
            raise PydanticCustomError(
                "secret_reference", "a secret has exactly one place", {"remedy": "Write {env: NAME} or {file: PATH}"}
            )
        return self
