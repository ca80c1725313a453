"""README and some guides are run: every block, in order, as a newcomer would, in an empty folder and home.

Comments in the page, which a reader does not see, say what a block is:

- before a block: `file: NAME` writes it, `edit: NAME` applies its -/+ lines, `exit: N` is the exit code of its last
  command (else 0), `not run: WHY` leaves it alone;
- after a block: `expect: TEXT` is a part of what its commands print, `exactly: TEXT` is all of it.

A `python` block without a name is run as a program; a `console` block is run line by line.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *(ROOT / "docs" / "guides" / f"{name}.md" for name in ("pipelines", "caching", "replay"))]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
BLOCK = re.compile(
    r"(?P<before>(?:^<!-- [^\n]* -->\n)*)^```(?P<language>\w+)\n(?P<body>.*?)^```\n(?P<after>(?:^<!-- [^\n]* -->\n)*)",
    re.DOTALL | re.MULTILINE,
)
NOTE = re.compile(r"<!-- (?P<word>file|edit|exit|not run|expect|exactly): (?P<text>.*?) -->")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    line: int
    language: str
    body: str
    notes: tuple[tuple[str, str], ...]

    def note(self, word: str) -> str | None:
        return next((text for known, text in self.notes if known == word), None)

    def all_notes(self, word: str) -> list[str]:
        return [text for known, text in self.notes if known == word]


def blocks(text: str) -> list[Block]:
    return [
        Block(
            line=text.count("\n", 0, match.start("body")),
            language=match["language"],
            body=match["body"],
            notes=tuple((note["word"], note["text"]) for note in NOTE.finditer(match["before"] + match["after"])),
        )
        for match in BLOCK.finditer(text)
    ]


def commands(block: Block) -> list[list[str]]:
    if block.language == "python":
        return [[sys.executable, "-c", block.body]]
    return [["bash", "-c", line[2:]] for line in block.body.splitlines() if line.startswith("$ ")]


def apply_edit(block: Block, path: Path) -> None:
    lines = block.body.splitlines()
    old = "".join(line[1:] + "\n" for line in lines if not line.startswith("+"))
    new = "".join(line[1:] + "\n" for line in lines if not line.startswith("-"))
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"line {block.line}: the lines to change are not in {path.name}"
    path.write_text(text.replace(old, new), encoding="utf-8")


def run(block: Block, folder: Path) -> None:
    environment = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    printed, last = "", 0
    steps = commands(block)
    assert steps, f"line {block.line}: nothing to run"
    for number, command in enumerate(steps):
        answer = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        printed += answer.stdout
        last = answer.returncode if answer.returncode >= 0 else 128 - answer.returncode  # as a shell says it
        assert last == 0 or number == len(steps) - 1, f"line {block.line}: {command[-1]}\n{answer.stdout}"
    told = f"line {block.line}: {block.body}\nexit {last}, printed:\n{printed}"
    assert last == int(block.note("exit") or 0), told
    for fragment in block.all_notes("expect"):
        assert fragment in printed, told
    for text in block.all_notes("exactly"):
        assert printed.strip() == text, told


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("home")
@each_page
def test_the_page_does_what_it_says(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TWINGRAPH_PROGRESS", raising=False)
    folder = tmp_path / "reader"
    folder.mkdir()
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.note("not run"):
            continue
        if name := block.note("file"):
            (folder / name).write_text(block.body, encoding="utf-8")
        elif name := block.note("edit"):
            apply_edit(block, folder / name)
        else:
            run(block, folder)


@each_page
def test_no_block_is_overlooked(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(blocks(text)) == text.count("\n```\n")


@each_page
def test_every_comment_is_understood(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert sum(len(block.notes) for block in blocks(text)) == text.count("<!--")


def test_only_two_blocks_are_not_run() -> None:
    left_alone = [block for block in blocks(README.read_text(encoding="utf-8")) if block.note("not run")]
    assert [block.body.split()[1] for block in left_alone] == ["make", "pip"]


def test_the_page_opens_with_the_two_commands() -> None:
    first = blocks(README.read_text(encoding="utf-8"))[0]
    targets = re.findall(r"^\$ make (\w+)", first.body, re.MULTILINE)
    assert targets == ["up", "test"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_an_unmet_expectation_is_noticed(tmp_path: Path) -> None:
    block = Block(line=1, language="console", body="$ echo no\n", notes=(("expect", "yes"),))
    with pytest.raises(AssertionError, match="printed"):
        run(block, tmp_path)


def test_links_in_the_pages_lead_somewhere() -> None:
    for page in [README, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
