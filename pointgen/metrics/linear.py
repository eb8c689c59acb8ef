"""How well a linear classifier tells categories apart by codes."""

from __future__ import annotations

import numpy as np

__all__ = ["linear_accuracy"]


def linear_accuracy(
    known: np.ndarray, known_labels: np.ndarray, codes: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """Return for which of some codes (M, C) a linear SVM that learnt from others is right, (M,).

    One-vs-rest, squared hinge, C = 1, codes as they are. Source: the code of Yang et al. 2019,
    whose classifier it is.

    Args:
        known: (N, C), the codes to learn from.
        known_labels: (N,), their categories.
        codes: (M, C), those to judge.
        labels: (M,), their categories.

    Raises:
        ValueError: Codes are not finite, or there are fewer than two categories to learn.
    """
    from sklearn.svm import LinearSVC

    svm = LinearSVC(random_state=0, max_iter=10_000).fit(known, known_labels)
    return np.asarray(svm.predict(codes) == labels)
