// What the person does with pointer, wheel, fingers and keys. Handlers are assigned, never stacked.

const CLICK_SLACK = 4; // CSS pixels a click may wander
const DEGREES_PER_PIXEL = 0.35;

const SceneGestures = {
  listen() {
    const { surface, root } = this;
    surface.onwheel = (event) => this.onWheel(event);
    surface.onpointerdown = (event) => this.onDown(event);
    surface.onpointermove = (event) => this.onMove(event);
    surface.onpointerup = (event) => this.onUp(event);
    surface.onpointercancel = (event) => this.release(event);
    surface.onpointerleave = () => this.leave();
    surface.ondblclick = () => this.reset();
    surface.oncontextmenu = (event) => event.preventDefault(); // the right button pans
    root.onkeydown = (event) => this.onKey(event);
    this.find(".in").onclick = () => this.zoom(1 / 1.3);
    this.find(".out").onclick = () => this.zoom(1.3);
    this.find(".fit").onclick = () => this.reset();
    for (const button of this.root.querySelectorAll("[data-times]")) {
      button.onclick = () => this.savePicture(Number(button.dataset.times));
    }
  },

  onWheel(event) {
    if (this.isEmpty) return;
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    const delta = Math.min(Math.max(event.deltaY * lines, -240), 240);
    this.zoom(Math.exp(delta * (event.ctrlKey ? 0.01 : 0.0015)), [event.offsetX, event.offsetY]);
  },

  // Nearer (< 1) or farther; the point of the ground under the pointer stays under it.
  zoom(factor, at = null) {
    if (this.isEmpty) return;
    const { camera } = this;
    const before = camera.distance;
    camera.distance *= factor;
    camera.clamp();
    if (at && camera.distance < before) {
      const { eye, ray } = this.sightOf(at);
      const t = -eye[1] / ray[1], [x, z] = [eye[0] + t * ray[0], eye[2] + t * ray[2]];
      if (t > 0 && Math.abs(x) < 1.3 && Math.abs(z) < 1.3) {
        const share = 1 - camera.distance / before;
        camera.across += (x - camera.across) * share;
        camera.along += (z - camera.along) * share;
        camera.clamp();
      }
    }
    this.moved();
  },

  sightOf([px, py]) {
    return { eye: this.frame.eye, ray: this.frame.ray(px, py) };
  },

  onDown(event) {
    if (this.isEmpty) return;
    this.root.focus({ preventScroll: true });
    this.surface.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    this.isPanning = event.button === 2 || event.shiftKey;
    this.origin = this.pointers.size === 1 && event.button === 0 ? [event.offsetX, event.offsetY] : null;
  },

  onMove(event) {
    if (this.isEmpty) return;
    const before = this.pointers.get(event.pointerId), now = [event.offsetX, event.offsetY];
    if (!before) {
      this.point(now);
      return;
    }
    if (this.origin && Math.hypot(now[0] - this.origin[0], now[1] - this.origin[1]) <= CLICK_SLACK) return;
    this.origin = null;
    this.surface.classList.add("dragging");
    this.hide();
    if (this.pointers.size === 2) this.pinch(event.pointerId, before, now);
    else if (this.isPanning) this.pan(now[0] - before[0], now[1] - before[1]);
    else this.orbit(now[0] - before[0], now[1] - before[1]);
    this.pointers.set(event.pointerId, now);
    this.moved();
  },

  orbit(right, down) {
    this.camera.azimuth -= right * DEGREES_PER_PIXEL;
    this.camera.elevation += down * DEGREES_PER_PIXEL;
    this.camera.clamp();
  },

  pan(right, down) {
    this.camera.pan(right, down, this.frame);
  },

  pinch(id, before, now) {
    const [, other] = [...this.pointers].find(([key]) => key !== id);
    const distance = (a) => Math.max(10, Math.hypot(a[0] - other[0], a[1] - other[1]));
    this.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2); // each of the two fingers moves it by half
    this.camera.distance *= distance(before) / distance(now);
    this.camera.clamp();
  },

  onUp(event) {
    const isClick = this.origin !== null && this.pointers.has(event.pointerId);
    this.release(event);
    if (this.isEmpty) return;
    this.point([event.offsetX, event.offsetY]);
    if (isClick) this.flushPoint();
    if (isClick && this.hover) this.choose(this.hover);
  },

  release(event) {
    this.pointers.delete(event.pointerId);
    this.surface.classList.remove("dragging");
    this.origin = null;
    this.restSoon();
  },

  onKey(event) {
    if (this.isEmpty || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("button")) return;
    const turn = (azimuth, elevation, right, down) => {
      if (event.shiftKey) this.pan(right * 30, down * 30);
      else this.orbit(azimuth / DEGREES_PER_PIXEL, elevation / DEGREES_PER_PIXEL);
      this.hide();
      this.moved();
    };
    const actions = {
      ArrowLeft: () => turn(5, 0, -1, 0),
      ArrowRight: () => turn(-5, 0, 1, 0),
      ArrowUp: () => turn(0, 5, 0, -1),
      ArrowDown: () => turn(0, -5, 0, 1),
      "+": () => this.zoom(1 / 1.3),
      "=": () => this.zoom(1 / 1.3),
      "-": () => this.zoom(1.3),
      _: () => this.zoom(1.3),
      0: () => this.reset(),
      Home: () => this.reset(),
      Escape: () => this.chosen && this.choose(null),
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    actions[event.key]();
  },

  reset() {
    if (this.isEmpty) return;
    this.hide();
    this.moved();
    this.isHome = true;
  },

  leave() {
    this.pointAt = null;
    this.hide();
    this.draw();
  },

  hide() {
    this.hover = null;
    this.find(".tip").hidden = true;
    this.root.dataset.hover = "";
  },

  // Name the cell under the pointer, at most once a frame.
  point(at) {
    this.pointAt = at;
    if (!this.pointing) this.pointing = requestAnimationFrame(() => this.flushPoint());
  },

  flushPoint() {
    cancelAnimationFrame(this.pointing);
    this.pointing = 0;
    const at = this.pointAt;
    this.pointAt = null;
    if (!at || !this.frame) return;
    const isInside = at[0] >= 0 && at[1] >= 0 && at[0] < this.frame.width && at[1] < this.frame.height;
    const found = isInside ? pick(this, this.frame, ...at) : null;
    if (!found) this.hide();
    else {
      this.hover = found;
      this.showTip(at);
    }
    this.paintWords();
  },

  showTip([x, y]) {
    const { rows, columns, names, value, text, isExact } = this.hover;
    const tip = this.find(".tip");
    this.find(".place").textContent = names.join(" · ");
    this.find(".value b").textContent = text;
    this.find(".value .swatch").style.background = this.palette.css(value);
    const kind = Number.isFinite(value) ? "largest |w|" : "at least one such entry";
    const pooled = `${kind} of ${grouped(rows[1] - rows[0])} × ${grouped(columns[1] - columns[0])} entries`;
    const special = value !== value ? "not a number" : Number.isFinite(value) ? "" : "infinite";
    this.find(".note").textContent = isExact ? special : pooled;
    this.find(".note").hidden = isExact && !special;
    tip.hidden = false;
    const gap = 14, { clientWidth, clientHeight } = this.stage;
    const left = x + gap + tip.offsetWidth > clientWidth ? x - gap - tip.offsetWidth : x + gap;
    const top = y + gap + tip.offsetHeight > clientHeight ? y - gap - tip.offsetHeight : y + gap;
    tip.style.transform = `translate(${Math.max(2, left)}px, ${Math.max(2, top)}px)`;
    this.root.dataset.hover = JSON.stringify({ rows, columns, names, value: text, exact: isExact });
  },
};
