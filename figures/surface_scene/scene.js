// One scene on the page: its state, when it is drawn, and how finely.

const HEIGHT_SHARE = 0.28; // of half the ground's length: how high a height of 1 stands
const REST_MS = 180; // after the last move everything is drawn finely again, and the camera is told
const SHOWN_AT_ONCE = 1 << 18; // cells
const TURN_DEGREES = 12; // a second

class SurfaceSceneView {
  // tell: {camera(five numbers; null as it is at first), cell({rows, columns} or null)}
  constructor(root, tell) {
    this.root = root;
    root.scene = this; // for tests and benchmarks
    this.tell = tell;
    this.find = (selector) => root.querySelector(selector);
    this.stage = this.find(".stage");
    this.words = this.find(".words");
    this.pointers = new Map();
    this.camera = new OrbitCamera();
    this.begin();
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.stage);
  }

  // The canvas is made here and not in the page's text: one whose context was given back can never draw again.
  begin() {
    this.surface = document.createElement("canvas");
    this.surface.className = "cells";
    this.stage.prepend(this.surface);
    this.listen();
    try {
      this.renderer = new Renderer(this.surface);
    } catch (error) {
      this.renderer = null;
      this.say(`This browser cannot draw in three dimensions (${error.message}).`);
      return;
    }
    this.surface.addEventListener("webglcontextlost", (event) => {
      event.preventDefault(); // or it would never come back
      if (this.renderer) this.say("The graphics card took the picture away. It comes back by itself, or with a reload.");
    });
    this.surface.addEventListener("webglcontextrestored", () => {
      this.renderer.make();
      this.say("");
      this.draw();
    });
  }

  // A sentence in place of the picture, with the way to the heatmap; "" takes it away.
  say(text) {
    this.find(".trouble").hidden = !text;
    this.find(".trouble span").textContent = text;
    this.root.dataset.trouble = text;
  }

  // A message; false if it counts on cells that are not here (then they must be asked for).
  take({ header, values, stored, lines }, theme) {
    const before = this.header || {};
    const signature = JSON.stringify([{ ...header, arrays: null }, theme]);
    if (!values && signature === this.signature) return true; // the answer to what was told, and nothing new
    this.theme = theme;
    if (header.camera_token !== before.camera_token || !this.header) {
      this.isHome = header.camera === null; // then the whole is fitted into the picture, until somebody turns it
      if (header.camera) this.camera.set(header.camera);
    }
    if (values) {
      this.full = new Level(values, ...header.cells, 1, 1);
      this.stored = stored;
      this.lines = lines;
      this.gridId = header.grid_id;
    }
    if (!this.full || this.gridId !== header.grid_id) return false;
    this.signature = signature;
    if (values || header.style.shape !== (before.style || {}).shape) {
      this.fineness = new Fineness(header.style.shape === "bars" ? this.full.coarser(header.style.most_bars) : this.full);
      this.isTimed = false;
    }
    const hasStopped = Boolean(before.style && before.style.rotate && !header.style.rotate);
    this.header = header;
    this.style = header.style;
    this.isEmpty = header.cells.includes(0);
    this.scale = new HeightScale(header.heights);
    this.palette = new Palette(header);
    this.raise = HEIGHT_SHARE * this.style.exaggeration;
    this.range = heightRange(this.scale, this.full.extremes());
    this.chosen = this.entry(header.selected);
    this.hide();
    this.describe();
    // At first some of very many cells, at once; then all. Where it stopped turning is where it is seen from.
    this.isMoving = this.isMoving || hasStopped || Boolean(values && values.length > SHOWN_AT_ONCE);
    this.draw();
    this.restSoon();
    return true;
  }

  describe() {
    const { name, dtype, shape } = this.header;
    this.find(".name").textContent = this.find(".title").title = name;
    this.find(".facts").textContent = `${dtype} · ${shape.length ? shape.map(grouped).join(" × ") : "scalar"}`;
    this.find(".empty").hidden = !this.isEmpty;
    this.find(".tools").hidden = this.isEmpty || !this.renderer;
    const legend = this.find(".legend"), { counts } = this.full.standouts();
    legend.replaceChildren();
    ["NaN", "+Inf", "−Inf"].forEach((label, k) => {
      if (!counts[k]) return;
      const entry = document.createElement("span"), swatch = document.createElement("i");
      swatch.className = "swatch";
      swatch.style.background = this.palette.css([NaN, Infinity, -Infinity][k]);
      entry.append(swatch, `${label} in ${grouped(counts[k])} ${counts[k] === 1 ? "cell" : "cells"}`);
      legend.append(entry);
    });
  }

  // A cell of a level as people name it.
  cellAt(level, index) {
    const row = Math.floor(index / level.columns), column = index - row * level.columns;
    const span = ([start, stop, step], factor, k) => [start + k * step * factor, Math.min(stop, start + (k + 1) * step * factor)];
    const rows = span(this.header.rows, level.down, row), columns = span(this.header.columns, level.across, column);
    const value = level.values[index];
    const isExact = rows[1] - rows[0] === 1 && columns[1] - columns[0] === 1;
    const text = isExact && this.stored && level === this.full ? String(this.stored[index]) : shortest(value);
    const names = [this.lineText("row", rows), this.lineText("column", columns)];
    return { level, row, column, rows, columns, names, value, text, isExact, height: this.heightOf(value) };
  }

  // "row 17": of sorted lines the number in the file, and of several of them their places.
  lineText(what, [start, stop]) {
    const numbers = this.lines[`${what}s`];
    if (!numbers) return spanText(what, [start, stop]);
    if (stop - start === 1) return `${what} ${grouped(numbers[start - this.header[`${what}s`][0]])}`;
    return `${what}s ${this.header.sorted[what === "row" ? 0 : 1]}, ${grouped(start)}–${grouped(stop - 1)}`;
  }

  // The cell that holds an entry [row, column]; null where it lies outside of the window.
  entry(place) {
    if (!place) return null;
    const { rows, columns } = this.header;
    const [i, j] = [Math.floor((place[0] - rows[0]) / rows[2]), Math.floor((place[1] - columns[0]) / columns[2])];
    const isInside = i >= 0 && j >= 0 && i < this.full.rows && j < this.full.columns;
    return isInside ? this.cellAt(this.full, i * this.full.columns + j) : null;
  }

  heightOf(value) {
    return value !== value ? 0 : this.scale.height(value);
  }

  onGround(level, row, column) {
    const [across, along] = level.share(row, column), [x, z] = this.header.ground;
    return [(2 * across - 1) * x, (2 * along - 1) * z];
  }

  // Where a cell's top is on the screen, in CSS pixels of the stage; null behind the eye.
  where(cell, frame = this.frame) {
    const [x, z] = this.onGround(cell.level, cell.row, cell.column);
    return frame.project(x, cell.height * this.raise, z);
  }

  // What stands on the screen when nothing moves: its level and shape.
  drawn() {
    return { level: this.fineness.full, shape: this.style.shape };
  }

  moved() {
    this.isHome = false;
    this.isMoving = true;
    this.draw();
    this.restSoon();
  }

  // Not while a button or a finger is down, however slowly it moves.
  restSoon() {
    clearTimeout(this.rest);
    if (this.isMoving && !this.pointers.size) this.rest = setTimeout(() => this.settle(), REST_MS);
  }

  settle() {
    this.isMoving = false;
    if (!this.isHome) this.camera.set(this.camera.numbers); // rounded, as in the URL: a shared link shows the same picture
    this.draw();
    this.tell.camera(this.isHome ? null : this.camera.numbers);
  }

  draw() {
    if (!this.drawing) this.drawing = requestAnimationFrame((now) => this.paint(now));
  }

  paint(now) {
    this.drawing = 0;
    const width = this.stage.clientWidth;
    if (!this.header || !this.full || width === 0) return; // hidden; the observer calls again when it is shown
    const height = this.isEmpty ? 120 : Math.min(this.header.height, Math.max(320, width)); // a narrow window is no tower
    this.stage.style.height = `${height}px`;
    const isTurning = this.turn(now);
    this.ratio = Math.min(2, window.devicePixelRatio || 1);
    sizeCanvas(this.words, width, height, this.ratio);
    const plot = Math.max(120, width - BAR_ROOM);
    if (this.isHome) this.camera.fit(this.header.ground, this.range.map((h) => h * this.raise), plot, height);
    this.frame = this.camera.frame(plot, height);
    this.ticks = findTicks(this, this.frame);
    if (this.renderer && !this.renderer.isLost && !this.isEmpty) this.paintCells(isTurning || this.isMoving);
    this.paintWords();
    this.report();
    if (!isTurning) return;
    this.isHome = false;
    this.draw();
  }

  paintCells(isMoving) {
    const { fineness } = this;
    const how = isMoving ? fineness.moving() : fineness.atRest();
    const ratio = this.ratio * how.sharpness;
    sizeCanvas(this.surface, this.stage.clientWidth, this.stage.clientHeight, ratio);
    if (this.isTimed) this.renderer.finish(); // what the browser still does with the last picture is not our time
    const start = performance.now();
    this.render(how.level, this.frame, ratio, how.isSmooth);
    if (this.isTimed) this.renderer.finish();
    const elapsed = performance.now() - start;
    if (!this.isTimed) {
      this.isTimed = true; // not by the first picture, for which programs are made and cells sent
      if (!isMoving) this.draw();
    } else if (isMoving) fineness.learnMoving(elapsed);
    else if (!how.isSmooth && fineness.learnAtRest(elapsed)) this.render(how.level, this.frame, ratio, true);
    this.root.dataset.drawn = [how.level.rows, how.level.columns].join(",");
  }

  render(level, frame, ratio, isSmooth) {
    const { theme, header, raise, style } = this;
    level.dress(this.scale, this.palette);
    this.renderer.keep(this.fineness.levels);
    const lines = Math.max(this.full.rows, this.full.columns) / 64; // at most 64 lines an axis, however many cells
    const cells = style.shape === "bars" ? 1 : 2 ** Math.max(0, Math.ceil(Math.log2(lines))) / Math.max(level.down, level.across);
    this.renderer.draw(level, {
      frame,
      ratio,
      isSmooth,
      raise,
      shape: style.shape,
      ground: header.ground,
      mesh: style.wireframe ? cells : 0,
      background: theme.rgb.background,
      ink: theme.rgb.ink,
      furniture: furniture(this, frame),
    });
  }

  // Turn by itself, unless somebody holds it; returns whether it does.
  turn(now) {
    const isTurning = this.style.rotate && !this.pointers.size && !this.isEmpty;
    if (isTurning && this.turnedAt) {
      this.camera.azimuth += (TURN_DEGREES * Math.min(200, now - this.turnedAt)) / 1000;
      this.camera.clamp();
      if (this.hover) this.hide();
    }
    this.turnedAt = isTurning ? now : 0;
    return isTurning;
  }

  paintWords() {
    const context = this.words.getContext("2d");
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, this.words.width, this.words.height);
    if (!this.isEmpty) paintLabels(context, this, this.frame);
  }

  // The status line, and attributes that tests read.
  report() {
    const { header, scale } = this, { level } = this.drawn(), data = this.root.dataset;
    data.ready = "true";
    data.camera = this.camera.numbers.join(",");
    data.moving = String(Boolean(this.isMoving));
    data.selected = header.selected ? header.selected.slice(0, 2).join(",") : "";
    if (this.isEmpty) return;
    const step = [header.rows[2] * level.down, header.columns[2] * level.across];
    const [rows, columns] = header.matrix || [header.rows[1], header.columns[1]];
    this.find(".window").textContent =
      `${spanText("row", header.rows)} of ${grouped(rows)} · ${spanText("column", header.columns)} of ${grouped(columns)}`;
    this.find(".scale").textContent =
      (step[0] * step[1] === 1 ? "every cell is one entry" : `a cell is the largest |w| of ${grouped(step[0])} × ${grouped(step[1])} entries`) +
      ` · ${grouped(level.rows)} × ${grouped(level.columns)} ${{ surface: "vertices" }[this.style.shape] || this.style.shape}` +
      ` · heights ${scale.kind}`;
  }

  choose(cell) {
    this.chosen = cell;
    this.tell.cell(cell && { rows: cell.rows, columns: cell.columns });
    this.draw();
  }

  close() {
    this.observer.disconnect();
    clearTimeout(this.rest);
    cancelAnimationFrame(this.drawing);
    cancelAnimationFrame(this.pointing);
    const { renderer } = this;
    this.renderer = null;
    if (renderer) renderer.close();
    this.surface.remove();
  }
}

Object.assign(SurfaceSceneView.prototype, SceneGestures, ScenePictures);

function sizeCanvas(canvas, width, height, ratio) {
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
}

// The page's colours, from the variables that Streamlit (or the exported page) sets.
function sceneTheme(element) {
  const style = getComputedStyle(element);
  const get = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise;
  const text = get("--st-text-color", "#222"), background = get("--st-background-color", "#fff");
  return {
    text,
    background,
    border: get("--st-border-color", "#ccc"),
    primary: get("--st-primary-color", "#06c"),
    font: get("--st-font", "sans-serif"),
    rgb: { text: cssNumbers(text), background: cssNumbers(background), ink: [0.05, 0.07, 0.1] },
  };
}

// Any CSS colour as three shares of 1.
function cssNumbers(colour) {
  const context = document.createElement("canvas").getContext("2d");
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)].map((c) => c / 255);
}
