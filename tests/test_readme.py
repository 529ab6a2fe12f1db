"""The README: its code runs as it stands, its table is what the presets say."""

import re

import pytest


@pytest.fixture(scope="module")
def readme(repo_root):
    return (repo_root / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_code_blocks_run_from_top_to_bottom(readme, run_python):
    blocks = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert len(blocks) >= 8
    assert "optimum 0.0" in run_python("\n".join(blocks))


def test_commands_exist(readme, repo_root):
    targets = (repo_root / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`?make (\w+)", readme):
        assert re.search(rf"^{target}:", targets, re.MULTILINE), target


def test_table_is_written_by_code(readme):
    from hedgezoo.cards import readme_text

    assert readme_text(readme) == readme


def test_paths_in_it_exist(readme, repo_root):
    folders = "zoo|layers|losses|datasets|saved_models|tests"
    paths = re.findall(rf"`((?:{folders})/[a-z_/.]*)`", readme)
    assert len(paths) >= 8
    for path in paths:
        assert (repo_root / path).exists(), path
