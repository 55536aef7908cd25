"""Altair charts as files, drawn by vl-convert: offline, and the same bytes everywhere."""

from __future__ import annotations

import re

import altair as alt

from engine.errors import WeightscopeError
from figures.pictures import DARK, LIGHT, Ink

WIDTH = 900
"""Pixels of a chart that fills its container on the page; chosen by us."""

_IDS = re.compile(r'( id="|url\(#)((?:clip|gradient_)\d+)\b')

DENSITY = 3.0
"""PNG pixels per pixel of the chart."""


def chart_svg(chart: alt.TopLevelMixin, *, is_dark: bool = False) -> bytes:
    """The chart as SVG, on paper of the page's theme. Raises: WeightscopeError if it cannot be drawn."""
    import vl_convert

    drawn = _drawn(lambda: vl_convert.vegalite_to_svg(_specification(chart, is_dark), allowed_base_urls=[]))
    return _counted_anew(drawn).encode()


def chart_png(chart: alt.TopLevelMixin, *, is_dark: bool = False) -> bytes:
    """The chart as PNG, `DENSITY` times as dense. Raises: WeightscopeError if it cannot be drawn."""
    import vl_convert

    return _drawn(
        lambda: vl_convert.vegalite_to_png(_specification(chart, is_dark), scale=DENSITY, allowed_base_urls=[])
    )


def _counted_anew(drawing: str) -> str:
    """The drawing with its clips and gradients counted from 0: Vega counts on from one chart to the next."""
    numbers: dict[str, str] = {}

    def again(found: re.Match[str]) -> str:
        return found[1] + numbers.setdefault(found[2], f"{found[2].rstrip('0123456789')}{len(numbers)}")

    return _IDS.sub(again, drawing)


def _specification(chart: alt.TopLevelMixin, is_dark: bool) -> dict:
    specification = chart.to_dict()
    if specification.get("width") in (None, "container"):
        specification["width"] = WIDTH
    if specification.get("height") == "container":
        specification["height"] = round(WIDTH / 2)
    specification["background"] = _css(LIGHT.paper if not is_dark else DARK.paper)
    specification["config"] = _with(_theme(DARK if is_dark else LIGHT), specification.get("config", {}))
    return specification


def _theme(ink: Ink) -> dict:
    text, faint, line = (_css(colour) for colour in (ink.text, ink.faint, ink.line))
    axis = {"labelColor": faint, "titleColor": text, "gridColor": line, "domainColor": line, "tickColor": line}
    return {
        "view": {"stroke": None},
        "axis": {**axis, "labelFontSize": 12, "titleFontSize": 13, "titleFontWeight": "normal"},
        "legend": {"labelColor": faint, "titleColor": text},
        "title": {"color": text},
        "padding": 16,
    }


def _with(under: dict, over: dict) -> dict:
    """Two nested dictionaries; where both speak, `over` counts."""
    both = {key: _with(under[key], over[key]) for key in under.keys() & over.keys() if isinstance(over[key], dict)}
    return under | over | both


def _css(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _drawn(draw):
    try:
        return draw()
    except ValueError as error:  # what vl-convert raises for a specification it cannot draw
        raise WeightscopeError(
            f"The chart could not be drawn as a file: {error}", "Use the chart's own menu."
        ) from error
