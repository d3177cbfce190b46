"""Frames of a page of the console while a person scrolls and zooms."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import dataclass
from itertools import pairwise

from tests.support.chromium import Tab
from tests.support.waiting import until

SECONDS = 3
_FRAMES = """
window.frames_ = (step) => new Promise((done) => {
  const stamps = [];
  const tick = (now) => {
    stamps.push(now);
    const part = (now - stamps[0]) / %d;
    if (part >= 1) { done(stamps); return; }
    step(part, stamps.length);
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
})
"""
"""Do something before each frame for some seconds; the times of all frames in milliseconds."""
_SHOWN = """
(() => {
  const look = () => {
    if (document.querySelector(SELECTOR)) requestAnimationFrame(() => setTimeout(() => (window.shown_ = performance.now())));
    else requestAnimationFrame(look);
  };
  look();
})()
"""
"""Milliseconds from the navigation to the frame after the one in which an element was drawn."""


@dataclass(frozen=True)
class Frames:
    """Frames a second, the longest time of 95 of 100 frames, and what the page's main thread worked for one, both in ms."""

    rate: float
    p95_ms: float
    work_ms: float


def _frames(stamps: list[float], work: float) -> Frames:
    gaps = sorted(after - before for before, after in pairwise(stamps))
    p95 = gaps[int(len(gaps) * 0.95)]
    return Frames(round(1000 / statistics.mean(gaps), 1), round(p95, 1), round(1000 * work / len(gaps), 1))


def _worked(page: Tab) -> float:
    """Seconds of a processor that the page's main thread has used."""
    metrics = {one["name"]: one["value"] for one in page.do("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"])


def rest(page: Tab) -> Frames:
    """Do nothing: the frames that the machine has for any page now."""
    return _while(page, "() => {}")


def scroll(page: Tab, selector: str) -> Frames:
    """Scroll a list from its beginning to its end, the same way in each frame."""
    return _while(
        page,
        f"""((list) => (part) => (list.scrollTop = part * (list.scrollHeight - list.clientHeight)))
        (document.querySelector({json.dumps(selector)}))""",
    )


def press(page: Tab, selector: str, keys: str) -> Frames:
    """Press one of these keys before each frame."""
    return _while(
        page,
        f"""((element, keys) => (part, number) => element.dispatchEvent(new KeyboardEvent("keydown",
        {{ key: keys[number % keys.length], bubbles: true, cancelable: true }})))
        (document.querySelector({json.dumps(selector)}), {json.dumps(keys.split())})""",
    )


def drag(page: Tab, selector: str) -> Frames:
    """Move a pressed mouse over an element and back, then leave it where it began, which zooms nothing."""
    box = page.value(
        f"(({{ left, top, width, height }}) => [left, top + height / 2, width])"
        f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
    )
    left, middle, width = box
    page.value("window.going_ = frames_(() => {}), 0")
    mouse = {"button": "left", "buttons": 1, "clickCount": 1}
    page.do("Input.dispatchMouseEvent", type="mousePressed", x=left + 1, y=middle, **mouse)
    before = _worked(page)
    ends = time.monotonic() + SECONDS
    moved = 0
    while time.monotonic() < ends:
        moved += 1
        across = abs((moved * 7) % int(2 * width - 4) - width + 2)
        page.do("Input.dispatchMouseEvent", type="mouseMoved", x=left + across, y=middle, **mouse)
    stamps = page.value("going_")
    work = _worked(page) - before
    page.do("Input.dispatchMouseEvent", type="mouseMoved", x=left + 1, y=middle, **mouse)
    page.do("Input.dispatchMouseEvent", type="mouseReleased", x=left + 1, y=middle, **mouse)
    return _frames(stamps, work)


def _while(page: Tab, step: str) -> Frames:
    before = _worked(page)
    stamps = page.value(f"frames_({step})")
    return _frames(stamps, _worked(page) - before)


def prepare(page: Tab) -> None:
    """Put what measures frames into the page that is open."""
    page.do("Performance.enable", timeDomain="threadTicks")
    page.value((_FRAMES % (SECONDS * 1000)).strip())


def time_to(page: Tab, url: str, selector: str) -> float:
    """Milliseconds from a navigation with an empty cache until an element is drawn."""
    page.do("Network.clearBrowserCache")
    script = _SHOWN.replace("SELECTOR", json.dumps(selector))
    added = page.do("Page.addScriptToEvaluateOnNewDocument", source=script)["identifier"]
    page.open(url)
    page.do("Page.removeScriptToEvaluateOnNewDocument", identifier=added)
    return float(until(lambda: page.value("window.shown_"), f"{selector} on {url}"))


def memory_mb(page: Tab) -> float:
    """The page's JavaScript memory after a collection."""
    page.do("HeapProfiler.collectGarbage")
    return round(page.do("Runtime.getHeapUsage")["usedSize"] / 1e6, 1)
