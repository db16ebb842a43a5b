"""What a robot's camera does to faces beyond `face_augmentation`: heads turned and tilted, motion, bad focus,
darkness, compressed video.
"""

import math
from dataclasses import dataclass

import kornia.augmentation
import kornia.geometry
import torch
from torch import Tensor

CAMERA_DISTANCE = 2.5  # from the face, in widths of the crop: how strongly a turned face narrows to one side
BLUR_KERNEL_PX = 7
JPEG_BLOCK_PX = 16  # with chroma at half resolution, a picture is coded in squares of this side


@dataclass(frozen=True)
class RobotFaceAugmentation:
    """How far each change goes; probabilities are per picture."""

    mirror_probability: float = 0.0
    turn_deg: float = 30.0  # to the side and up or down, both ways; a flat picture turned in space
    tilt_deg: float = 30.0  # in the picture, both ways
    pose_probability: float = 0.5
    motion_blur_probability: float = 0.2
    defocus_probability: float = 0.2
    defocus_sigma_px: tuple[float, float] = (0.5, 2.0)
    darkness_probability: float = 0.2
    darkness_gain: tuple[float, float] = (0.15, 0.6)  # of the light
    darkness_noise: float = 0.03  # greatest deviation of the sensor's noise in the dark, of full scale
    jpeg_probability: float = 0.3
    jpeg_quality: tuple[float, float] = (15.0, 60.0)


def augment_robot_faces(faces: Tensor, options: RobotFaceAugmentation, generator: torch.Generator) -> Tensor:
    """RGB (B, 3, S, S) in [0, 1] -> the same shape, changed picture by picture, in the order of the light's way.

    The generator decides everything: kornia, which draws from torch's global state, gets a seed from it, and
    that state is left as it was.
    """
    with torch.device("cpu"):  # where kornia draws, wherever the faces are
        blur = torch.nn.Sequential(
            kornia.augmentation.RandomMotionBlur(
                BLUR_KERNEL_PX,
                angle=180.0,
                direction=1.0,
                border_type="replicate",
                p=options.motion_blur_probability,
            ),
            kornia.augmentation.RandomGaussianBlur(
                (BLUR_KERNEL_PX, BLUR_KERNEL_PX), options.defocus_sigma_px, p=options.defocus_probability
            ),
        )
        jpeg = kornia.augmentation.RandomJPEG(options.jpeg_quality, p=options.jpeg_probability)
    if options.mirror_probability > 0.0:
        mirrored = torch.rand(len(faces), 1, 1, 1, generator=generator) < options.mirror_probability
        faces = torch.where(mirrored.to(faces.device), faces.flip(3), faces)
    faces = _turn(faces, options, generator)
    faces = _seeded(blur, faces, generator)
    faces = _darken(faces, options, generator)
    return _seeded(jpeg, _whole_blocks(faces), generator)[:, :, : faces.shape[2], : faces.shape[3]].clamp(0.0, 1.0)


def pose_homographies(turn: Tensor, nod: Tensor, tilt: Tensor, size_px: int) -> Tensor:
    """Where the points of a flat face go when it is turned in front of a camera, (B, 3, 3) in pixels.

    Args:
        turn: about the vertical axis, radians (B,).
        nod: about the horizontal axis.
        tilt: about the camera's axis.
        size_px: side S of the picture; the axes cross in its middle.
    """
    zero, one = torch.zeros_like(turn), torch.ones_like(turn)
    rotation = _matrix((turn.cos(), zero, turn.sin()), (zero, one, zero), (-turn.sin(), zero, turn.cos())) @ _matrix(
        (one, zero, zero), (zero, nod.cos(), -nod.sin()), (zero, nod.sin(), nod.cos())
    )
    rotation = _matrix((tilt.cos(), -tilt.sin(), zero), (tilt.sin(), tilt.cos(), zero), (zero, zero, one)) @ rotation
    distance = CAMERA_DISTANCE * size_px
    # A point (x, y, 0) of the face is seen at distance * (X, Y) / (Z + distance): columns x, y and 1.
    projection = _matrix(
        (distance * rotation[:, 0, 0], distance * rotation[:, 0, 1], zero),
        (distance * rotation[:, 1, 0], distance * rotation[:, 1, 1], zero),
        (rotation[:, 2, 0], rotation[:, 2, 1], distance * one),
    )
    middle = (size_px - 1) / 2.0
    to_middle = torch.tensor([[1.0, 0.0, -middle], [0.0, 1.0, -middle], [0.0, 0.0, 1.0]])
    return torch.linalg.inv(to_middle) @ projection @ to_middle


def _turn(faces: Tensor, options: RobotFaceAugmentation, generator: torch.Generator) -> Tensor:
    count, size_px = len(faces), faces.shape[-1]
    chosen = torch.rand(count, generator=generator) < options.pose_probability
    angles = torch.rand(3, count, generator=generator) * 2.0 - 1.0
    limits = torch.tensor([options.turn_deg, options.turn_deg, options.tilt_deg]).unsqueeze(1)
    angles = angles * chosen * limits * (math.pi / 180.0)  # (3, B)
    homographies = pose_homographies(*angles, size_px).to(faces)
    moved = kornia.geometry.transform.warp_perspective(faces, homographies, (size_px, size_px), padding_mode="border")
    return torch.where(chosen.to(faces.device)[:, None, None, None], moved, faces)


def _darken(faces: Tensor, options: RobotFaceAugmentation, generator: torch.Generator) -> Tensor:
    """Less light, and the noise that a sensor shows when its gain makes up for some of it."""
    count = len(faces)
    chosen = (torch.rand(count, generator=generator) < options.darkness_probability).view(-1, 1, 1, 1)
    low, high = options.darkness_gain
    gain = low + (high - low) * torch.rand(count, 1, 1, 1, generator=generator)
    noise = options.darkness_noise * torch.rand(count, 1, 1, 1, generator=generator)
    grain = (noise * torch.randn(faces.shape, generator=generator)).to(faces)
    dark = (faces * gain.to(faces) + grain).clamp(0.0, 1.0)
    return torch.where(chosen.to(faces.device), dark, faces)


def _whole_blocks(faces: Tensor) -> Tensor:
    """Repeats the last rows and columns up to whole JPEG blocks."""
    rows, columns = -faces.shape[2] % JPEG_BLOCK_PX, -faces.shape[3] % JPEG_BLOCK_PX
    return torch.nn.functional.pad(faces, (0, columns, 0, rows), mode="replicate")


def _seeded(change: torch.nn.Module, faces: Tensor, generator: torch.Generator) -> Tensor:
    """Runs a change of kornia with torch's global state seeded from the generator, then restores the state."""
    seed = int(torch.randint(2**31, (1,), generator=generator))
    with torch.random.fork_rng(devices=[faces.device] if faces.is_cuda else []), torch.device("cpu"):
        torch.manual_seed(seed)
        return change(faces)


def _matrix(*rows: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Three rows of three (B,) -> (B, 3, 3)."""
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
