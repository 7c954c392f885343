"""Which layer reads which: read off an operator graph, and compared between two states of a network. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

from erfscope.gate.alignment import Pair
from erfscope.gate.rows import FIELD, READS, Row, called, difference

Sources = tuple[str, ...]
Node = tuple[Sequence[str], Sequence[str]]  # the tensors that an operator reads, and those that it makes
Graph = list[tuple[str, list[int]]]  # of each layer its kind, and the places of the layers that it reads


def sources_of(layers: Collection[str], start: str, nodes: Iterable[Node]) -> dict[str, Sources]:
    """Which layers, or the input `start`, each layer reads: directly, or through operators that are not layers.

    A layer that is not a tensor of the graph is left out. `nodes` are in the order in which they run.
    """
    is_layer = {start, *layers}
    reach: dict[str, Sources] = {start: (start,)}  # tensor → the layers that it is made of
    sources: dict[str, Sources] = {}
    for inputs, outputs in nodes:
        read = tuple(name for tensor in inputs for name in reach.get(tensor, ()))
        for output in outputs:
            if output in is_layer:
                sources[output] = read
            reach[output] = (output,) if output in is_layer else tuple(dict.fromkeys(read))
    return sources


def rewired(pairs: Sequence[Pair[Row]]) -> Iterator[str]:
    """Layers that read others than before; what an added or a removed layer explains is left out."""
    if not all(any(READS in row.facts for row in _side(pairs, side)) for side in (0, 1)) or _is_wired_alike(pairs):
        return
    old_places, new_places = _places(pairs, 0), _places(pairs, 1)
    for old, new in pairs:
        if old is None or new is None or not (READS in old.facts and READS in new.facts):
            continue
        sources = [old_places.get(name) for name in old.reads], [new_places.get(name) for name in new.reads]
        if None in (*sources[0], *sources[1]):
            continue
        before, now = ([called(row) for place in side if (row := pairs[place or 0][1])] for side in sources)
        yield from _in_words(called(new), before, now)


def _side(pairs: Sequence[Pair[Row]], side: int) -> list[Row]:
    return [row for pair in pairs if (row := pair[side]) is not None]


def _places(pairs: Sequence[Pair[Row]], side: int) -> dict[str, int]:
    """The place of each layer that both sides have, by what those that read it call it."""
    return {row.word: place for place, pair in enumerate(pairs) if None not in pair and (row := pair[side])}


def _is_wired_alike(pairs: Sequence[Pair[Row]]) -> bool:
    """Whether the layers alone differ, or their order in the file."""
    kinds = [_kind(pair, place) for place, pair in enumerate(pairs)]
    before, now = (Counter(_signatures(_graph(pairs, kinds, side))) for side in (0, 1))
    return before == now


def _kind(pair: Pair[Row], place: int) -> str:
    """What a layer is; one that is another now is that of its place on both sides."""
    old, new = pair
    is_changed = old is not None and new is not None and any(difference(old, new, without=FIELD))
    return str(place) if is_changed else next(row.geometry for row in pair if row is not None)


def _graph(pairs: Sequence[Pair[Row]], kinds: Sequence[str], side: int) -> Graph:
    rows = [(kind, row) for kind, pair in zip(kinds, pairs, strict=True) if (row := pair[side]) is not None]
    places = {row.word: place for place, (_, row) in enumerate(rows)}
    return [(kind, [places[name] for name in row.reads if name in places]) for kind, row in rows]


def _signatures(layers: Graph) -> list[tuple[int, int]]:
    """Of each layer a number for its kind and all that it is computed from, and how often it is read."""
    known: list[int] = []
    for kind, read in layers:
        known.append(hash((kind, tuple(sorted(known[place] for place in read if place < len(known))))))
    readers = Counter(place for _, read in layers for place in read)
    return [(number, readers[place]) for place, number in enumerate(known)]


def _in_words(layer: str, before: Iterable[str], now: Iterable[str]) -> Iterator[str]:
    """`add reads conv1 in place of conv0`: what a layer reads now and read before, by the same names; or nothing."""
    old, new = Counter(before), Counter(now)
    lost, gained = [*(old - new).elements()], [*(new - old).elements()]
    if lost and gained:
        yield f"{layer} reads {_and(gained)} in place of {_and(lost)}"
    elif gained:
        yield f"{layer} reads {_and(gained)} as well"
    elif lost:
        yield f"{layer} no longer reads {_and(lost)}"


def _and(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
