// A rectangle drawn on the picture: with Shift held, or by one finger while the Select button is on.

const Rectangle = {
  // A rectangle from the server counts when it is news; else the one drawn here meanwhile stands.
  takeRectangle(header) {
    const told = JSON.stringify([header.tensor_id, header.rectangle]);
    if (told !== this.toldRectangle) this.rectangle = header.rectangle;
    this.toldRectangle = told;
    this.root.dataset.rectangle = this.rectangle ? this.rectangle.join(",") : "";
  },

  toggleSelecting() {
    this.isSelecting = !this.isSelecting;
    this.find(".select").setAttribute("aria-pressed", String(this.isSelecting));
    this.canvas.classList.toggle("selecting", this.isSelecting);
  },

  // A point of the box as a place of the matrix, kept inside the view.
  placeAt([x, y]) {
    const { plot, view } = this;
    const inside = (share) => Math.min(1 - 1e-9, Math.max(0, share));
    return [
      view.r0 + inside((y - plot.y) / plot.height) * (view.r1 - view.r0),
      view.c0 + inside((x - plot.x) / plot.width) * (view.c1 - view.c0),
    ];
  },

  beginBand(point) {
    this.band = { from: this.placeAt(point), to: null };
  },

  stretchBand(point) {
    this.band.to = this.placeAt(point);
    this.hide();
    this.draw();
  },

  // Every entry that the band touches.
  bandWindow() {
    const { from, to } = this.band;
    return [0, 1].flatMap((k) => [Math.floor(Math.min(from[k], to[k])), Math.floor(Math.max(from[k], to[k])) + 1]);
  },

  endBand() {
    const { to } = this.band;
    if (to) this.setRectangle(this.bandWindow());
    this.band = null;
    this.draw();
    return Boolean(to);
  },

  setRectangle(window) {
    this.rectangle = window;
    this.root.dataset.rectangle = window ? window.join(",") : "";
    this.trigger("rectangle", { view_id: this.header.view_id, window });
    this.draw();
  },
};

function paintRectangle(context, state) {
  const { plot, view, theme } = state;
  const window = state.band && state.band.to ? state.bandWindow() : state.rectangle;
  if (!window) return;
  const x = (column) => plot.x + ((column - view.c0) / (view.c1 - view.c0)) * plot.width;
  const y = (row) => plot.y + ((row - view.r0) / (view.r1 - view.r0)) * plot.height;
  const [top, bottom, left, right] = [y(window[0]), y(window[1]), x(window[2]), x(window[3])];
  const width = Math.max(3, right - left), height = Math.max(3, bottom - top); // a single entry of many stays visible
  context.strokeStyle = theme.background;
  context.lineWidth = 5;
  context.strokeRect(left, top, width, height);
  context.strokeStyle = theme.text;
  context.lineWidth = 2;
  context.strokeRect(left, top, width, height);
  context.lineWidth = 1;
}
