// What the person does with wheel, pointer, fingers and keys. Handlers are assigned, never stacked.

const CLICK_SLACK = 4; // CSS pixels a click may wander

const Gestures = {
  listen() {
    const { canvas, root } = this;
    canvas.onwheel = (event) => this.onWheel(event);
    canvas.onpointerdown = (event) => this.onDown(event);
    canvas.onpointermove = (event) => this.onMove(event);
    canvas.onpointerup = (event) => this.onUp(event);
    canvas.onpointercancel = (event) => this.onCancel(event);
    canvas.onpointerleave = () => this.leave();
    canvas.ondblclick = () => this.fit();
    root.onkeydown = (event) => this.onKey(event);
    this.find(".in").onclick = () => this.step(1.6);
    this.find(".out").onclick = () => this.step(1 / 1.6);
    this.find(".fit").onclick = () => this.fit();
    this.find(".select").onclick = () => this.toggleSelecting();
  },

  share(event) {
    const { plot } = this;
    return [(event.offsetX - plot.x) / plot.width, (event.offsetY - plot.y) / plot.height];
  },

  isInside([x, y]) {
    return x >= 0 && x < 1 && y >= 0 && y < 1;
  },

  onWheel(event) {
    if (this.isEmpty) return;
    const share = this.share(event);
    const isOut = event.deltaY > 0;
    if (!this.isInside(share) || (isOut && this.view.isFull)) return; // let the page scroll
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    const delta = Math.min(Math.max(event.deltaY * lines, -240), 240);
    this.view.zoom(Math.exp(-delta * (event.ctrlKey ? 0.01 : 0.0025)), ...share, this.plot);
    this.point(event);
    this.moved();
  },

  onDown(event) {
    if (this.isEmpty || event.button !== 0) return;
    this.root.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    this.origin = this.pointers.size === 1 ? [event.offsetX, event.offsetY] : null;
    const isBand = this.origin && (event.shiftKey || this.isSelecting) && this.isInside(this.share(event));
    this.band = null; // a second finger moves the picture instead
    if (isBand) this.beginBand(this.origin);
  },

  onMove(event) {
    if (this.isEmpty) return;
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      this.point(event);
      return;
    }
    const now = [event.offsetX, event.offsetY];
    if (this.origin && Math.hypot(now[0] - this.origin[0], now[1] - this.origin[1]) <= CLICK_SLACK) return;
    this.origin = null;
    if (this.band) {
      this.stretchBand(now);
      return;
    }
    this.canvas.classList.add("dragging");
    this.hide();
    if (this.pointers.size === 2) this.pinch(event.pointerId, before, now);
    const { plot, view } = this;
    const slower = this.pointers.size; // with two fingers, each moves the picture by half
    view.pan(
      (((before[1] - now[1]) / plot.height) * (view.r1 - view.r0)) / slower,
      (((before[0] - now[0]) / plot.width) * (view.c1 - view.c0)) / slower,
    );
    this.pointers.set(event.pointerId, now);
    this.moved();
  },

  pinch(id, before, now) {
    const [, other] = [...this.pointers].find(([key]) => key !== id);
    const distance = (a) => Math.max(10, Math.hypot(a[0] - other[0], a[1] - other[1]));
    const middle = { offsetX: (now[0] + other[0]) / 2, offsetY: (now[1] + other[1]) / 2 };
    this.view.zoom(distance(now) / distance(before), ...this.share(middle), this.plot);
  },

  onUp(event) {
    const isClick = this.origin !== null && this.pointers.has(event.pointerId);
    this.pointers.delete(event.pointerId);
    this.canvas.classList.remove("dragging");
    this.origin = null;
    if (this.isEmpty || (this.band && this.endBand())) return;
    this.point(event);
    if (isClick && this.hover) this.select(this.hover);
  },

  onCancel(event) {
    this.band = null;
    this.pointers.delete(event.pointerId);
    this.canvas.classList.remove("dragging");
    this.origin = null;
  },

  onKey(event) {
    if (this.isEmpty || event.ctrlKey || event.metaKey || event.altKey) return;
    const part = event.shiftKey ? 0.5 : 0.1;
    const { view } = this;
    const rows = (view.r1 - view.r0) * part, columns = (view.c1 - view.c0) * part;
    const pan = (down, right) => {
      view.pan(down * rows, right * columns);
      this.hide();
      this.moved();
    };
    const actions = {
      ArrowUp: () => pan(-1, 0),
      ArrowDown: () => pan(1, 0),
      ArrowLeft: () => pan(0, -1),
      ArrowRight: () => pan(0, 1),
      "+": () => this.step(1.6),
      "=": () => this.step(1.6),
      "-": () => this.step(1 / 1.6),
      _: () => this.step(1 / 1.6),
      0: () => this.fit(),
      Home: () => this.fit(),
      s: () => this.toggleSelecting(),
      Escape: () => (this.rectangle ? this.setRectangle(null) : this.selected && this.select(null)),
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    actions[event.key]();
  },

  step(factor) {
    if (this.isEmpty) return;
    this.view.zoom(factor, 0.5, 0.5, this.plot);
    this.hide();
    this.moved();
  },

  fit() {
    if (this.isEmpty) return;
    this.view.fit();
    this.hide();
    this.moved();
  },

  leave() {
    this.hide();
    this.draw();
    this.tellPoint(null);
  },

  hide() {
    this.hover = this.hoverEdge = null;
    this.find(".tip").hidden = true;
    this.root.dataset.hover = "";
  },

  point(event) {
    this.pointAt(event);
    if (this.hover) this.tellPoint(this.share(event));
  },

  // The cell under the pointer, from the finest tile that has it, and the box that names it.
  pointAt(event) {
    this.lastPoint = { offsetX: event.offsetX, offsetY: event.offsetY };
    const share = this.share(event);
    if (!this.isInside(share)) {
      this.leave();
      this.hoverEdge = this.edgeAt(event);
      if (this.hoverEdge) this.showEdgeTip(event);
      return;
    }
    this.hoverEdge = null;
    const { view, plot } = this;
    const row = view.r0 + share[1] * (view.r1 - view.r0), column = view.c0 + share[0] * (view.c1 - view.c0);
    const tile = [...this.tiles].reverse().find((t) => t.holds(row, column));
    if (!tile) return;
    // At the size of CSS pixels: that is how finely a pointer points, also on a dense screen.
    this.hover = tile.cell(row, column, tile.level(view, plot.width, plot.height));
    this.showTip(event);
    this.draw();
  },

  showTip(event) {
    const { rows, columns, value, text, isExact } = this.hover;
    this.find(".place").textContent = `${this.linesText("row", rows)} · ${this.linesText("column", columns)}`;
    this.find(".value b").textContent = text;
    this.find(".value .swatch").style.background = this.palette.css(value);
    const kind = Number.isFinite(value) ? "largest |w|" : "at least one such entry";
    const pooled = `${kind} of ${grouped(rows[1] - rows[0])} × ${grouped(columns[1] - columns[0])} entries`;
    const special = value !== value ? "not a number" : Number.isFinite(value) ? "" : "infinite";
    this.find(".note").textContent = isExact ? special : pooled;
    this.find(".note").hidden = isExact && !special;
    this.placeTip(event);
    this.root.dataset.hover = JSON.stringify({ rows, columns, value: text, exact: isExact });
  },

  // Beside the pointer, where the stage has room.
  placeTip(event) {
    const tip = this.find(".tip");
    tip.hidden = false;
    const gap = 14, { clientWidth, clientHeight } = this.stage;
    const left = event.offsetX + gap + tip.offsetWidth > clientWidth ? event.offsetX - gap - tip.offsetWidth : event.offsetX + gap;
    const top = event.offsetY + gap + tip.offsetHeight > clientHeight ? event.offsetY - gap - tip.offsetHeight : event.offsetY + gap;
    tip.style.transform = `translate(${Math.max(2, left)}px, ${Math.max(2, top)}px)`;
  },
};
