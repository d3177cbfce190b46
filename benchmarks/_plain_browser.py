"""Playwright and Chromium with nothing around them: the peer of `browser.py`. Arguments: Chromium, a URL. Talks JSON lines."""

# pyright: basic, reportMissingImports=false
# Playwright is in the environment that the runtime has built, not in ours.
from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any


async def main(chromium: str, url: str) -> None:
    from playwright.async_api import async_playwright

    began = time.perf_counter()

    async def step(page: Any) -> str:
        await page.goto(url, wait_until="domcontentloaded")
        return await page.locator("css=body").inner_text()

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = await (await browser.new_context()).new_page()
        await step(page)
        cold = time.perf_counter() - began
        began = time.perf_counter()
        await step(page)
        print(json.dumps({"cold": cold, "second": time.perf_counter() - began}), flush=True)
        await asyncio.to_thread(sys.stdin.readline)  # until its memory is measured
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
