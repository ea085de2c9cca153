"""What all configuration models share: frozen, and strict about names."""

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """Base of every configuration model; an unknown field is an error, not a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())
