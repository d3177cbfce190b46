"""Steps in a browser: those of `chrome_extension`, from which `web_automation_agent` chooses too.

A step names an element by a CSS selector, where the first that is visible counts, or by the `ref` of a snapshot of the
same page ("e12"), never both. Other spellings that scripts use are accepted too; unknown
fields of a step are ignored.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

MAX_SELECTOR = 2000
MAX_TEXT = 100_000
MAX_URL = 8192


class BrowserStep(BaseModel):
    """Base of all steps. `optional` ones may fail without ending what follows; `timeout` is seconds, at most the setting's."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True, populate_by_name=True)

    optional: bool = False
    timeout: float | None = Field(default=None, gt=0)


class _Element(BrowserStep):
    """A step that is about one element, or may be."""

    selector: str | None = Field(default=None, min_length=1, max_length=MAX_SELECTOR)
    ref: str | None = Field(default=None, pattern=r"^[A-Za-z0-9]{1,32}$")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        # Both may be given by a script that keeps the ref of an earlier snapshot: nothing tells
        # which counts.
        if self.selector is not None and self.ref is not None:
            raise ValueError("an element is named by `selector` or by `ref`, not by both")
        return self


class _OneElement(_Element):
    """A step that cannot be without an element."""

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.selector is None and self.ref is None:
            raise ValueError("this step needs a `selector`")
        return self


class Navigate(BrowserStep):
    """Go to an address and wait until its document is there. Gives `url` (where redirects led), `title` and `status`.

    Only http and https; anything else is refused by the driver.
    """

    type: Literal["navigate"]
    url: str = Field(min_length=1, max_length=MAX_URL)


class Wait(BrowserStep):
    """Wait `time` seconds, or until an element of `selector` is visible."""

    type: Literal["wait"]
    time: float | None = Field(
        default=None, ge=0, le=60, validation_alias=AliasChoices("time", "seconds", "duration")
    )
    selector: str | None = Field(default=None, min_length=1, max_length=MAX_SELECTOR)

    @model_validator(mode="after")
    def _for_something(self) -> Self:
        if (self.time is None) == (self.selector is None):
            raise ValueError("`wait` takes `time` in seconds, or a `selector` to wait for")
        return self


class Click(_OneElement):
    """Click an element as a person would, once it can be; a page that opens by it becomes the current one."""

    type: Literal["click"]


class Type(_OneElement):
    """Put text into a field; what was in it goes unless `clear` is false. `submit` presses Enter afterwards."""

    type: Literal["type"]
    text: str = Field(max_length=MAX_TEXT, validation_alias=AliasChoices("text", "value"))
    clear: bool = True
    submit: bool = False


class Select(_OneElement):
    """Choose an option of a `select` element, by its value, else by what it shows."""

    type: Literal["select"]
    value: str = Field(max_length=MAX_TEXT, validation_alias=AliasChoices("value", "option", "text"))


class Press(_Element):
    """Press a key: "Enter", "Tab", "Escape", "ArrowDown", "a" …, in an element where one is named."""

    type: Literal["press"]
    key: str = Field(min_length=1, max_length=20)


class Scroll(_Element):
    """Scroll the page by `amount` pixels, None for what is visible of it; or an element into sight."""

    type: Literal["scroll"]
    direction: Literal["up", "down", "top", "bottom"] = "down"
    amount: int | None = Field(default=None, ge=1, le=1_000_000)


class Back(BrowserStep):
    """Go to the page before this one."""

    type: Literal["back"]


class Extract(_Element):
    """Read what is visible, or with `attribute` that attribute, of every element that the selector finds, 1,000 at most.

    Gives `items` (one string each) and `text` (they, a line each). Without a selector it is the whole page's text.
    Finding nothing is a failure. `name` is what `text` is called in `data` besides.
    """

    type: Literal["extract"]
    attribute: str | None = Field(default=None, pattern=r"^[A-Za-z_:][-A-Za-z0-9_:.]{0,99}$")
    name: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")


class ExtractHtml(_Element):
    """Read the page's HTML as it is now, or that of one element. Gives `html`."""

    type: Literal["extract_html"]


class Screenshot(BrowserStep):
    """A picture of what is visible, or of the whole page. Gives `screenshot`: a PNG in base64."""

    type: Literal["screenshot"]
    full_page: bool = Field(default=False, validation_alias=AliasChoices("full_page", "fullPage"))


Action = Annotated[
    Navigate | Wait | Click | Type | Select | Press | Scroll | Back | Extract | ExtractHtml | Screenshot,
    Field(discriminator="type"),
]
"""One step, told apart by its `type`."""
