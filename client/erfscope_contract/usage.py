"""What a tenant stores, and how much it may store."""

from pydantic import BaseModel, ConfigDict, Field


class Share(BaseModel):
    """One quota."""

    model_config = ConfigDict(frozen=True)

    used: int = Field(description="Now.")
    limit: int = Field(description="At most; beyond it the service answers quota-exceeded, or 429 for open jobs.")


class Usage(BaseModel):
    """What a tenant stores. Everything expires after its time to live, and then no longer counts."""

    model_config = ConfigDict(frozen=True)

    tenant: str = Field(description="The tenant that stores this; `public` where no keys are needed.")
    model_bytes: Share = Field(description="Bytes of stored models, with the files beside them.")
    image_bytes: Share = Field(description="Bytes of stored images.")
    result_bytes: Share = Field(description="Bytes of results, with their pictures and maps.")
    jobs: Share = Field(description="Stored jobs of all kinds, ended ones too.")
    open_jobs: Share = Field(description="Queued and running jobs.")
