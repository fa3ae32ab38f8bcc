r"""Looks at Flower in a real browser, as a person would, and prints what it saw as JSON.

    FLOWER=http://127.0.0.1:5555 FLOWER_USER=name:password CHROMIUM=/usr/bin/chromium \
        python browse_flower.py [LINK]

It runs where the published port can be reached, which may not be where the tests run.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

SECONDS = 1000.0
#: What Chromium is called, here or there.
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def main(link: str) -> None:
    address = os.environ["FLOWER"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=list(ARGUMENTS))
        try:
            print(json.dumps(look(browser, address, link)))
        finally:
            browser.close()


def look(browser: Browser, address: str, link: str) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    name, _, password = os.environ["FLOWER_USER"].partition(":")
    context = browser.new_context(http_credentials={"username": name, "password": password})
    context.set_default_timeout(20 * SECONDS)
    page = context.new_page()
    problems: list[str] = []
    requests: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.on("response", lambda r: problems.append(f"{r.status} {r.url}") if r.status >= 500 else None)

    page.goto(address + "/workers")
    page.wait_for_function("Number(document.querySelector('#workers-online').textContent) > 0")
    seen["workers online"] = int(page.inner_text("#workers-online"))
    seen["succeeded"] = page.inner_text("#workers-succeeded")
    seen["workers"] = table(page, "#workers-table")

    page.goto(address + "/tasks")
    page.click("button[data-task-state=SUCCESS]")
    page.wait_for_selector("#tasks-table tbody tr td:nth-child(2)")
    seen["tasks"] = table(page, "#tasks-table")
    page.click("#tasks-table tbody tr a[href*='/task/']")
    page.wait_for_load_state()
    seen["task"] = page.inner_text("body")

    if link:
        page.goto(link)
        page.wait_for_selector("#tasks-table tbody tr td:nth-child(2)")
        seen["linked tasks"] = table(page, "#tasks-table")
    if os.environ.get("SCREENSHOT"):
        page.goto(address + "/tasks")
        page.wait_for_selector("#tasks-table tbody tr td:nth-child(2)")
        page.screenshot(path=os.environ["SCREENSHOT"])
    seen["problems"] = problems
    seen["hosts"] = sorted({"/".join(url.split("/")[:3]) for url in requests if url.startswith("http")})
    return seen


def table(page: Page, selector: str) -> list[dict[str, str]]:
    """Return the rows of a table, each cell's text under its column's header."""
    heads = page.locator(f"{selector} thead th").all_text_contents()
    rows = page.locator(f"{selector} tbody tr").all()
    texts = [row.locator("td").all_inner_texts() for row in rows]
    return [{h.strip(): c.strip() for h, c in zip(heads, cells, strict=True)} for cells in texts]


if __name__ == "__main__":
    main("".join(sys.argv[1:]))
