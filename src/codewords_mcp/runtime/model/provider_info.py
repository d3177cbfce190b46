"""Model providers, as lists of them show each."""

from __future__ import annotations

from pydantic import BaseModel, Field


class ProviderInfo(BaseModel):
    """A model provider as this home reaches it."""

    name: str
    title: str
    interface: str = Field(
        description="Whose paths it has: openai, anthropic, gemini, azure, bedrock or vertex."
    )
    address: str = Field(description="Base URL of the provider.")
    mount: str = Field(description="Path of this runtime that leads to it.")
    key: str = Field(description="Name of the secret or variable with its key.")
    ready: bool = Field(description="Whether the caller's calls have a key, or need none.")
    resting: float = Field(
        description="Seconds for which it is not called, since it failed several times in a row."
    )
