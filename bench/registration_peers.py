"""Other people's registration, called as its documentation says, from (reference, moving) to (dx, dy)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Shift = Callable[[Array, Array], tuple[float, float]]


def cv2_phase(reference: Array, moving: Array) -> tuple[float, float]:
    """cv2.phaseCorrelate, no window."""
    (dx, dy), _ = cv2.phaseCorrelate(reference.astype(np.float64), moving.astype(np.float64))
    return dx, dy


def cv2_phase_hann(reference: Array, moving: Array) -> tuple[float, float]:
    """cv2.phaseCorrelate under a Hann window, on copies: it overwrites float pictures of some sizes."""
    window = cv2.createHanningWindow(reference.shape[::-1], cv2.CV_64F)
    (dx, dy), _ = cv2.phaseCorrelate(reference.astype(np.float64), moving.astype(np.float64), window)
    return dx, dy


def ecc(reference: Array, moving: Array) -> tuple[float, float]:
    """cv2.findTransformECC, translation, gaussFiltSize 5."""
    matrix = ecc_matrix(reference, moving, "shift")
    return (0.0, 0.0) if matrix is None else (float(matrix[0, 2]), float(matrix[1, 2]))


KINDS = {
    "shift": cv2.MOTION_TRANSLATION,
    "euclidean": cv2.MOTION_EUCLIDEAN,
    "affine": cv2.MOTION_AFFINE,
    "homography": cv2.MOTION_HOMOGRAPHY,
}


def ecc_matrix(reference: Array, moving: Array, model: str) -> Array | None:
    """cv2.findTransformECC from no motion at all; None where it gives up or has no such model."""
    if model not in KINDS:
        return None
    start = np.eye(3 if model == "homography" else 2, 3, dtype=np.float32)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 100, 1e-6)
    try:
        _, matrix = cv2.findTransformECC(reference, moving, start, KINDS[model], stop, None, 5)
    except cv2.error:
        return None
    return matrix.astype(np.float64) if model == "homography" else np.vstack([matrix, [0, 0, 1]]).astype(np.float64)


def sift(reference: Array, moving: Array, model: str) -> Array | None:
    """OpenCV's SIFT and RANSAC."""
    finder, points, marks = cv2.SIFT_create(), [], []
    for plane in (reference, moving):
        found, described = finder.detectAndCompute(plane, None)
        points.append(found)
        marks.append(described)
    couples = cv2.BFMatcher().knnMatch(*marks, k=2)
    good = [m for m, n in couples if m.distance < 0.75 * n.distance]
    if len(good) < 4:
        return None
    here = np.array([points[0][m.queryIdx].pt for m in good], np.float32)
    there = np.array([points[1][m.trainIdx].pt for m in good], np.float32)
    if model == "homography":
        return cv2.findHomography(here, there, cv2.RANSAC, 1.0)[0]
    fit = cv2.estimateAffine2D if model == "affine" else cv2.estimateAffinePartial2D
    matrix = fit(here, there, ransacReprojThreshold=1.0)[0]
    return None if matrix is None else np.vstack([matrix, [0, 0, 1]])


def farneback_flow(reference: Array, moving: Array) -> Array:
    """cv2.calcOpticalFlowFarneback with the arguments of OpenCV's tutorial."""
    return cv2.calcOpticalFlowFarneback(reference, moving, None, 0.5, 3, 15, 3, 5, 1.2, 0)


def dis_flow(reference: Array, moving: Array) -> Array:
    """cv2.DISOpticalFlow, medium."""
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(reference, moving, None)


def tvl1_flow(reference: Array, moving: Array) -> Array:
    """cv2.optflow.DualTVL1OpticalFlow as it comes."""
    return cv2.optflow.DualTVL1OpticalFlow_create().calc(reference, moving, None)


def median_of(flow: Callable[[Array, Array], Array]) -> Shift:
    """The median of a flow as a shift."""

    def find(reference: Array, moving: Array) -> tuple[float, float]:
        dx, dy = np.median(flow(reference, moving).reshape(-1, 2), 0)
        return float(dx), float(dy)

    return find


def skimage_phase(upsample: int, window: bool, normalisation: str | None) -> Shift:
    """skimage.registration.phase_cross_correlation."""

    def find(reference: Array, moving: Array) -> tuple[float, float]:
        from skimage.registration import phase_cross_correlation

        planes = [reference.astype(np.float64), moving.astype(np.float64)]
        if window:
            planes = [(p - p.mean()) * np.outer(*map(np.hanning, p.shape)) for p in planes]
        shift, _, _ = phase_cross_correlation(*planes, upsample_factor=upsample, normalization=normalisation)
        return -float(shift[1]), -float(shift[0])

    return find


def simple_itk(reference: Array, moving: Array) -> tuple[float, float]:
    """SimpleITK: mean squares, cubic B-spline, three levels."""
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    fixed, other = (sitk.GetImageFromArray(p.astype(np.float32)) for p in (reference, moving))
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMeanSquares()
    method.SetInterpolator(sitk.sitkBSpline)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-5, 300, gradientMagnitudeTolerance=1e-8)
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1, 0])
    method.SetInitialTransform(sitk.TranslationTransform(2))
    found = method.Execute(fixed, other).GetParameters()
    return float(found[0]), float(found[1])


def stackreg(reference: Array, moving: Array) -> tuple[float, float]:
    """pystackreg, TRANSLATION."""
    from pystackreg import StackReg

    matrix = StackReg(StackReg.TRANSLATION).register(reference.astype(np.float64), moving.astype(np.float64))
    return float(matrix[0, 2]), float(matrix[1, 2])


def imreg(reference: Array, moving: Array) -> tuple[float, float]:
    """imreg_dft.translation."""
    import imreg_dft

    found = imreg_dft.translation(reference.astype(np.float64), moving.astype(np.float64))["tvec"]
    return -float(found[1]), -float(found[0])


PEERS: dict[str, tuple[str, Shift]] = {
    "SimpleITK mean squares, B-spline": ("SimpleITK", simple_itk),
    "pystackreg": ("pystackreg", stackreg),
    "OpenCV ECC, filter 5": ("cv2", ecc),
    "OpenCV Farneback, median": ("cv2", median_of(farneback_flow)),
    "OpenCV DIS, median": ("cv2", median_of(dis_flow)),
    "OpenCV phaseCorrelate, Hann": ("cv2", cv2_phase_hann),
    "OpenCV phaseCorrelate": ("cv2", cv2_phase),
    "scikit-image phase, 1/100": ("skimage", skimage_phase(100, False, "phase")),
    "scikit-image phase, 1/100, Hann": ("skimage", skimage_phase(100, True, "phase")),
    "scikit-image cross, 1/100, Hann": ("skimage", skimage_phase(100, True, None)),
    "imreg_dft": ("imreg_dft", imreg),
}
PARAMETRIC = {"OpenCV ECC": ecc_matrix, "OpenCV SIFT": sift}
FLOWS = {"OpenCV DIS": dis_flow, "OpenCV Farneback": farneback_flow}


def installed() -> dict[str, Shift]:
    """The peers whose package is there."""
    return {name: find for name, (package, find) in PEERS.items() if importlib.util.find_spec(package)}
