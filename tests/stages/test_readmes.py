"""What the READMEs say can be typed, and their links lead somewhere."""

import re
import shlex
from pathlib import Path

import pytest
import typer

import landslide_dist.cli  # noqa: F401 - registers the commands
from landslide_dist.cli.app import app

#: Typer has a click of its own, of which it gives this much.
UsageError = typer.BadParameter.__base__

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("deploy/**/*.md"), *ROOT.glob("configs/**/*.md"),
                 *ROOT.glob("benchmarks/*.md")]
)  # fmt: skip


def commands(page):
    """Command lines of the program in the shell blocks of a page."""
    for block in re.findall(r"```bash\n(.*?)```", page.read_text(), flags=re.DOTALL):
        for line in re.split(r"\n|[;&]", block.replace("\\\n", " ")):
            words = shlex.split(line, comments=True)
            if "landslide-dist" in words:
                yield words[words.index("landslide-dist") + 1 :]


def parse(words):
    """As the program would, without running anything."""
    _parse(typer.main.get_command(app), "landslide-dist", words)


def _parse(command, name, words, parent=None):
    with command.make_context(name, list(words), parent=parent) as context:
        if hasattr(command, "resolve_command"):
            left = [*context._protected_args, *context.args]
            inner_name, inner, rest = command.resolve_command(context, left)
            _parse(inner, inner_name, rest, context)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_parses_and_every_link_leads_somewhere(page):
    for words in commands(page):
        try:
            parse(words)
        except UsageError as error:
            pytest.fail(f"{page.name}: landslide-dist {shlex.join(words)}: {error.message}")
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        target = link.partition("#")[0]
        if target and "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_a_mistyped_option_is_seen():
    with pytest.raises(UsageError):
        parse(["predict", "run.yaml", "--modle", "lacnn"])
    with pytest.raises(UsageError):
        parse(["inventory", "mke", "run.yaml"])
