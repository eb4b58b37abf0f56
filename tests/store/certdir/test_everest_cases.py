"""EVerest's own cases, on our store."""

from __future__ import annotations

from pathlib import Path

import pytest

from everest_cases import CASES, Direct


@pytest.mark.parametrize("name", CASES)
def test_a_case_of_everest_holds(name: str, tmp_path: Path) -> None:
    case, begin = CASES[name]
    case(Direct(begin(tmp_path)))


def test_the_table_has_all_portable_cases() -> None:
    # verify_directory_bundles has two configurations.
    assert len(CASES) == 36 + 1
