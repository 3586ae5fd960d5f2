"""Maximum likelihood on the logs of positive parameters, and refits to resampled customers."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np

ROOM = 8.0  # how far a log parameter may move from its start: further out the likelihoods are flat
NOISE = 1e-9  # of a value: gamma functions of large parameters cancel
PART = 16_384  # rows worked through at a time: what comes of them stays in a processor's cache
MANY = 50_000  # rows from which on customers are drawn one by one, where they are few a row


def resample(weights, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Weights of customers drawn with replacement, an array a draw: equal rows, weights and seed, equal draws.

    A number for each customer and a number for each row give the same distribution: the cheaper is taken.
    """
    weights, rng = np.asarray(weights, dtype=np.int64), np.random.default_rng(seed)
    if MANY < len(weights) and weights.sum() < 4 * len(weights):
        row = np.repeat(np.arange(len(weights), dtype=np.int32), weights)
        for _ in range(draws):
            yield np.bincount(row[rng.integers(len(row), size=len(row), dtype=np.int32)], minlength=len(weights))
        return
    for _ in range(draws):
        yield rng.multinomial(weights.sum(), weights / weights.sum())


def maximise(objective: Callable, start: np.ndarray, curvature=None, centre=None) -> tuple[np.ndarray, float]:
    """Log parameters at the maximum, each within ROOM of `centre`, and the mean log-likelihood there; else ValueError.

    objective : log parameters -> mean log-likelihood and its gradient. curvature : the `information` to begin with;
    Newton's steps take it anew whenever the gradient has not shrunk to a third. centre : `start` where it is not given.
    """
    centre = start if centre is None else centre
    theta, size = np.clip(start, centre - ROOM, centre + ROOM), np.inf
    value, gradient = objective(theta)
    for _ in range(200):
        free = np.where(gradient > 0, theta < centre + ROOM, theta > centre - ROOM)
        before, size = size, np.abs(gradient[free]).max(initial=0.0)
        if size < 1e-8:
            break
        if curvature is None or size > before / 3:
            curvature = information(objective, theta)
        for damping in (1e-9, *10.0 ** np.arange(-6, 5)):  # flat directions give way first
            step = uphill(curvature, gradient, free, damping)
            trial = np.clip(theta + step, centre - ROOM, centre + ROOM)
            if (inside := free & (trial == theta + step)).sum() < free.sum():  # the others go on from where a wall stops some
                stopped = np.where(inside, 0, trial - theta)
                rest = uphill(curvature, gradient - curvature @ stopped, inside, damping)
                trial = np.clip(theta + stopped + rest, centre - ROOM, centre + ROOM)
            there = objective(trial)
            flatter = np.abs(there[1][free]).max(initial=0.0) < size / 2  # tells where the value's rounding hides a rise
            if there[0] > value or (flatter and value - there[0] < NOISE * abs(value)):
                theta, (value, gradient) = trial, there
                break
        else:
            break  # no step goes up: as high as double precision tells
    if not (np.isfinite(value) and size < 1e-3):
        raise ValueError(f"the likelihood has no maximum that could be reached: slope {size:.2g} at {np.exp(theta)}")
    return theta, float(value)


def uphill(curvature: np.ndarray, gradient: np.ndarray, free: np.ndarray, damping: float) -> np.ndarray:
    """Newton's step of the parameters that are free; upwards also where the curvature is not that of a maximum."""
    step, (values, vectors) = np.zeros(len(free)), np.linalg.eigh(curvature[np.ix_(free, free)])
    step[free] = vectors @ np.clip(vectors.T @ gradient[free] / (np.abs(values) + damping), -2, 2)
    return step


def information(objective: Callable, theta) -> np.ndarray:
    """Minus the Hessian of the mean log-likelihood at `theta`: as the objective has it, or by central differences."""
    if hasattr(objective, "information"):
        return objective.information(theta)
    steps = 1e-4 * np.eye(len(theta))
    rows = np.array([(objective(theta - step)[1] - objective(theta + step)[1]) / 2e-4 for step in steps])
    return (rows + rows.T) / 2


def refit(rows, parameters, weights, draws: int, seed: int) -> np.ndarray:
    """Parameters (draws × parameters) of fits to resamples, begun at `parameters` and within the room that a fit of their
    own has.

    rows : has `given`, weights -> objective, which has the `start` of its fit, and `scores`, log parameters -> each row's
    gradient (rows × parameters). With more than MANY rows one step of Newton's from the fit stands for a refit: what is
    left out falls as 1/n (Davidson and MacKinnon 1999, International Economic Review 40, 487-508).
    """
    begin, long, whole = np.log(parameters), len(weights) > MANY, rows.given(weights)
    curvature = information(whole, begin)

    def again(drawn):
        objective = rows.given(drawn)
        return maximise(objective, begin, curvature, objective.start)[0]

    def step(drawn):
        gradient = drawn @ scores / counted
        free = np.where(gradient > 0, begin < walls[1], begin > walls[0])
        return np.clip(begin + uphill(curvature, gradient, free, NOISE), *walls)

    if long:
        scores, walls = rows.scores(begin), (whole.start - ROOM, whole.start + ROOM)
        counted = weights @ scores.any(axis=1)
    return np.exp(at_once(step if long else again, resample(weights, draws, seed), long=long))


def at_once(work: Callable, samples: Iterator, *, long: bool) -> list:
    """What `work` makes of samples, in their order; of long ones two are in work, and in memory, at a time."""
    if not long:
        return [*map(work, samples)]
    done = []
    with ThreadPoolExecutor(2) as pool:  # numpy leaves the interpreter to others while it works
        while pair := [*islice(samples, 2)]:
            done += pool.map(work, pair)
    return done
