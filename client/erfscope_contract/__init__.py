"""The wire contract: pydantic models that the service, the workers and the SDK share. Pure data."""
