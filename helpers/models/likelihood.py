"""Maximum likelihood on the logs of positive parameters, and refits to resampled customers."""

from collections.abc import Callable, Iterator

import numpy as np

ROOM = 8.0  # how far a log parameter may move from its start: further out the likelihoods are flat


def resample(weights, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Weights of customers drawn with replacement, an array a draw: equal rows, weights and seed, equal draws."""
    weights, rng = np.asarray(weights, dtype=np.int64), np.random.default_rng(seed)
    for _ in range(draws):
        yield rng.multinomial(weights.sum(), weights / weights.sum())


def maximise(objective: Callable, start: np.ndarray, curvature=None) -> tuple[np.ndarray, float]:
    """Log parameters at the maximum, each within ROOM of `start`, and the mean log-likelihood there; else ValueError.

    objective : log parameters -> mean log-likelihood and its gradient. curvature : the `information` to begin with;
    Newton's steps take it anew whenever the gradient has not shrunk to a third.
    """
    theta, (value, gradient), size = start, objective(start), np.inf
    for _ in range(200):
        free = np.where(gradient > 0, theta < start + ROOM, theta > start - ROOM)
        before, size = size, np.abs(gradient[free]).max(initial=0.0)
        if size < 1e-8:
            break
        if curvature is None or size > before / 3:
            curvature = information(objective, theta)
        values, vectors = np.linalg.eigh(curvature[np.ix_(free, free)])
        for damping in (1e-9, *10.0 ** np.arange(-6, 5)):  # flat directions give way first
            step = np.zeros(len(theta))
            step[free] = vectors @ np.clip(vectors.T @ gradient[free] / (np.abs(values) + damping), -2, 2)
            trial = np.clip(theta + step, start - ROOM, start + ROOM)
            if (there := objective(trial))[0] > value:
                theta, (value, gradient) = trial, there
                break
        else:
            break  # no step goes up: as high as double precision tells
    if not (np.isfinite(value) and size < 1e-3):
        raise ValueError(f"the likelihood has no maximum that could be reached: slope {size:.2g} at {np.exp(theta)}")
    return theta, float(value)


def information(objective: Callable, theta) -> np.ndarray:
    """Minus the Hessian of the mean log-likelihood at `theta`, by central differences of its gradient."""
    steps = 1e-4 * np.eye(len(theta))
    rows = np.array([(objective(theta - step)[1] - objective(theta + step)[1]) / 2e-4 for step in steps])
    return (rows + rows.T) / 2


def refit(objective_of: Callable, parameters, weights, draws: int, seed: int) -> np.ndarray:
    """Parameters (draws × parameters) of fits to resamples, begun at `parameters`; objective_of : weights -> objective."""
    start = np.log(parameters)
    curvature = information(objective_of(weights), start)
    return np.exp([maximise(objective_of(drawn), start, curvature)[0] for drawn in resample(weights, draws, seed)])
