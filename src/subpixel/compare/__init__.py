"""One self-contained HTML page that lets a person judge videos side by side: pictures, plots, scores.

The last input is what the others are scored against. Smaller inputs are shown enlarged twice, by nearest neighbour
(their own pixels) and by bicubic. The pictures in the page are lossless unless JPEG is asked for.
"""

from subpixel.compare.collect import Crop
from subpixel.compare.page import report

__all__ = ["Crop", "report"]
