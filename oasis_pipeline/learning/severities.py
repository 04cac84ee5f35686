"""How severe each condition of a well looks to a network that was taught by simulated cards, where every severity is known.

Belongs here: the network that comes with the package, its answer, and the check of its file. Does not belong here: teaching it
(``models.severity_network``), and what becomes of its answers: they are features like others (``features``), which a classifier may
use or not.

Labels are few and say yes or no; the simulator tells for any number of cards how far every fault has gone. What the network learned
there is brought to a field by the models that learn from the field's own labels. Its inputs do not change with the size of a
well, so that a field need not have the simulator's depths and strokes. It never sees a label of a field: its answer for a card stays the
same whatever is labelled later.

A second network of the kind sees beside a card what its well usually shows (`usual`): what has always looked strange in a well is its sensors,
its unit or its field, what has come since is a condition.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.container import ArtifactError, pack, unpack

Float32 = NDArray[np.float32]

CONDITIONS = (
    "full_pump",
    "fluid_pound",
    "gas_interference",
    "leak_in_traveling_valve",
    "leak_in_standing_valve",
    "wellbore_friction",
    "tubing_movement",
    "pump_tagging_up",
    "pump_tagging_down",
    "excessive_vibration_of_the_rod",
    "parted_rod",
    "worn_pump_barrel",
)
"""What the simulator can do to a well, in the order of its severities."""

NETWORK_FILE = Path(__file__).with_name("severities.model")
CHANGES_FILE = Path(__file__).with_name("changes.model")
"""The network that sees what is usual beside the card."""

_KIND = "severity_network"
_LIMIT = 3.0
_DECIMALS = 3
_CARDS_AT_ONCE = 2048


@dataclass(frozen=True)
class SeverityNetwork:
    """A network of layers as plain arrays.

    Attributes
    ----------
    inputs : tuple of str
        Features that it looks at.
    watched : ndarray of int32, shape (k,)
        Which inputs tell by being missing that a card, or the equipment, is not known.
    centre, scale : ndarray of float32, shape (inputs,)
        An input x counts as (x - centre) / scale, bent to within three steps; a missing one as 0.
    weights : tuple of ndarray of float32
        Of each layer, shape (into, out of it); the first takes inputs and watched ones side by side.
    biases : tuple of ndarray of float32
    compares : bool
        Whether it sees, after these, by how far each input differs from what is usual in the well.
    """

    inputs: tuple[str, ...]
    watched: NDArray[np.int32]
    centre: Float32
    scale: Float32
    weights: tuple[Float32, ...]
    biases: tuple[Float32, ...]
    compares: bool = False

    @property
    def width(self) -> int:
        """Numbers that the first layer takes."""
        return len(self.inputs) * (1 + self.compares) + len(self.watched)

    def prepared(self, table: Float32, usual: Float32 | None = None) -> Float32:
        """Bring inputs to what the first layer takes, shape (n, width).

        Parameters
        ----------
        table : ndarray of float32, shape (n, inputs)
            NaN where something is not known.
        usual : ndarray of float32, optional, shape (n, inputs)
            What the wells usually show, for a network that compares.
        """
        width, watched = len(self.inputs), len(self.watched)
        result = np.empty((len(table), self.width), np.float32)
        self._steps(table, result[:, :width])
        result[:, width : width + watched] = np.isnan(table[:, self.watched])
        if self.compares:
            assert usual is not None
            change = result[:, width + watched :]
            self._steps(usual, change)
            np.subtract(result[:, :width], change, out=change)
            np.copyto(change, np.float32(0.0), where=np.isnan(table) | np.isnan(usual))
        return result

    def _steps(self, table: Float32, steps: Float32) -> None:
        # in place: this is most of the network's work but for the products
        np.subtract(table, self.centre, out=steps)
        np.divide(steps, self.scale * np.float32(_LIMIT), out=steps)
        np.tanh(steps, out=steps)
        np.multiply(steps, np.float32(_LIMIT), out=steps)
        np.copyto(steps, np.float32(0.0), where=np.isnan(table))

    def __call__(self, table: Float32, usual: Float32 | None = None) -> Float32:
        """Answer for many cards.

        Parameters
        ----------
        table : ndarray of float32, shape (n, inputs)
            NaN where something is not known.
        usual : ndarray of float32, optional, shape (n, inputs)
            What the wells usually show, for a network that compares.

        Returns
        -------
        ndarray of float32, shape (n, 2 * conditions)
            Severity of each condition, 0 (nothing) to 1 (as bad as it gets), and then how probable it is that a careful person
            would name it; three decimals, so that no rounding of a matrix product is seen.
        """
        result = np.empty((len(table), 2 * len(CONDITIONS)), np.float32)
        last = len(self.weights) - 1
        for first in range(0, len(table), _CARDS_AT_ONCE):
            part = slice(first, first + _CARDS_AT_ONCE)
            values = self.prepared(table[part], None if usual is None else usual[part])
            for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
                values = values @ weight + bias
                if number < last:
                    np.maximum(values, 0.0, out=values)
            result[first : first + len(values)] = values
        return np.asarray(np.round(np.clip(result, 0.0, 1.0), _DECIMALS), np.float32)


def answer_names(view: str) -> list[str]:
    """Return the names of a network's answers for a view, in their order."""
    return [f"{view}_{what}_{name}" for what in ("severity", "named") for name in CONDITIONS]


def pack_network(network: SeverityNetwork, manifest: dict[str, Any]) -> tuple[bytes, str]:
    """Pack a network; weights in half precision, which changes no answer by more than its last decimal.

    Parameters
    ----------
    network : SeverityNetwork
    manifest : dict
        What a reader should know.

    Returns
    -------
    data : bytes
    sha256 : str
    """
    facts = {
        **manifest,
        "inputs": list(network.inputs),
        "conditions": list(CONDITIONS),
        "layers": len(network.weights),
        "compares": network.compares,
    }
    arrays: dict[str, NDArray[Any]] = {
        "watched": network.watched,
        "centre": network.centre,
        "scale": network.scale,
    }
    for number, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        arrays |= {f"{number}.weight": weight, f"{number}.bias": bias}
    return pack(_KIND, facts, arrays, _wanted({**facts, "kind": _KIND}))


def unpack_network(data: bytes, expected_sha256: str) -> tuple[SeverityNetwork, dict[str, Any]]:
    """Unpack a network after checking it in full.

    Raises
    ------
    ArtifactError
        If it is not the expected one, or unsound.
    """
    return unpack(data, expected_sha256, _wanted, _built)


@lru_cache(maxsize=2)
def package_network(file: Path = NETWORK_FILE) -> SeverityNetwork:
    """Load a network of the package.

    Parameters
    ----------
    file : Path
        `NETWORK_FILE` or `CHANGES_FILE`.

    Raises
    ------
    ArtifactError
        If the package's file is damaged.
    """
    expected = file.with_suffix(".sha256").read_text(encoding="ascii").strip()
    return unpack_network(file.read_bytes(), expected)[0]


def _wanted(manifest: dict[str, Any]) -> dict[str, str]:
    if manifest.get("kind") != _KIND:
        raise ArtifactError(f"the artifact is a {manifest.get('kind')!r}, not a {_KIND!r}")
    layers = manifest["layers"]
    if not isinstance(layers, int) or not 1 <= layers <= 8:
        raise ArtifactError(f"a network of {layers!r} layers is not known")
    wanted = {"watched": "<i4", "centre": "<f4", "scale": "<f4"}
    for number in range(layers):
        wanted |= {f"{number}.weight": "<f2", f"{number}.bias": "<f4"}
    return wanted


def _built(manifest: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> SeverityNetwork:
    inputs = tuple(map(str, manifest["inputs"]))
    if tuple(manifest["conditions"]) != CONDITIONS:
        raise ArtifactError("the network knows other conditions than this release")
    layers = range(manifest["layers"])
    network = SeverityNetwork(
        inputs,
        arrays["watched"],
        arrays["centre"],
        arrays["scale"],
        tuple(arrays[f"{number}.weight"].astype(np.float32) for number in layers),
        tuple(arrays[f"{number}.bias"] for number in layers),
        bool(manifest.get("compares", False)),
    )
    if any(not np.isfinite(values).all() for name, values in arrays.items() if name != "watched"):
        raise ArtifactError("a weight is not a number")
    if network.centre.shape != (len(inputs),) or network.scale.shape != (len(inputs),):
        raise ArtifactError("the inputs and their scales do not fit together")
    if not (network.scale > 0).all():
        raise ArtifactError("a scale is not positive")
    watched = network.watched
    if watched.ndim != 1 or np.any(watched < 0) or np.any(watched >= len(inputs)):
        raise ArtifactError("a watched input does not exist")
    width = network.width
    for weight, bias in zip(network.weights, network.biases, strict=True):
        if weight.ndim != 2 or weight.shape[0] != width or bias.shape != weight.shape[1:]:
            raise ArtifactError("the layers do not fit together")
        width = len(bias)
    if width != 2 * len(CONDITIONS):
        raise ArtifactError(f"the network gives {width} answers")
    return network
