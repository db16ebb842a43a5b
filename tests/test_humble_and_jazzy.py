"""The robot's packages use nothing of rclpy that Humble or Jazzy lacks."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
RCLPY = yaml.safe_load((Path(__file__).parent / "rclpy_of_humble_and_jazzy.yaml").read_text(encoding="utf-8"))
SOURCES = sorted(
    path
    for package in (
        "emotion_perception/emotion_perception",
        "emotion_bringup/emotion_bringup",
        "emotion_bringup/launch",
    )
    for path in (ROOT / package).rglob("*.py")
)


def complaints(source: str) -> Iterator[str]:
    """What a source uses that one of the two lacks."""
    tree = ast.parse(source, feature_version=(3, 10))
    imported: dict[str, str] = {}  # names of rclpy by the name that the source gives them
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                if name.name.startswith("rclpy") and name.name not in RCLPY["importable"]:
                    yield f"import {name.name}"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rclpy"):
            for name in node.names:
                imported[name.asname or name.name] = name.name
                if name.name not in RCLPY["importable"].get(node.module, ()):
                    yield f"from {node.module} import {name.name}"
        elif isinstance(node, ast.Attribute):
            path = ast.unparse(node)
            module = ast.unparse(node.value)
            offered = RCLPY["importable"].get(module, (node.attr,))
            is_offered = node.attr in offered or path in RCLPY["importable"]
            if not is_offered or node.attr in RCLPY["lacking"]:
                yield path
        elif isinstance(node, ast.With) and any("rclpy.init" in ast.unparse(item.context_expr) for item in node.items):
            yield "with rclpy.init()"
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        used = {keyword.arg for keyword in call.keywords if keyword.arg is not None}
        for keyword in sorted(used - set(known_keywords(call, imported, used))):
            yield f"{ast.unparse(call.func)}({keyword}=)"


def known_keywords(call: ast.Call, imported: dict[str, str], used: set[str]) -> set[str] | list[str]:
    """The keywords that a call may have: all that it uses when it is not one of rclpy."""
    if isinstance(call.func, ast.Name):
        return RCLPY["keywords"].get(imported.get(call.func.id, ""), used)
    if isinstance(call.func, ast.Attribute):
        if ast.unparse(call.func.value) in RCLPY["importable"]:
            return RCLPY["keywords"].get(call.func.attr, used)
        return RCLPY["method_keywords"].get(call.func.attr, used)
    return used


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_source_uses_what_humble_and_jazzy_both_have(path):
    assert list(complaints(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source, complaint",
    [
        ("import rclpy.event_handler", "import rclpy.event_handler"),
        ("from rclpy.qos import qos_profile_best_available", "from rclpy.qos import qos_profile_best_available"),
        ("import rclpy\nrclpy.logging.get_logger_level('a')", "rclpy.logging.get_logger_level"),
        ("node.wait_for_node('other', 1.0)", "node.wait_for_node"),
        ("self.create_timer(1.0, tick, autostart=False)", "self.create_timer(autostart=)"),
        ("from rclpy.node import Node as N\nN('a', enable_logger_service=True)", "N(enable_logger_service=)"),
        ("import rclpy\nwith rclpy.init():\n    pass", "with rclpy.init()"),
    ],
)
def test_what_one_of_them_lacks_is_found(source, complaint):
    assert list(complaints(source)) == [complaint]


def test_syntax_newer_than_python_3_10_is_found():
    with pytest.raises(SyntaxError):
        list(complaints("def first[T](items: list[T]) -> T: ..."))
