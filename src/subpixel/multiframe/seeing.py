"""Seeing: how the air bends a frame, as a smooth field of shifts on a mesh.

Lucas & Kanade's method (IJCAI 1981) with a Gaussian window, in its inverse-compositional form (Baker & Matthews,
IJCV 56, 2004): gradients and their products belong to the reference and are computed once, so that a frame costs a few
milliseconds. Pictures are halved and band-passed first: what is lost are frequencies that noise owns, and the means,
so that clouds and the brightness of the sky do not matter.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]

CELL = 8  # pixels between points of the mesh
WINDOW = 2.0  # standard deviation of the window, in cells: 16 pixels
STEPS = 4
TENSION = 0.02  # of the mean structure: what a place needs to have a motion of its own


class Seeing:
    """The reference of a recording, prepared for finding out how each frame is bent.

    Fields are (mesh height, mesh width, 2) float32 in pixels of the frame: the thing at reference (x, y) is found in
    the frame at (x + dx, y + dy). A point of the mesh stands for CELL x CELL pixels and lies in their middle.
    """

    def __init__(self, reference: Float) -> None:
        """reference: (height, width) luminance of any scale, at least 32 pixels a side."""
        height, width = reference.shape
        self.half = (width // 2, height // 2)
        self.pace = np.array([width / self.half[0], height / self.half[1]], np.float32)
        self.mesh = (-(-width // CELL), -(-height // CELL))
        self.smooth = self._prepared(reference)
        self.across, self.down = gradients(self.smooth)
        a, b, c = (self._gathered(p) for p in (self.across**2, self.across * self.down, self.down**2))
        tension = TENSION * float((a + c).mean()) / 2 + np.finfo(np.float32).tiny
        a, c = a + tension, c + tension
        determinant = a * c - b * b
        self.inverse = (c / determinant, -b / determinant, a / determinant)
        self.places = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in self.half))

    def field(self, frame: Float, start: Float) -> Float:
        """The field of a frame (height, width), from a start that is right to about three pixels: a field, or (2,) for
        one shift everywhere."""
        import cv2

        moving = self._prepared(frame)
        field = np.zeros((*self.mesh[::-1], 2), np.float32) + np.asarray(start, np.float32) / self.pace
        ij, jk, kl = self.inverse
        for _ in range(STEPS):
            fine = cv2.resize(field, self.half, interpolation=cv2.INTER_LINEAR)
            x, y = self.places[0] + fine[..., 0], self.places[1] + fine[..., 1]
            error = cv2.remap(moving, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) - self.smooth
            error[(x < 0) | (y < 0) | (x > self.half[0] - 1) | (y > self.half[1] - 1)] = 0
            right, below = self._gathered(self.across * error), self._gathered(self.down * error)
            field[..., 0] -= ij * right + jk * below
            field[..., 1] -= jk * right + kl * below
        return np.asarray(self.pace * field)

    def uncertainty(self, noise: float) -> float:
        """Predicted error of fields in pixels (2-D, root of the mean square over places that have structure) where
        frames differ from the reference by noise of this standard deviation: the Cramer-Rao bound of the window."""
        samples = 4 * np.pi * (WINDOW * CELL / 2) ** 2  # that a Gaussian window averages over
        trace = self.inverse[0] + self.inverse[2]
        textured = trace <= np.median(trace)
        variance = (noise / 2) ** 2 / samples * trace[textured]  # halving a picture halves its noise
        return float(2 * np.sqrt(variance.mean()))

    def _prepared(self, picture: Float) -> Float:
        import cv2

        small = cv2.resize(picture, self.half, interpolation=cv2.INTER_AREA)
        wide = cv2.blur(cv2.blur(small, (17, 17)), (17, 17))
        return np.asarray(cv2.GaussianBlur(small, (0, 0), 0.8) - wide)

    def _gathered(self, plane: Float) -> Float:
        """The window's mean around each point of the mesh."""
        import cv2

        coarse = cv2.resize(plane, self.mesh, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.GaussianBlur(coarse, (0, 0), WINDOW, borderType=cv2.BORDER_REFLECT))


def gradients(plane: Float) -> tuple[Float, Float]:
    """Central differences along x and y."""
    import cv2

    pairs = ((1, 0), (0, 1))
    across, down = (
        cv2.Sobel(plane, cv2.CV_32F, dx, dy, ksize=1, scale=0.5, borderType=cv2.BORDER_REPLICATE) for dx, dy in pairs
    )
    return np.asarray(across), np.asarray(down)


def unbent(picture: Float, field: Float, scale: float = 1.0) -> tuple[Float, Float]:
    """A frame (height, width[, 3]) as the reference sees it, and where it shows anything (1 inside, 0 outside).

    Both `scale` times as high and wide, their outer edges where they were. Cubic interpolation: OpenCV's is off by up
    to 0.05 pixels, differently for each frame, which is far below what the seeing leaves.
    """
    import cv2

    height, width = picture.shape[:2]
    size = (round(width * scale), round(height * scale))
    shifts = cv2.resize(field, size, interpolation=cv2.INTER_LINEAR)
    x = shifts[..., 0] + _centres(width, size[0])
    y = shifts[..., 1] + _centres(height, size[1])[:, None]
    seen = cv2.remap(picture, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    return np.asarray(seen), inside.astype(np.float32)


def _centres(length: int, finer: int) -> Float:
    """Where the centres of `finer` pixels lie among those of `length` pixels that fill the same line."""
    return ((np.arange(finer) + 0.5) * (length / finer) - 0.5).astype(np.float32)
