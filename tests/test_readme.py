"""What README.md says is what the documentation tests."""

from pathlib import Path

ROOT = Path(__file__).parents[1]


def _block(text, language):
    return text.split(f"```{language}\n", 1)[1].split("```", 1)[0]


def test_the_lines_of_the_readme_are_those_of_the_landing_page_which_are_run():
    readme = (ROOT / "README.md").read_text()
    landing = (ROOT / "doc" / "index.rst").read_text().splitlines()
    code = [line[4:] for line in landing if line.startswith((">>> ", "... "))]
    assert [line for line in _block(readme, "python").splitlines() if line] == code
    printed = _block(readme, "text").splitlines()
    assert [line for line in landing if "log-loss 0" in line] == printed


def test_ci_runs_the_test_command_of_the_readme():
    command = _block((ROOT / "README.md").read_text().split("## Test it")[1], "bash").strip()
    assert command == 'pip install -e ".[test]" && python -m pytest'
    assert "README.md" in (ROOT / ".ci" / "run").read_text()
