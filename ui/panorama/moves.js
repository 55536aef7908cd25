// What the person does with pointer, wheel, fingers and keys. Handlers are assigned, never stacked.

const SLACK = 4; // CSS pixels a click may wander

const Moves = {
  listen() {
    const { canvas, root } = this;
    canvas.onwheel = (event) => this.onWheel(event);
    canvas.onpointerdown = (event) => this.onDown(event);
    canvas.onpointermove = (event) => this.onMove(event);
    canvas.onpointerup = (event) => this.onUp(event);
    canvas.onpointercancel = () => this.release();
    canvas.onpointerleave = () => this.point(null);
    canvas.ondblclick = () => this.fit();
    root.onkeydown = (event) => this.onKey(event);
    root.onblur = () => {
      this.focus = null;
      this.point(null);
    };
    this.find(".in").onclick = () => this.step(1.6);
    this.find(".out").onclick = () => this.step(1 / 1.6);
    this.find(".fit").onclick = () => this.fit();
  },

  onWheel(event) {
    if (this.isEmpty || !this.view.has(event.offsetX, event.offsetY)) return;
    const across = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      if (this.view.isFull && !this.view.isWide) return;
      event.preventDefault();
      this.view.pan(across, 0);
    } else {
      if (event.deltaY > 0 && this.view.isFull) return; // let the page scroll
      event.preventDefault();
      const delta = Math.min(Math.max(event.deltaY * (event.deltaMode === 1 ? 16 : 1), -240), 240);
      this.view.zoom(Math.exp(-delta * (event.ctrlKey ? 0.01 : 0.0025)), event.offsetX, event.offsetY);
    }
    this.point(event);
  },

  onDown(event) {
    if (this.isEmpty || event.button !== 0) return;
    this.root.focus({ preventScroll: true });
    this.focus = null;
    this.pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    this.origin = this.pointers.size === 1 ? [event.offsetX, event.offsetY] : null;
  },

  onMove(event) {
    if (this.isEmpty) return;
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      this.point(event);
      return;
    }
    const now = [event.offsetX, event.offsetY];
    if (this.origin && Math.hypot(now[0] - this.origin[0], now[1] - this.origin[1]) <= SLACK) return;
    if (this.origin) this.canvas.setPointerCapture(event.pointerId);
    this.origin = null;
    this.canvas.classList.add("dragging");
    this.point(null);
    if (this.pointers.size === 2) {
      const [, other] = [...this.pointers].find(([id]) => id !== event.pointerId);
      const apart = (a) => Math.max(10, Math.hypot(a[0] - other[0], a[1] - other[1]));
      this.view.zoom(apart(now) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    }
    this.view.pan((before[0] - now[0]) / this.pointers.size, (before[1] - now[1]) / this.pointers.size);
    this.pointers.set(event.pointerId, now);
    this.draw();
  },

  onUp(event) {
    const isClick = this.origin !== null && this.pointers.has(event.pointerId);
    this.release();
    this.point(event);
    if (isClick && this.hover !== null) this.open(this.hover);
  },

  release() {
    this.pointers.clear();
    this.origin = null;
    this.canvas.classList.remove("dragging");
  },

  onKey(event) {
    if (this.isEmpty || event.ctrlKey || event.metaKey || event.altKey) return;
    const actions = {
      ArrowUp: () => this.walk(0, -1),
      ArrowDown: () => this.walk(0, 1),
      ArrowLeft: () => this.walk(-1, 0),
      ArrowRight: () => this.walk(1, 0),
      Enter: () => this.focus !== null && this.open(this.focus),
      "+": () => this.step(1.6),
      "=": () => this.step(1.6),
      "-": () => this.step(1 / 1.6),
      0: () => this.fit(),
      Home: () => this.fit(),
      Escape: () => this.focusOn(null),
    };
    if (!actions[event.key] || event.target !== this.root) return;
    event.preventDefault();
    event.stopPropagation();
    actions[event.key]();
  },

  // To the nearest tile in a direction; at first, to the selected one.
  walk(right, down) {
    const { tiles, selected } = this.scene;
    if (this.focus === null) {
      this.focusOn(selected ?? 0);
      return;
    }
    const middle = ([x, y, width, height]) => [x + width / 2, y + height / 2];
    const [fromX, fromY] = middle(tiles[this.focus]);
    let best = null, least = Infinity;
    tiles.forEach((tile, index) => {
      const [x, y] = middle(tile);
      const along = (x - fromX) * right + (y - fromY) * down;
      const aside = Math.abs((x - fromX) * down) + Math.abs((y - fromY) * right);
      if (along < 1e-6 || along + 4 * aside >= least) return;
      [best, least] = [index, along + 4 * aside];
    });
    if (best !== null) this.focusOn(best);
  },

  focusOn(index) {
    this.focus = index;
    if (index !== null) this.view.reveal(this.scene.tiles[index]);
    this.show(index);
  },

  step(factor) {
    if (this.isEmpty) return;
    const { box } = this.view;
    this.view.zoom(factor, box.x + box.width / 2, box.y + box.height / 2);
    this.point(null);
  },

  fit() {
    if (this.isEmpty) return;
    this.view.fit();
    this.point(null);
  },

  // The tile under the pointer, and what it says.
  point(event) {
    const index = event && this.view.has(event.offsetX, event.offsetY) ? this.under(...this.view.at(event.offsetX, event.offsetY)) : null;
    this.hover = index;
    if (index !== null) this.focus = null;
    this.canvas.classList.toggle("over", index !== null);
    this.show(index);
  },

  under(x, y) {
    const index = this.scene.tiles.findIndex(([left, top, width, height]) => x >= left && x < left + width && y >= top && y < top + height);
    return index < 0 ? null : index;
  },

  show(index) {
    const tip = this.find(".tip");
    tip.hidden = index === null;
    this.marked = { row: null, column: null };
    this.root.dataset.hover = index === null ? "" : this.scene.names[index];
    if (index !== null) {
      this.mark(index);
      const { names, notes, facts } = this.scene;
      const says = { name: names[index], note: notes[index], facts: facts[index] };
      for (const [what, text] of Object.entries(says)) this.find(`.tip .${what}`).textContent = text;
      this.place(tip, tileBox(this, index));
    }
    this.draw();
  },

  // The row and column of a tile have their labels in bold.
  mark(index) {
    const [x, y, width, height] = this.scene.tiles[index];
    const [midX, midY] = [x + width / 2, y + height / 2];
    const find = (list, at, first) => {
      const k = list.findIndex((entry) => at >= entry[first] && at <= entry[first] + entry[first + 1]);
      return k < 0 ? null : k;
    };
    const column = find(this.scene.columns, midX, 2);
    this.marked = { column, row: column === null ? null : find(this.scene.rows, midY, 2) };
  },

  // Below the tile, or above it where there is no room; never outside the stage.
  place(tip, [x, y, width, height]) {
    const { clientWidth, clientHeight } = this.stage;
    const left = Math.min(Math.max(4, x + width / 2 - tip.offsetWidth / 2), clientWidth - tip.offsetWidth - 4);
    const below = y + height + 10;
    const top = below + tip.offsetHeight < clientHeight ? below : Math.max(4, y - tip.offsetHeight - 10);
    tip.style.transform = `translate(${left}px, ${top}px)`;
  },
};
