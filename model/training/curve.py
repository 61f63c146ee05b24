"""The picture of a training run: `loss.svg`, drawn from `metrics.jsonl`.

    python -m kosmos_eval.model.training.curve FOLDER        draws it anew

From above: the loss of each stream over the steps, or of the run as a whole where there are no streams; what the
examinations found, where there were any; the learning rate.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kosmos_eval.errors import DataError
from kosmos_eval.writing import whole_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

METRICS = "metrics.jsonl"
PICTURE = "loss.svg"

_STREAM = "loss of "
_PLOTTED = 400
"""Points of a line, at most: more of them are told by their mean."""

_LOGARITHMIC = 8.0
"""How many times the least loss the greatest must be for a logarithmic axis."""

_SHARE_OF_TIME = 0.01
"""How much of a run's time may go into its pictures."""

_WIDTH, _LOSS_HEIGHT, _EXAM_HEIGHT, _RATE_HEIGHT = 640, 300, 160, 80
_COLOURS = ("#1f5aa8", "#c8641b", "#1f7a4d", "#a4327a", "#7a5c00", "#5b4bb3", "#59626e", "#b0302a")
_INK, _FAINT, _RULE = "#1b2027", "#59626e", "#e4e6e7"


class Curve:
    """Draws a run's picture now and then; what goes wrong with it is said once and stops nothing."""

    def __init__(self, folder: Path) -> None:
        """Take the folder of the run."""
        self.folder = folder
        self._broken = False
        self._last = float("-inf")
        self._took = 0.0

    def draw(self, *, last: bool = False) -> None:
        """Draw the picture, unless that would take more than a hundredth of the time since it was drawn before.

        Args:
            last: of the run: draw it in any case.
        """
        began = time.monotonic()
        if self._broken or (not last and self._took > _SHARE_OF_TIME * (began - self._last)):
            return
        try:
            draw_curve(self.folder)
        except Exception as error:  # noqa: BLE001  a picture is no reason to lose a run
            self._broken = True
            print(f"{PICTURE} is not drawn: {_reason(error)}", file=sys.stderr, flush=True)  # noqa: T201  as the loop's progress
        self._last = time.monotonic()
        self._took = self._last - began


def _reason(error: Exception) -> str:
    if isinstance(error, ImportError):
        return f"{error}; install what draws it with: pip install 'kosmos-eval[train]'"
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]:.200}"


def draw_curve(folder: Path) -> Path | None:
    """Draw the picture of a run's folder and return its path; `None` when nothing has been told yet.

    Raises:
        DataError: the run's metrics cannot be read.
    """
    lines = _lines(folder / METRICS)
    if not _losses(lines):
        return None
    import vl_convert  # noqa: PLC0415  an extra, and 100 MB of memory

    drawn = vl_convert.vegalite_to_svg(chart(lines, folder.name))
    with whole_file(folder / PICTURE) as path:
        path.write_text(drawn, encoding="utf-8")
    return folder / PICTURE


def chart(lines: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """Return the picture as a Vega-Lite specification.

    Args:
        lines: of `metrics.jsonl`.
        name: of the run.
    """
    import altair as alt  # noqa: PLC0415  an extra

    steps = max(line["step"] for line in lines)
    across = alt.X(
        "step:Q",
        title="optimiser step",
        scale=alt.Scale(domain=[0, steps], nice=False),
        axis=alt.Axis(format=",d", tickCount=8),
    )
    above = across.title(None).axis(tickCount=8, labels=False, ticks=False)
    parts = [_loss_part(lines, above)]
    if marks := _marks(lines):
        parts.append(_exam_part(marks, above))
    parts.append(_rate_part(lines, across))
    whole = alt.vconcat(*parts, spacing=18).resolve_scale(color="independent", shape="independent")
    whole = whole.properties(
        title=alt.TitleParams(f"{name}: training loss", subtitle=_said(lines, steps), anchor="start", offset=14),
        background="white",
        padding=16,
    )
    specification: dict[str, Any] = (
        whole.configure(font="sans-serif")
        .configure_title(fontSize=16, subtitleFontSize=12, subtitleColor=_FAINT, color=_INK, subtitlePadding=5)
        .configure_axis(
            gridColor=_RULE,
            domainColor=_FAINT,
            tickColor=_FAINT,
            labelColor=_INK,
            titleColor=_INK,
            titleFontWeight="normal",
            titleFontSize=12,
            labelFontSize=11,
        )
        .configure_legend(labelFontSize=12, titleFontWeight="normal", labelColor=_INK, titleColor=_INK, labelLimit=240)
        .configure_view(stroke=None)
        .to_dict()
    )
    return specification


def _plot(values: Sequence[Mapping[str, Any]]) -> Any:  # noqa: ANN401  Altair's classes are made anew by every version
    import altair as alt  # noqa: PLC0415  as above

    return alt.Chart(alt.Data(values=list(values)))  # type: ignore[no-untyped-call]  # Altair's own gap


def _loss_part(lines: Sequence[Mapping[str, Any]], across: Any) -> Any:  # noqa: ANN401  as above
    import altair as alt  # noqa: PLC0415  as above

    values = _losses(lines)
    names = list(dict.fromkeys(value["of"] for value in values))
    least, most = (of(value["loss"] for value in values) for of in (min, max))
    logarithmic = least > 0 and most > _LOGARITHMIC * least
    whole = names == ["all losses"]
    title = ("summed loss" if whole else "loss a learnt token (nats)") + (", log scale" if logarithmic else "")
    axis = alt.Axis(values=_round_numbers(least, most), format="~g") if logarithmic else alt.Axis(tickCount=6)
    scale = alt.Scale(type="log", domain=[0.95 * least, 1.05 * most]) if logarithmic else alt.Scale(zero=False)
    colour = alt.Color(
        "of:N",
        title="stream",
        sort=names,
        scale=alt.Scale(domain=names, range=_COLOURS[: len(names)]),
        legend=None if whole else alt.Legend(orient="right", symbolStrokeWidth=3),
    )
    return (
        _plot(values)
        .mark_line(strokeWidth=1.6, strokeJoin="round", interpolate="linear", clip=True)
        .encode(x=across, y=alt.Y("loss:Q", title=title, scale=scale, axis=axis), color=colour)
        .properties(width=_WIDTH, height=_LOSS_HEIGHT)
    )


def _round_numbers(least: float, most: float) -> list[float]:
    """Return 1, 2, 3 and 5 times the powers of ten that lie between."""
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    every = (times * 10.0**power for power in powers for times in (1, 2, 3, 5))
    return [each for each in every if least <= each <= most]


def _exam_part(marks: Sequence[Mapping[str, Any]], across: Any) -> Any:  # noqa: ANN401  as above
    import altair as alt  # noqa: PLC0415  as above

    names = list(dict.fromkeys(mark["of"] for mark in marks))
    scale = alt.Scale(domain=names, range=[*_COLOURS[::-1]][: len(names)])
    base = _plot(marks).encode(
        x=across,
        y=alt.Y(
            "right:Q",
            title="examined: right (%)",
            scale=alt.Scale(domain=[0, 100]),
            axis=alt.Axis(values=[0, 25, 50, 75, 100]),
        ),
        color=alt.Color(
            "of:N", title="kind", sort=names, scale=scale, legend=alt.Legend(orient="right", symbolSize=50)
        ),
    )
    layers = base.mark_line(strokeWidth=1) + base.mark_point(filled=True, size=36, opacity=1)
    return layers.properties(width=_WIDTH, height=_EXAM_HEIGHT)


def _rate_part(lines: Sequence[Mapping[str, Any]], across: Any) -> Any:  # noqa: ANN401  as above
    import altair as alt  # noqa: PLC0415  as above

    values = [
        {"step": line["step"], "rate": line["rate"]} for line in _thinned([each for each in lines if "rate" in each])
    ]
    return (
        _plot(values)
        .mark_line(strokeWidth=1, color=_FAINT)
        .encode(
            x=across,
            y=alt.Y(
                "rate:Q", title="learning rate", scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=3, format="~g")
            ),
        )
        .properties(width=_WIDTH, height=_RATE_HEIGHT)
    )


def _said(lines: Sequence[Mapping[str, Any]], steps: int) -> str:
    last = [line for line in lines if "rate" in line][-1]
    told = [f"{steps:,} steps"]
    if "loss" in last:
        told.append(f"loss {last['loss']:.3g} at the end, all streams by their shares")
    elif "total" in last:
        told.append(f"loss {last['total']:.3g} at the end")
    if "right" in last:
        told.append(f"{100 * last['right']:.1f} % of the tokens foretold")
    return "; ".join(told)


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror or error}); name the folder of a training run"
        raise DataError(message) from None
    try:
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
    except ValueError as error:
        message = f"{path}: expected JSON in each line ({error})"
        raise DataError(message) from None


def _losses(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return each stream's loss at each step, in the order of the streams."""
    told = [line for line in lines if "rate" in line]
    names = list(dict.fromkeys(name for line in told for name in line if name.startswith(_STREAM)))
    named = {name: name.removeprefix(_STREAM) for name in names} or {"total": "all losses"}
    return [
        {"step": line["step"], "loss": line[name], "of": shown}
        for name, shown in named.items()
        for line in _thinned([{"step": line["step"], name: line[name]} for line in told if name in line])
    ]


def _thinned(lines: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """Return the means of as many neighbours as make few enough lines."""
    size = -(-len(lines) // _PLOTTED) or 1
    groups = (lines[first : first + size] for first in range(0, len(lines), size))
    return [{name: _mean(line[name] for line in group if name in line) for name in group[0]} for group in groups]


def _mean(values: Iterable[float]) -> float:
    each = list(values)
    return sum(each) / len(each)


def _marks(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what each examination found of the kinds of questions that are no part of another kind."""
    return [
        {"step": line["step"], "right": 100 * mark["value"], "of": mark["name"]}
        for line in lines
        for mark in line.get("exam", ())
        if mark["blind"] is not None and ":" not in mark["name"]
    ]


if __name__ == "__main__":
    print(draw_curve(Path(sys.argv[1])))  # noqa: T201  a command
