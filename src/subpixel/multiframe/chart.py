"""How sharp the frames of a recording were, as a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from subpixel.multiframe.lucky import Verdict

WIDTH, HEIGHT = 960, 300
EDGE = (70, 20, 40, 45)  # left, right, top, bottom
INK, LINE, OUT = (60, 60, 60), (200, 200, 200), (190, 190, 235)  # BGR
USED, UNUSED = np.array((170, 90, 20)), np.array((225, 215, 205))


def chart(verdicts: Sequence[Verdict], keep: float) -> npt.NDArray[np.uint8]:
    """Two diagrams, (600, 960, 3) RGB: sharpness over time and from the sharpest to the least; the bluer a point, the
    more of the picture the frame was used for. Frames that could not be used are red ticks at the bottom.

    1 is the mean of all usable frames; the line in the lower diagram is where `keep` of them end.
    """
    usable = [verdict for verdict in verdicts if verdict.sharpness > 0]
    top = max([1.2, *(verdict.sharpness for verdict in usable)]) * 1.05
    last = max(verdicts[-1].index, 1) if verdicts else 1
    over_time = _Diagram(f"Sharpness of {len(usable)} frames over time (1 is their mean)", "frame", last, top)
    for verdict in verdicts:
        if verdict.sharpness > 0:
            over_time.point(verdict.index, verdict.sharpness, verdict.used)
        else:
            over_time.tick(verdict.index)
    ranked = sorted(usable, key=lambda verdict: -verdict.sharpness)
    by_rank = _Diagram("The same, from the sharpest to the least", "frames", max(len(ranked), 1), top)
    by_rank.upright(keep * len(ranked), f"{keep:.0%} kept")
    for rank, verdict in enumerate(ranked):
        by_rank.point(rank + 1, verdict.sharpness, verdict.used)
    return np.ascontiguousarray(np.vstack([over_time.canvas, by_rank.canvas])[..., ::-1])


class _Diagram:
    """Points over a pair of axes, from 0 to `far` and from 0 to `top`."""

    def __init__(self, title: str, unit: str, far: float, top: float) -> None:
        self.canvas = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
        self.far, self.top = far, top
        for value in _round(top):
            self._line((0, value), (far, value), LINE)
            self._write(f"{value:g}", self._at(0, value), left=-42, down=5)
        for value in _round(far):
            self._write(f"{value:g}", self._at(value, 0), left=-8, down=20)
        self._line((0, 0), (far, 0), INK)
        self._write(title, (EDGE[0], EDGE[2]), down=-14)
        self._write(unit, (WIDTH - EDGE[1], HEIGHT - EDGE[3]), left=-60, down=36)

    def point(self, x: float, y: float, used: float) -> None:
        import cv2

        colour = (UNUSED + (USED - UNUSED) * min(1.0, used) ** 0.5).tolist()
        cv2.circle(self.canvas, self._at(x, y), 4, colour, -1, cv2.LINE_AA)

    def tick(self, x: float) -> None:
        import cv2

        place = self._at(x, 0)
        cv2.line(self.canvas, place, (place[0], place[1] - 8), (60, 60, 210), 2, cv2.LINE_AA)

    def upright(self, x: float, text: str) -> None:
        self._line((x, 0), (x, self.top), OUT)
        self._write(text, self._at(x, self.top), left=6, down=14)

    def _at(self, x: float, y: float) -> tuple[int, int]:
        wide, high = WIDTH - EDGE[0] - EDGE[1], HEIGHT - EDGE[2] - EDGE[3]
        return round(EDGE[0] + wide * x / self.far), round(HEIGHT - EDGE[3] - high * y / self.top)

    def _line(self, start: tuple[float, float], end: tuple[float, float], colour: tuple[int, int, int]) -> None:
        import cv2

        cv2.line(self.canvas, self._at(*start), self._at(*end), colour, 1, cv2.LINE_AA)

    def _write(self, text: str, place: tuple[int, int], left: int = 0, down: int = 0) -> None:
        import cv2

        where = (place[0] + left, place[1] + down)
        cv2.putText(self.canvas, text, where, cv2.FONT_HERSHEY_SIMPLEX, 0.45, INK, 1, cv2.LINE_AA)


def _round(top: float) -> list[float]:
    """Four to nine round numbers up to `top`, not 0."""
    power = 10.0 ** np.floor(np.log10(top))
    step = next(power * part for part in (0.1, 0.2, 0.5, 1.0, 2.0) if top / (power * part) < 9.5)
    return [float(step * n) for n in range(1, int(top / step + 1e-9) + 1)]
