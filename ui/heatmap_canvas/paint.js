// Drawing. Everything is redrawn from the state at most once per animation frame.

function paint(state) {
  const { canvas, plot, view, palette } = state;
  const ratio = state.ratio;
  const context = canvas.getContext("2d");
  const theme = state.theme;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, canvas.width / ratio, canvas.height / ratio);
  if (!plot) return;
  context.save();
  context.beginPath();
  context.rect(plot.x, plot.y, plot.width, plot.height);
  context.clip();
  for (const tile of state.tiles) if (tile.meets(view)) paintTile(context, tile, state);
  paintMarks(context, state);
  paintRectangle(context, state);
  context.restore();
  context.strokeStyle = theme.border;
  context.lineWidth = 1;
  context.strokeRect(plot.x - 0.5, plot.y - 0.5, plot.width + 1, plot.height + 1);
  paintAxes(context, state);
  paintEdges(context, state);
  paintPosition(context, state);
  paintColourBar(context, state, palette);
}

function paintTile(context, tile, { plot, view, palette, ratio }) {
  const level = tile.level(view, plot.width * ratio, plot.height * ratio);
  const picture = tile.picture(level, palette);
  const rowHeight = plot.height / (view.r1 - view.r0), columnWidth = plot.width / (view.c1 - view.c0);
  // Only the visible part is handed over: far beyond the canvas, browsers lose precision.
  const part = (start, stop, cells, from, to) => {
    const perCell = (stop - start) / cells;
    const first = Math.max(0, Math.floor((from - start) / perCell));
    const last = Math.min(cells, Math.ceil((to - start) / perCell));
    return [first, last - first, start + first * perCell, (last - first) * perCell];
  };
  const [top, height, row, rows] = part(tile.rowStart, tile.rowStop, level.height, view.r0, view.r1);
  const [left, width, column, columns] = part(tile.columnStart, tile.columnStop, level.width, view.c0, view.c1);
  if (height <= 0 || width <= 0) return;
  const snap = (x) => Math.round(x * ratio) / ratio; // edges on whole device pixels stay sharp and leave no seam
  const x0 = snap(plot.x + (column - view.c0) * columnWidth), x1 = snap(plot.x + (column + columns - view.c0) * columnWidth);
  const y0 = snap(plot.y + (row - view.r0) * rowHeight), y1 = snap(plot.y + (row + rows - view.r0) * rowHeight);
  context.imageSmoothingEnabled = false;
  context.drawImage(picture, left, top, width, height, x0, y0, x1 - x0, y1 - y0);
}

function paintMarks(context, { plot, view, hover, selected, theme }) {
  const x = (column) => plot.x + ((column - view.c0) / (view.c1 - view.c0)) * plot.width;
  const y = (row) => plot.y + ((row - view.r0) / (view.r1 - view.r0)) * plot.height;
  if (hover) {
    const width = x(hover.columns[1]) - x(hover.columns[0]), height = y(hover.rows[1]) - y(hover.rows[0]);
    if (Math.min(width, height) >= 4) {
      outlined(context, theme, () => context.strokeRect(x(hover.columns[0]), y(hover.rows[0]), width, height));
    }
  }
  if (!selected) return;
  const [row, column] = selected;
  const midX = x(column + 0.5), midY = y(row + 0.5);
  const halfX = Math.max(5, (x(column + 1) - x(column)) / 2), halfY = Math.max(5, (y(row + 1) - y(row)) / 2);
  outlined(context, theme, () => {
    context.beginPath();
    context.moveTo(plot.x, midY);
    context.lineTo(midX - halfX, midY);
    context.moveTo(midX + halfX, midY);
    context.lineTo(plot.x + plot.width, midY);
    context.moveTo(midX, plot.y);
    context.lineTo(midX, midY - halfY);
    context.moveTo(midX, midY + halfY);
    context.lineTo(midX, plot.y + plot.height);
    context.rect(midX - halfX, midY - halfY, 2 * halfX, 2 * halfY);
    context.stroke();
  });
}

// A line with a halo, so that it shows on any colour.
function outlined(context, theme, stroke) {
  context.strokeStyle = theme.background;
  context.lineWidth = 3;
  stroke();
  context.strokeStyle = theme.text;
  context.lineWidth = 1;
  stroke();
}

function paintAxes(context, state) {
  const { plot, view, theme } = state;
  context.font = `11px ${theme.font}`;
  context.fillStyle = theme.text;
  context.strokeStyle = theme.border;
  context.globalAlpha = 0.8;
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const row of ticks(view.r0, view.r1, plot.height, 30)) {
    const at = plot.y + ((row + 0.5 - view.r0) / (view.r1 - view.r0)) * plot.height;
    context.fillText(grouped(state.number("row", row)), plot.x - 12, at);
    line(context, plot.x - 8, at, plot.x - 5, at);
  }
  context.textAlign = "center";
  context.textBaseline = "top";
  for (const column of ticks(view.c0, view.c1, plot.width, 58)) {
    const at = plot.x + ((column + 0.5 - view.c0) / (view.c1 - view.c0)) * plot.width;
    context.fillText(grouped(state.number("column", column)), at, plot.y + plot.height + 11);
    line(context, at, plot.y + plot.height + 5, at, plot.y + plot.height + 8);
  }
  context.globalAlpha = 1;
}

// Two thin bars that say which part of the whole is shown, like scroll bars; only when zoomed in.
function paintPosition(context, { plot, view, theme }) {
  if (view.isFull) return;
  const bar = (x, y, width, height) => {
    context.fillStyle = theme.border;
    context.fillRect(x, y, width, height);
  };
  const thumb = (x, y, width, height) => {
    context.fillStyle = theme.primary;
    context.fillRect(x, y, Math.max(3, width), Math.max(3, height));
  };
  const share = (value, count, extent) => (value / count) * extent;
  bar(plot.x - 4, plot.y, 3, plot.height);
  const height = share(view.r1 - view.r0, view.rows, plot.height);
  thumb(plot.x - 4, Math.min(plot.y + share(view.r0, view.rows, plot.height), plot.y + plot.height - 3), 3, height);
  bar(plot.x, plot.y + plot.height + 1, plot.width, 3);
  const width = share(view.c1 - view.c0, view.columns, plot.width);
  thumb(Math.min(plot.x + share(view.c0, view.columns, plot.width), plot.x + plot.width - 3), plot.y + plot.height + 1, width, 3);
}

function line(context, x0, y0, x1, y1) {
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
}

function readTheme(element) {
  const style = getComputedStyle(element);
  const get = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise;
  return {
    text: get("--st-text-color", "#222"),
    background: get("--st-background-color", "#fff"),
    border: get("--st-border-color", "#ccc"),
    primary: get("--st-primary-color", "#06c"),
    font: get("--st-font", "sans-serif"),
  };
}
