"""What the tree promises, held against the tree."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "src").rglob("*.py"))
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_every_module_says_what_it_is_and_stays_small(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    assert len(path.read_text().splitlines()) <= 350


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_everything_public_has_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    bare = [
        node.name
        for scope in (tree, *(node for node in tree.body if isinstance(node, ast.ClassDef)))
        for node in scope.body
        if isinstance(node, kinds) and not node.name.startswith("_") and not ast.get_docstring(node)
        if "migrations" not in path.parts
    ]
    assert bare == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_in_the_docs_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_modules_that_the_docs_name_are_there(path: Path) -> None:
    there = [f"/{module.relative_to(ROOT)}" for folder in ("src", "tests") for module in (ROOT / folder).rglob("*.py")]
    for named in re.findall(r"`((?:\w+/)*\w+\.py)`", path.read_text()):
        assert any(module.endswith(f"/{named}") for module in there), named


def test_every_package_has_its_place_in_the_tree() -> None:
    tree = (ROOT / "ARCHITECTURE.md").read_text().split("```")[1]
    packages = {module.parent.name for module in (ROOT / "src/voltroot").glob("*/__init__.py")}
    assert packages == set(re.findall(r"^  (\w+)/ ", tree, re.MULTILINE))
