// The component: one film in the browser, with every frame at hand, so that playing and scrubbing ask nobody.

const QUIET_MS = 400; // after the last change, before Python hears which frame is shown
const SERIES = { std: "std", norm: "norm", cell: "pointed cell" };
const instances = new WeakMap();

class Player {
  constructor(root) {
    this.root = root;
    this.find = (selector) => root.querySelector(selector);
    this.canvas = this.find(".picture");
    this.strip = this.find(".strip");
    this.stage = this.find(".stage");
    this.margin = MARGIN;
    this.tiles = [];
    this.series = "std";
    this.film = new Film(() => this.changed());
    this.furnish();
    this.listen();
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.stage);
  }

  receive({ data, setStateValue, setTriggerValue }) {
    this.send = setStateValue;
    this.trigger = setTriggerValue;
    this.theme = readTheme(this.root);
    if (data !== this.data) this.take(decodeMessage(data));
    this.data = data;
    this.resize();
  }

  take({ header, tiles }) {
    const isNew = !this.header || header.film !== this.header.film;
    this.header = header;
    this.palettes = header.frame_knots.map((knots) => new Palette({ ...header, knots }));
    if (isNew || tiles.length) {
      this.tiles = tiles.map((tile) => new Tile(tile));
      this.pointed = null;
      this.hide();
    }
    if (isNew) {
      this.view = new View(...header.matrix);
      if (SPEEDS.includes(header.speed)) this.film.speed = header.speed;
      this.film.load(header.labels.length, header.frame);
      this.told = header.frame;
    }
    this.describe();
    if (!this.tiles.length) this.tell(0); // the page kept its state, but this player is new
  }

  // All that stays while the film plays.
  describe() {
    const { header, film } = this;
    this.find(".name").textContent = header.title;
    this.find(".title").title = header.title;
    this.find(".facts").textContent = header.facts;
    this.find(".scrub").max = film.count - 1;
    this.all = merged(this.tiles.map((tile) => tile.contents()));
    this.mark();
  }

  // The choices, made once: a rerun must not close a list that the person has open.
  furnish() {
    this.find(".fps").replaceChildren(...SPEEDS.map((speed) => new Option(`${speed} frame${speed > 1 ? "s" : ""}`, speed)));
    const buttons = Object.entries(SERIES).map(([key, text]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = text;
      button.onclick = () => this.choose(key);
      button.dataset.series = key;
      return button;
    });
    this.find(".series").replaceChildren(...buttons);
  }

  choose(series) {
    this.series = series;
    this.mark();
    this.draw();
  }

  mark() {
    for (const button of this.find(".series").children) {
      button.setAttribute("aria-pressed", String(button.dataset.series === this.series));
    }
    this.find(".loop").setAttribute("aria-pressed", String(this.film.isLooping));
    this.find(".fps").value = this.film.speed;
  }

  get palette() {
    return this.palettes[this.palettes.length > 1 ? this.film.index : 0];
  }

  get tile() {
    return this.tiles[this.film.index];
  }

  // With one scale for all frames, the bar speaks of all of them and stands still.
  get contents() {
    return this.palettes.length > 1 ? this.tile.contents() : this.all;
  }

  number(_axis, place) {
    return place;
  }

  changed() {
    if (this.hover && this.lastPoint) this.point(this.lastPoint);
    this.draw();
    if (!this.film.isPlaying) this.tell(QUIET_MS);
  }

  resize() {
    if (!this.header) return;
    const width = this.stage.clientWidth;
    if (width === 0) return; // hidden; the observer calls again when it is shown
    this.ratio = window.devicePixelRatio || 1;
    this.plot = fitPlot(...this.header.matrix, width, this.header.height, this.margin);
    const height = Math.min(this.header.height, Math.max(60, this.plot.height) + MARGIN.top + MARGIN.bottom);
    this.stage.style.height = `${height}px`;
    const fit = (canvas, across, down) => {
      const pixels = [Math.round(across * this.ratio), Math.round(down * this.ratio)];
      if (canvas.width !== pixels[0] || canvas.height !== pixels[1]) [canvas.width, canvas.height] = pixels;
    };
    fit(this.canvas, width, height);
    fit(this.strip, this.strip.clientWidth, this.strip.clientHeight);
    this.draw();
  }

  draw() {
    if (this.request) return;
    this.request = requestAnimationFrame(() => {
      this.request = 0;
      this.paint();
    });
  }

  paint() {
    if (!this.plot || !this.tile) return;
    const { canvas, ratio, plot, theme, film, header } = this;
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, canvas.width / ratio, canvas.height / ratio);
    paintTile(context, this.tile, this);
    context.strokeStyle = theme.border;
    context.lineWidth = 1;
    context.strokeRect(plot.x - 0.5, plot.y - 0.5, plot.width + 1, plot.height + 1);
    paintAxes(context, this);
    paintColourBar(context, this, this.palette);
    paintStrip(this.strip, ratio, { values: this.values(), ticks: header.ticks, index: film.index, theme });
    this.report();
  }

  values() {
    if (this.series !== "cell") return this.header[this.series].map((value) => (value === null ? NaN : value));
    return this.tiles.map((tile) => (this.pointed === null ? NaN : tile.values[this.pointed]));
  }

  // What words say of the frame, and attributes that tests read.
  report() {
    const { film, header, tile, root } = this;
    this.find(".label").textContent = header.labels[film.index];
    this.find(".scrub").value = film.index;
    this.find(".scrub").setAttribute("aria-valuetext", header.labels[film.index]);
    this.find(".play").setAttribute("aria-label", film.isPlaying ? "Pause" : "Play");
    const [std, norm] = [header.std[film.index], header.norm[film.index]].map((x) => (x === null ? "undefined" : short(x)));
    this.find(".window").textContent = `frame ${film.index + 1} of ${film.count} · std ${std} · norm ${norm}`;
    const level = tile.level(this.view, this.plot.width * this.ratio, this.plot.height * this.ratio);
    const step = [tile.rowStep * level.down, tile.columnStep * level.across];
    this.find(".scale").textContent =
      step[0] * step[1] === 1 ? "every cell is one entry" : `a cell shows the largest of ${step.map(grouped).join(" × ")} entries`;
    this.showLegend();
    Object.assign(root.dataset, {
      ready: "true",
      frame: film.index,
      playing: film.isPlaying,
      film: header.film,
      plot: [this.plot.x, this.plot.y, this.plot.width, this.plot.height].map((n) => n.toFixed(1)).join(","),
    });
  }

  showLegend() {
    const found = this.contents.specials;
    if (String(found) === this.shownSpecials) return;
    this.shownSpecials = String(found);
    const entries = ["NaN", "+Inf", "−Inf"].map((label, k) => {
      const entry = document.createElement("span"), swatch = document.createElement("i");
      swatch.className = "swatch";
      swatch.style.background = this.palette.css([NaN, Infinity, -Infinity][k]);
      entry.append(swatch, label);
      return entry;
    });
    this.find(".legend").replaceChildren(...entries.filter((_, k) => found[k]));
  }

  // Python hears of the frame once it rests: for the URL, and for what is written beside the player.
  tell(delay) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const { film, header } = this;
      const told = JSON.stringify([header.film, film.index, film.speed, this.tiles.length]);
      if (told === this.lastTold || !this.send) return;
      this.lastTold = told;
      this.send("shown", { film: header.film, frame: film.index, speed: film.speed, holds: this.tiles.length > 0 });
    }, delay);
  }

  close() {
    this.observer.disconnect();
    this.film.pause();
    clearTimeout(this.timer);
    cancelAnimationFrame(this.request);
  }
}

function merged(contents) {
  return {
    specials: [0, 1, 2].map((k) => contents.some((each) => each.specials[k])),
    least: Math.min(...contents.map((each) => each.least)),
    most: Math.max(...contents.map((each) => each.most)),
  };
}

Object.assign(Player.prototype, PlayerHands);

export default function (component) {
  const root = component.parentElement.querySelector(".player");
  if (!root) return undefined;
  let player = instances.get(root);
  if (!player) {
    player = new Player(root);
    instances.set(root, player);
  }
  player.receive(component);
  return () => {
    player.close();
    instances.delete(root);
  };
}
