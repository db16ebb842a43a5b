"""The package.xml files name what the sources import, by keys that rosdep knows."""

import ast
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
KEYS = yaml.safe_load((Path(__file__).parent / "rosdep_keys.yaml").read_text(encoding="utf-8"))
PACKAGES = ("emotion_msgs", "emotion_perception", "emotion_training", "emotion_bringup")


def dependencies(package, *kinds):
    """The elements of a package.xml that name a dependency, of some kinds or of all."""
    elements = ElementTree.parse(ROOT / package / "package.xml").getroot()
    return [it for it in elements if it.tag in kinds or (not kinds and it.tag.endswith("depend"))]


def imported(*folders):
    """The top-level modules that the sources in some folders import, but for Python's own and their own."""
    paths = [path for folder in folders for path in folder.rglob("*.py")]
    own = {path.stem for path in paths} | {folder.name for folder in folders}
    modules = set()
    for node in (node for path in paths for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))):
        if isinstance(node, ast.Import):
            modules |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules.add(node.module)
    return {module.partition(".")[0] for module in modules} - sys.stdlib_module_names - own


def keys_of(modules):
    return {KEYS["modules"].get(module, module) for module in modules if module not in KEYS["pip"]}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_dependency_is_known_to_rosdep_where_it_is_asked_for(package):
    for dependency in dependencies(package):
        if dependency.text in KEYS["humble"]:
            assert dependency.get("condition") == "$ROS_DISTRO == humble", dependency.text
        else:
            assert dependency.text in {*KEYS["both"], *KEYS["system"], *PACKAGES}


@pytest.mark.parametrize("package", PACKAGES[1:])
def test_what_the_package_imports_is_a_dependency_at_run_time(package):
    needed = imported(ROOT / package / package, ROOT / package / "launch") - set(KEYS["optional"])
    assert keys_of(needed) - {it.text for it in dependencies(package, "depend", "exec_depend")} == set()


@pytest.mark.parametrize("package", PACKAGES[1:])
def test_colcon_test_runs_the_tests_by_pytest(package):
    """It looks for pytest in setup.py, not in package.xml, and else finds no test without saying so."""
    tree = ast.parse((ROOT / package / "setup.py").read_text(encoding="utf-8"))
    (setup,) = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "setup")
    given = {keyword.arg: keyword.value for keyword in setup.keywords}
    assert "pytest" in ast.literal_eval(given["extras_require"])["test"]


@pytest.mark.parametrize("package", PACKAGES[1:])
def test_what_examples_and_tests_import_is_a_dependency(package):
    needed = imported(*(ROOT / package / folder for folder in (package, "launch", "test")))
    assert keys_of(needed) - {it.text for it in dependencies(package)} == set()
