"""Draws the face of the person in the simulated worlds, in every expression that it shows there.

    python -m emotion_bringup.drawn_face emotion_bringup/models/emotion_person/materials/textures

The person is nobody: a drawing may be shipped, which the pictures of the face corpora may not.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE_PX = 512
# Lengths are in widths of the drawn face, x to the right and y down, from a point between the eyes and the nose.
FACE_WIDTH_PX = 0.41 * SIDE_PX
CENTER_PX = np.array([0.50, 0.48]) * SIDE_PX
SUBPIXEL_BITS = 4  # of OpenCV's coordinates
JPEG_QUALITY = 92

BACKGROUND = np.array([120, 140, 150])  # colours are RGB
SHIRT = np.array([60, 80, 120])
SKIN = np.array([224, 178, 150])
HAIR = np.array([58, 40, 28])
LIPS = np.array([190, 92, 88])
EYE_Y, MOUTH_Y = -0.10, 0.335

Points = NDArray[np.float64]  # (N, 2)
Mask = NDArray[np.float32]  # (H, W) in [0, 1]


@dataclass(frozen=True)
class Expression:
    """How far each part of the face has moved; the words are those of the Facial Action Coding System."""

    lip_corner_puller: float = 0.0  # 1: a broad smile; negative: corners drawn down
    cheek_raiser: float = 0.0  # 0 to 1: narrows the eyes from below and deepens the folds beside the mouth
    mouth_width: float = 0.18  # half of it
    mouth_opening: float = 0.0
    shows_teeth: bool = False
    jaw_drop: float = 0.0
    inner_brow_raiser: float = 0.0
    outer_brow_raiser: float = 0.0
    eye_opening: float = 0.7  # 1: wide awake


EXPRESSIONS = {
    "neutral": Expression(inner_brow_raiser=-0.047, outer_brow_raiser=-0.011),
    "happy": Expression(
        lip_corner_puller=1.0, cheek_raiser=1.0, mouth_width=0.24, mouth_opening=0.10, shows_teeth=True, eye_opening=0.9
    ),
    "sad": Expression(
        lip_corner_puller=-1.0, mouth_width=0.155, inner_brow_raiser=0.068, outer_brow_raiser=-0.054, eye_opening=0.6
    ),
    "surprised": Expression(
        mouth_width=0.12,
        mouth_opening=0.20,
        jaw_drop=0.15,
        inner_brow_raiser=0.08,
        outer_brow_raiser=0.08,
        eye_opening=1.6,
    ),
}


class Canvas:
    """An RGB picture that shapes are blended into."""

    def __init__(self) -> None:
        self.image = np.full((SIDE_PX, SIDE_PX, 3), BACKGROUND, np.float32)

    def mask(self, outline: Points, blur: float = 0.0) -> Mask:
        """Where the closed shape is; `blur` is the standard deviation of its edge."""
        corners = np.round((outline * FACE_WIDTH_PX + CENTER_PX) * 2**SUBPIXEL_BITS).astype(np.int32)
        mask = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
        cv2.fillPoly(mask, [corners], 255, cv2.LINE_AA, shift=SUBPIXEL_BITS)
        soft = mask.astype(np.float32) / 255
        return cv2.GaussianBlur(soft, (0, 0), blur * FACE_WIDTH_PX) if blur else soft

    def blend(self, mask: Mask, color: Sequence[float] | NDArray, opacity: float = 1.0) -> None:
        weight = (mask * opacity)[..., np.newaxis]
        self.image = self.image * (1 - weight) + np.asarray(color, np.float32) * weight

    def fill(
        self,
        outline: Points,
        color: Sequence[float] | NDArray,
        opacity: float = 1.0,
        blur: float = 0.002,
        inside: Mask | None = None,
    ) -> None:
        mask = self.mask(outline, blur)
        self.blend(mask if inside is None else mask * inside, color, opacity)

    def stroke(
        self,
        line: Points,
        width: float | NDArray,
        color: Sequence[float] | NDArray,
        opacity: float = 1.0,
        blur: float = 0.004,
        inside: Mask | None = None,
    ) -> None:
        """Draw along the line (N, 2) with a width that is one number or one a point."""
        along = np.gradient(line, axis=0)
        across = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.linalg.norm(along, axis=1, keepdims=True)
        half = across * np.broadcast_to(width, len(line))[:, np.newaxis] / 2
        self.fill(between(line + half, line - half), color, opacity, blur, inside)


def between(upper: Points, lower: Points) -> Points:
    """The outline of what lies between two lines that run in the same direction."""
    return np.vstack([upper, lower[::-1]])


def ellipse(x: float, y: float, half_width: float, half_height: float) -> Points:
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    return np.stack([x + half_width * np.cos(angles), y + half_height * np.sin(angles)], axis=1)


def curve(*points: tuple[float, float], steps: int = 12) -> Points:
    """A smooth line through the points: a Catmull-Rom spline with `steps` pieces from one point to the next."""
    known = np.array(points, float)
    padded = np.vstack([2 * known[0] - known[1], known, 2 * known[-1] - known[-2]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, np.newaxis]
    pieces = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * (b - c) + d - a) * t**3)
        for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False)
    ]
    return np.vstack([*pieces, known[-1:]])


def draw(expression: Expression) -> NDArray[np.uint8]:
    """The head and shoulders with that expression, RGB (SIDE_PX, SIDE_PX, 3)."""
    canvas = Canvas()
    _draw_body(canvas)
    face = _draw_head(canvas, expression)
    for side in (-1, 1):
        _draw_eye(canvas, expression, side, face)
        _draw_brow(canvas, expression, side)
    if expression.inner_brow_raiser > 0.04:
        for y in (-0.36, -0.41):
            canvas.stroke(curve((-0.18, y), (0, y - 0.015), (0.18, y)), 0.010, SKIN * 0.72, 0.5, 0.008, face)
    _draw_nose(canvas, expression, face)
    _draw_mouth(canvas, expression, face)
    _draw_fringe(canvas)
    return np.clip(np.round(canvas.image), 0, 255).astype(np.uint8)


def _draw_body(canvas: Canvas) -> None:
    canvas.fill(ellipse(0, -0.13, 0.60, 0.72), HAIR)
    canvas.fill(np.array([(-0.6, -0.1), (0.6, -0.1), (0.52, 0.42), (-0.52, 0.42)]), HAIR, blur=0.02)
    right = [(0.2, 0.6), (0.35, 0.82), (0.8, 0.95), (0.95, 1.25)]
    canvas.fill(curve(*((-x, y) for x, y in reversed(right)), *right), SHIRT)
    neck = np.array([(-0.21, 0.3), (0.21, 0.3), (0.24, 0.8), (0, 0.95), (-0.24, 0.8)])
    canvas.fill(neck, SKIN * 0.82, blur=0.01)
    canvas.fill(ellipse(0, 0.62, 0.3, 0.16), SKIN * 0.6, 0.6, 0.04, canvas.mask(neck))  # shadow of the chin
    for side in (-1, 1):
        canvas.fill(ellipse(side * 0.47, 0.02, 0.06, 0.12), SKIN * 0.9, blur=0.006)  # ears


def _draw_head(canvas: Canvas, expression: Expression) -> Mask:
    """The skin, round by its shading; returns where it is."""
    drop = 0.6 * expression.jaw_drop
    right = [(0.30, -0.55), (0.45, -0.3), (0.455, 0), (0.41, 0.28), (0.27, 0.50 + 0.6 * drop), (0.1, 0.62 + drop)]
    left = [(-x, y) for x, y in reversed(right)]
    face = canvas.mask(curve((0, -0.62), *right, (0, 0.635 + drop), *left, (0, -0.62)), 0.004)
    canvas.blend(face, SKIN)
    canvas.blend(face * (1 - canvas.mask(ellipse(0, -0.02, 0.33, 0.5), 0.12)), SKIN * 0.68, 0.75)
    canvas.fill(ellipse(0, -0.33, 0.2, 0.1), SKIN * 1.12, 0.5, 0.07, face)
    canvas.fill(ellipse(0, 0.54 + drop, 0.09, 0.05), SKIN * 1.08, 0.5, 0.035, face)
    for side in (-1, 1):
        canvas.fill(ellipse(side * 0.25, 0.13, 0.1, 0.08), (236, 160, 140), 0.55, 0.05, face)
        light = 0.45 + 0.3 * expression.cheek_raiser
        canvas.fill(ellipse(side * 0.24, 0.07, 0.06, 0.035), SKIN * 1.15, light, 0.03, face)
    return face


def _draw_eye(canvas: Canvas, expression: Expression, side: int, face: Mask) -> None:
    x, opening = side * 0.2, expression.eye_opening
    top = 0.047 * opening
    bottom = 0.034 * min(opening, 1.25) * (1 - 0.6 * expression.cheek_raiser)
    corners = (x - 0.098, EYE_Y + 0.012), (x + 0.098, EYE_Y + 0.012)
    upper, lower = (
        curve(corners[0], (x - 0.05, EYE_Y + 0.8 * y), (x, EYE_Y + y), (x + 0.05, EYE_Y + 0.8 * y), corners[1])
        for y in (-top, bottom)
    )
    canvas.fill(ellipse(x, EYE_Y - 0.015, 0.125, 0.085), SKIN * 0.72, 0.7, 0.03, face)
    eye = canvas.mask(between(upper, lower), 0.003)
    canvas.blend(eye, (238, 234, 230))
    for radius, color in ((0.043, (92, 62, 36)), (0.021, (15, 10, 8))):
        canvas.fill(ellipse(x, EYE_Y - 0.004, radius, radius), color, inside=eye)
    canvas.fill(ellipse(x + 0.014, EYE_Y - 0.018, 0.009, 0.009), (255, 255, 255), 0.9, inside=eye)
    canvas.stroke(upper - (0, 0.002), 0.013, (50, 32, 24), 0.95)
    canvas.stroke(lower, 0.006, (130, 85, 70), 0.7)
    canvas.stroke(upper - (0, 0.03), 0.008, SKIN * 0.6, 0.7, 0.006)
    bag = curve((x - 0.09, EYE_Y + 0.05), (x, EYE_Y + 0.075), (x + 0.09, EYE_Y + 0.05))
    canvas.stroke(bag, 0.012, SKIN * 0.7, 0.6 * expression.cheek_raiser, 0.008)


def _draw_brow(canvas: Canvas, expression: Expression, side: int) -> None:
    inner, outer = expression.inner_brow_raiser, expression.outer_brow_raiser
    middle = (side * 0.2, -0.257 - (inner + outer) / 2)
    brow = curve((side * 0.085, -0.215 - inner), middle, (side * 0.335, -0.20 - outer))
    width = np.interp(np.linspace(0, 1, len(brow)), [0, 0.3, 1], [0.042, 0.046, 0.014])
    canvas.stroke(brow, width, (62, 42, 30), 0.92, 0.007)


def _draw_nose(canvas: Canvas, expression: Expression, face: Mask) -> None:
    for side, shade in ((-1, 0.8), (1, 0.72)):  # the light comes a little from the left
        canvas.stroke(
            curve((side * 0.045, -0.12), (side * 0.04, 0.03), (side * 0.06, 0.13)), 0.05, SKIN * shade, 0.55, 0.02
        )
        wing = curve((side * 0.05, 0.19), (side * 0.09, 0.175), (side * 0.095, 0.13))
        canvas.stroke(wing, 0.016, SKIN * 0.6, 0.75, 0.006)
        canvas.fill(ellipse(side * 0.036, 0.182, 0.022, 0.011), (90, 45, 38), 0.85, 0.005)
        width = expression.mouth_width
        fold = curve((side * 0.1, 0.14), (side * (0.17 + 0.15 * width), 0.21), (side * (width + 0.06), 0.33))
        canvas.stroke(fold, 0.018, SKIN * 0.68, 0.75 * expression.cheek_raiser, 0.009, face)
    canvas.stroke(curve((0, -0.12), (0, 0.1)), 0.035, SKIN * 1.14, 0.6, 0.015)
    canvas.fill(ellipse(0, 0.135, 0.05, 0.04), SKIN * 1.12, 0.6, 0.02)
    canvas.fill(ellipse(0, 0.225, 0.03, 0.03), SKIN * 0.85, 0.5, 0.015)


def _draw_mouth(canvas: Canvas, expression: Expression, face: Mask) -> None:
    smile = expression.lip_corner_puller
    t = np.linspace(-1, 1, 41)  # from one corner to the other
    x = t * expression.mouth_width
    rest = MOUTH_Y + 0.25 * expression.jaw_drop + smile * (0.03 - 0.075 * t**2)
    opening = expression.mouth_opening * (1 - t**2) ** 0.6
    top = rest - 0.35 * opening * (1 - 0.7 * max(smile, 0))
    bottom = rest + 0.9 * opening
    bow = 1 - 0.35 * np.exp(-((t / 0.14) ** 2))
    upper_lip = 0.003 + 0.023 * (1 - t**2) * bow
    lower_lip = 0.003 + 0.038 * (1 - t**2) ** 0.8

    def line(y: NDArray, narrowing: float = 1.0) -> Points:
        return np.stack([narrowing * x, y], axis=1)

    if expression.mouth_opening:
        cavity = canvas.mask(between(line(top), line(bottom)), 0.002)
        canvas.blend(cavity, (70, 22, 24))
        if expression.shows_teeth:
            teeth = between(line(top, 0.94), line(top + np.minimum(0.62 * opening, 0.07), 0.94))
            canvas.fill(teeth, (240, 236, 226), inside=cavity)
        else:
            tongue_y = rest[len(t) // 2] + 0.85 * expression.mouth_opening
            tongue = ellipse(0, tongue_y, 0.6 * expression.mouth_width, 0.4 * expression.mouth_opening)
            canvas.fill(tongue, (150, 60, 62), 0.7, 0.01, cavity)
    else:
        canvas.stroke(line(rest, 1.03), 0.011, (95, 38, 36), 0.9)
    canvas.fill(between(line(top - upper_lip), line(top)), LIPS * 0.88, 0.9, 0.004)
    canvas.fill(between(line(bottom), line(bottom + lower_lip)), LIPS, 0.9, 0.004)
    middle = np.abs(t) < 0.6
    canvas.stroke(line(bottom + 0.45 * lower_lip)[middle], 0.01, (225, 140, 132), 0.6, 0.006)
    canvas.stroke(line(bottom + lower_lip + 0.035)[middle], 0.03, SKIN * 0.72, 0.55, 0.015, face)
    for side in (-1, 1):
        canvas.fill(ellipse(side * 1.05 * x[-1], rest[0], 0.014, 0.014), SKIN * 0.55, 0.7, 0.008)


def _draw_fringe(canvas: Canvas) -> None:
    hairline = curve(
        (-0.5, 0.02), (-0.475, -0.2), (-0.38, -0.38), (-0.1, -0.47), (0.3, -0.40), (0.43, -0.28), (0.49, 0)
    )
    crown = curve((-0.6, -0.1), (-0.52, -0.5), (-0.3, -0.77), (0, -0.86), (0.3, -0.77), (0.52, -0.5), (0.6, -0.1))
    outline = between(hairline, crown)
    canvas.fill(outline, HAIR, blur=0.006)
    fringe = canvas.mask(outline)
    for number, part in enumerate(np.linspace(-1, 1, 25)):
        strand = curve((0.15 * part, -0.82), (0.42 * part, -0.66), (0.56 * part, -0.4), (0.6 * part, -0.05))
        canvas.stroke(strand, 0.010, HAIR * (0.7, 1.9, 1.2)[number % 3], 0.35, 0.004, fringe)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draws the faces of the person in the simulated worlds.")
    parser.add_argument("folder", type=Path, help="where <expression>.jpg is written")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, expression in EXPRESSIONS.items():
        image_bgr = cv2.cvtColor(draw(expression), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / f"{name}.jpg"), image_bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


if __name__ == "__main__":
    main()
