// What the person does with the player: buttons, slider, keys, the pointer over the picture and the line.

const PlayerHands = {
  listen() {
    const { film, canvas, strip, root } = this;
    this.find(".play").onclick = () => film.toggle();
    this.find(".back").onclick = () => film.step(-1);
    this.find(".next").onclick = () => film.step(1);
    this.find(".open").onclick = () => this.open();
    this.find(".loop").onclick = () => {
      film.isLooping = !film.isLooping;
      this.mark();
    };
    this.find(".fps").onchange = (event) => {
      film.speed = Number(event.target.value);
      this.tell(QUIET_MS);
    };
    this.find(".scrub").oninput = (event) => {
      film.pause();
      film.go(Number(event.target.value));
    };
    canvas.onpointermove = (event) => this.point(event);
    canvas.onpointerdown = (event) => this.point(event);
    canvas.onpointerleave = () => this.leave();
    canvas.ondblclick = () => this.open();
    strip.onpointerdown = (event) => this.scrubTo(event);
    strip.onpointermove = (event) => event.buttons && this.scrubTo(event);
    root.onkeydown = (event) => this.onKey(event);
  },

  scrubTo(event) {
    this.film.pause();
    this.strip.setPointerCapture(event.pointerId);
    this.film.go(nearestFrame(event.offsetX, this.film.count, this.strip.clientWidth));
  },

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const isControl = ["BUTTON", "SELECT", "INPUT"].includes(event.target.tagName);
    const actions = {
      " ": () => this.film.toggle(),
      ArrowLeft: () => this.film.step(-1),
      ArrowRight: () => this.film.step(1),
      Home: () => this.jump(0),
      End: () => this.jump(this.film.count - 1),
      Enter: () => this.open(),
    };
    if (isControl || !actions[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    actions[event.key]();
  },

  jump(index) {
    this.film.pause();
    this.film.go(index);
  },

  open() {
    this.film.pause();
    this.trigger("open", { film: this.header.film, frame: this.film.index });
  },

  leave() {
    this.hide();
    this.draw();
  },

  hide() {
    this.hover = null;
    this.find(".tip").hidden = true;
    this.root.dataset.hover = "";
  },

  // The cell under the pointer, in the frame that is shown.
  point(event) {
    if (!this.plot || !this.tile) return;
    const { offsetX, offsetY } = event;
    this.lastPoint = { offsetX, offsetY };
    const x = (offsetX - this.plot.x) / this.plot.width, y = (offsetY - this.plot.y) / this.plot.height;
    if (x < 0 || x >= 1 || y < 0 || y >= 1) {
      this.leave();
      return;
    }
    const { tile, view, plot } = this;
    const row = y * view.rows, column = x * view.columns;
    this.hover = tile.cell(row, column, tile.level(view, plot.width, plot.height));
    this.pointed = Math.floor(y * tile.height) * tile.width + Math.floor(x * tile.width);
    this.showTip({ offsetX, offsetY });
    this.draw();
  },

  showTip({ offsetX, offsetY }) {
    const { rows, columns, value, text, isExact } = this.hover;
    const tip = this.find(".tip");
    this.find(".place").textContent = `${this.header.labels[this.film.index]} · ${spanText("row", rows)} · ${spanText("column", columns)}`;
    this.find(".value b").textContent = text;
    this.find(".value .swatch").style.background = this.palette.css(value);
    this.find(".note").textContent = isExact ? "" : `largest of ${grouped(rows[1] - rows[0])} × ${grouped(columns[1] - columns[0])} entries`;
    this.find(".note").hidden = isExact;
    tip.hidden = false;
    const gap = 14, { clientWidth, clientHeight } = this.stage;
    const beside = (at, size, room) => (at + gap + size > room ? at - gap - size : at + gap);
    const left = beside(offsetX, tip.offsetWidth, clientWidth), top = beside(offsetY, tip.offsetHeight, clientHeight);
    tip.style.transform = `translate(${Math.max(2, left)}px, ${Math.max(2, top)}px)`;
    this.root.dataset.hover = JSON.stringify({ rows, columns, value: text, exact: isExact });
  },
};
