// The picture to keep: what is on the screen, at one, two or four times its size, with title, scale and source.

const HEAD = 34, FOOT = 26; // CSS pixels

const ScenePictures = {
  // A canvas of its own with all of it.
  picture(times) {
    const { frame, theme, header } = this;
    const width = this.stage.clientWidth, height = this.stage.clientHeight;
    const made = document.createElement("canvas");
    [made.width, made.height] = [width * times, (height + HEAD + FOOT) * times];
    const context = made.getContext("2d");
    context.scale(times, times);
    context.fillStyle = theme.background;
    context.fillRect(0, 0, width, height + HEAD + FOOT);
    const { surface } = this, size = [surface.width, surface.height];
    [surface.width, surface.height] = [width * times, height * times];
    this.render(this.drawn().level, frame, times, true);
    context.drawImage(surface, 0, HEAD, width, height); // in the same task, while the drawn buffer still stands
    [surface.width, surface.height] = size;
    this.draw();
    context.save();
    context.translate(0, HEAD);
    paintLabels(context, this, frame);
    context.restore();
    context.textBaseline = "middle";
    context.textAlign = "left";
    context.fillStyle = theme.text;
    context.font = `600 14px ${theme.font}`;
    context.fillText(header.name, 14, HEAD / 2 + 1, width - 28);
    context.font = `11px ${theme.font}`;
    context.globalAlpha = 0.75;
    context.fillText(this.facts(), 14, height + HEAD + FOOT / 2, width - 28);
    return made;
  },

  // One line: of which model, which part, and how it is drawn.
  facts() {
    const { header, scale } = this;
    const span = ([start, stop]) => `${grouped(start)}–${grouped(stop - 1)}`;
    const cells = header.rows[2] * header.columns[2];
    return [
      header.source,
      `${header.dtype} ${header.shape.map(grouped).join(" × ") || "scalar"}`,
      `rows ${span(header.rows)}, columns ${span(header.columns)}`,
      cells === 1 ? "every cell is one entry" : `a cell is the largest |w| of ${grouped(header.rows[2])} × ${grouped(header.columns[2])}`,
      `heights ${scale.kind}, colours ${header.scale}`,
    ].filter(Boolean).join(" · ");
  },

  savePicture(times) {
    if (this.isEmpty || !this.renderer) return;
    this.picture(times).toBlob((blob) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = `${this.header.name.replace(/[^\w.-]+/g, "_").slice(0, 120)}.3d.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    }, "image/png");
  },
};
