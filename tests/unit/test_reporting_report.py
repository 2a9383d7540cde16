"""report.html: self-contained, safe with hostile text, readable on a laptop and a phone."""

import csv
import re
import shutil
from pathlib import Path

import pytest
from deepscaler.reporting.report.write_report import chance, heading, plain, write_report
from synthetic_run import HOSTILE

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture
def page(run: Path) -> Path:
    output = run / "results/mini/report.html"
    write_report(scale="mini", folder=run / "results/mini", work=run / "work/mini", output=output)
    return output


def test_it_holds_everything(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for part in ("DeepScaleR 24K", "Figure 5.", "not run", "train_segment", "mini-aime", "Completions", "openrlhf"):
        assert part in text, part
    for what in ("measured", "by the paper&#39;s arithmetic", "by construction", "chance alone would put"):
        assert what in text, what
    assert text.count("data:image/png;base64,") == 5
    assert text.count('<details class="example"') >= 8


def test_untrusted_text_is_shown_and_never_run(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert HOSTILE not in text
    assert "&lt;script&gt;alert" in text
    assert "<script" not in text


def test_it_asks_no_network_for_anything(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text)
    assert "url(" not in text
    assert "@import" not in text


def test_without_results_it_still_is_a_page(run: Path) -> None:
    empty = run / "results" / "empty"
    empty.mkdir()
    write_report(scale="mini", folder=empty, work=run / "nowhere", output=empty / "report.html")
    assert "There is no table yet." in (empty / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("3", "3"),
        ("3.0", "3.00"),
        ("61.0", "61.0"),
        ("3.14159", "3.14"),
        ("0.0004", "0.0004"),
        ("12345.6", "12,345.6"),
        ("-", "-"),
        ("8k", "8k"),
    ],
)
def test_numbers_read_well(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize(
    ("column", "title"),
    [("peak_memory_gb", "peak memory (GB)"), ("planned_gpu_hours", "planned GPU hours"), ("pass_at_1", "Pass@1")],
)
def test_titles_of_columns_read_well(column: str, title: str) -> None:
    assert heading(column) == title


@pytest.mark.parametrize(("share", "shown"), [("0.0", "under 1 %"), ("0.004", "under 1 %"), ("0.27", "27 %")])
def test_a_chance_is_never_said_to_be_none(share: str, shown: str) -> None:
    assert chance(share) == shown


def test_completions_are_of_sets_by_their_titles(page: Path) -> None:
    shown = page.read_text(encoding="utf-8").split('<section id="examples">')[1].split("<section")[0]
    assert "Long sums" in shown
    assert "mini-aime-2024" not in shown


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (Debian: apt-get install chromium)")
def test_in_a_browser(page: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for width in (1280, 390):
            tab = browser.new_page(viewport={"width": width, "height": 900})
            heard: list[str] = []
            tab.on("console", lambda message, heard=heard: heard.append(message.text))
            tab.on("pageerror", lambda error, heard=heard: heard.append(str(error)))
            tab.on("dialog", lambda dialog, heard=heard: (heard.append(dialog.message), dialog.dismiss()))
            asked: list[str] = []
            tab.on("request", lambda request, asked=asked: asked.append(request.url))
            tab.goto(page.as_uri())
            tab.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
            assert tab.evaluate("document.documentElement.scrollWidth") <= width, "the page scrolls sideways"
            assert tab.evaluate("Array.from(document.images).every(image => image.naturalWidth > 0)")
            assert not heard
            assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]
        browser.close()


def ledger_of(page: Path) -> tuple[list[str], list[list[str]]]:
    """The page's table of compute: titles of its columns, cells of its rows."""
    text = page.read_text(encoding="utf-8").split('<section id="compute">')[1].split("</table>")[0]
    lines = [re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", line) for line in re.split(r"</tr>", text)]
    titles, *rows = [line for line in lines if line]
    return titles, rows


@pytest.mark.parametrize(("times", "unit", "factor"), [(1, "minutes", 60), (1000, "hours", 1)])
def test_every_column_of_the_ledger_has_one_unit(run: Path, times: float, unit: str, factor: float) -> None:
    """In minutes and in hours; `elapsed` has a value in the last row alone, other columns in most."""
    results = run / "results/mini"
    with (results / "compute.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    for index, row in enumerate(rows):
        for column in row:
            if column.endswith("_hours"):
                row[column] = f"{times * float(row[column] or 0):.4f}" if row[column] else ""
        row["elapsed_hours"] = f"{times * 0.1053:.4f}" if index == len(rows) - 1 else ""
    with (results / "compute.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    output = results / "report.html"
    write_report(scale="mini", folder=results, work=run / "work/mini", output=output)
    titles, cells = ledger_of(output)
    assert f"elapsed {unit}" in titles
    assert not any(title.endswith("minutes" if unit == "hours" else "hours") for title in titles)
    for column in ("wall_hours", "core_hours", "elapsed_hours"):
        shown = [line[titles.index(column.replace("hours", unit).replace("_", " "))] for line in cells]
        expected = [plain(str(round(factor * float(row[column]), 2))) if row[column] else "" for row in rows]
        if unit == "minutes":
            assert shown == expected, column
        else:
            assert shown == [plain(row[column]) for row in rows], column
