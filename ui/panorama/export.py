"""The whole model as files: the picture as PNG or WebP."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from figures.panorama_picture import Mosaic, panorama_picture
from figures.pictures import png_bytes, webp_bytes
from ui.export_panel import download, picture_choices, suited_name
from ui.panorama.canvas import Scene
from ui.selection import Selection
from workflows.product import signature
from workflows.view_export import safe_name, source_line


def panorama_export(selection: Selection, scene: Scene) -> None:
    """A popover with what can be taken along of the picture; nothing is drawn before a button is pressed."""
    name = selection.location.name
    with st.popover("Export", icon=":material/download:"):
        st.markdown("**Picture of the whole model**")
        bare = picture_choices()
        frame = replace(
            bare,
            title=f"{name}, the whole model",
            subtitle=f"{len(scene.names):,} tensors · {scene.bar_title}",
            source=source_line(selection.location),
        )
        is_signed = any(scale.limits.is_signed for scale in scene.scales)
        colours = suited_name(scene.name, is_signed, frame.is_dark)
        mosaic = Mosaic(scene.layout, scene.grids, scene.scales, colours, scene.are_values)
        texts = {"Title": name, "Source": frame.source, "Software": signature()}
        png, webp = st.columns(2)
        with png:
            download(
                "PNG",
                lambda: png_bytes(panorama_picture(mosaic, frame), texts),
                safe_name(f"{name}.whole-model", "png"),
                "image/png",
                key="panorama-png",
            )
        with webp:
            download(
                "WebP",
                lambda: webp_bytes(panorama_picture(mosaic, frame)),
                safe_name(f"{name}.whole-model", "webp"),
                "image/webp",
                key="panorama-webp",
            )
