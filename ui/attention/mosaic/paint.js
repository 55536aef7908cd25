// Drawing, from the state, at most once a frame.

function paintMosaic(state) {
  const { canvas, ratio, scene, layout, theme } = state;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, canvas.width / ratio, canvas.height / ratio);
  context.imageSmoothingEnabled = false;
  for (let index = 0; index < scene.count; index++) paintTile(context, state, index);
  context.font = `${LETTERS}px ${theme.font}`;
  if (scene.captions.length) paintCaptions(context, state);
  paintRowLabels(context, state);
  paintColumnLabels(context, state);
  paintOutlines(context, state);
  if (scene.bar.length) paintBar(context, state, layout.top + layout.down * layout.stepY - scene.gap + 12);
}

function snapped({ layout, ratio }, index) {
  const [x, y, width, height] = layout.box(index);
  const snap = (n) => Math.round(n * ratio) / ratio;
  return [snap(x), snap(y), Math.max(1 / ratio, snap(x + width) - snap(x)), Math.max(1 / ratio, snap(y + height) - snap(y))];
}

function paintTile(context, state, index) {
  const { scene, palette, ratio } = state;
  const [x, y, width, height] = snapped(state, index);
  if (scene.tile[0] * scene.tile[1] !== 1) {
    context.drawImage(state.pictures.at(index, width * ratio, height * ratio), x, y, width, height);
  } else if (scene.numbers[index] === 256 && scene.is_undefined_empty) {
    paintUndefined(context, state.theme, x, y, width, height);
  } else {
    context.fillStyle = cssColour(palette[scene.numbers[index]]);
    context.fillRect(x, y, width, height);
  }
}

// No number here: one slanted line.
function paintUndefined(context, theme, x, y, width, height) {
  context.strokeStyle = theme.text;
  context.globalAlpha = 0.25;
  context.lineWidth = 1;
  context.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
  context.beginPath();
  context.moveTo(x, y + height);
  context.lineTo(x + width, y);
  context.stroke();
  context.globalAlpha = 1;
}

function paintCaptions(context, { scene, layout, theme }) {
  context.textAlign = "left";
  context.textBaseline = "alphabetic";
  scene.captions.forEach((text, index) => {
    const [x, y, width] = layout.box(index);
    context.fillStyle = index === scene.selected ? theme.primary : theme.text;
    context.font = `${index === scene.selected ? "600 " : ""}${LETTERS}px ${theme.font}`;
    context.fillText(shortened(context, text, width), x + 1, y - 5);
  });
}

function paintRowLabels(context, { scene, layout, theme, marked }) {
  const step = Math.max(1, Math.ceil(12.5 / layout.stepY));
  context.textAlign = "right";
  context.textBaseline = "middle";
  context.fillStyle = theme.text;
  scene.row_labels.forEach((label, row) => {
    const isMarked = row === marked.row;
    const isNear = marked.row !== null && !isMarked && Math.abs(row - marked.row) * layout.stepY < 12;
    if (isNear || (row % step && !isMarked)) return;
    context.globalAlpha = isMarked ? 1 : 0.75;
    context.font = `${isMarked ? "600 " : ""}${LETTERS}px ${theme.font}`;
    const y = layout.top + row * layout.stepY + layout.caption + layout.tileHeight / 2;
    context.fillText(shortened(context, label, MOST_LABEL), layout.left - 8, y);
  });
  context.globalAlpha = 0.55;
  context.font = `${LETTERS}px ${theme.font}`;
  if (scene.row_labels.length && scene.row_title) {
    context.save();
    context.translate(8, layout.top + (layout.down * layout.stepY) / 2);
    context.rotate(-Math.PI / 2);
    context.textAlign = "center";
    context.fillText(scene.row_title, 0, 0);
    context.restore();
  }
  context.globalAlpha = 1;
}

function paintColumnLabels(context, { scene, layout, theme, marked }) {
  if (!scene.column_labels.length) return;
  const room = layout.isTurned ? 13 : Math.max(...scene.column_labels.map((label) => context.measureText(label).width)) + 5;
  const step = Math.max(1, Math.ceil(room / layout.stepX));
  context.fillStyle = theme.text;
  scene.column_labels.forEach((label, column) => {
    const isMarked = column === marked.column;
    const isNear = marked.column !== null && !isMarked && Math.abs(column - marked.column) * layout.stepX < room - 1;
    if (isNear || (column % step && !isMarked)) return;
    context.globalAlpha = isMarked ? 1 : 0.75;
    context.font = `${isMarked ? "600 " : ""}${LETTERS}px ${theme.font}`;
    const x = layout.left + column * layout.stepX + layout.tileWidth / 2;
    context.save();
    context.translate(x, layout.top - 7);
    if (layout.isTurned) context.rotate(-TURN);
    context.textAlign = layout.isTurned ? "left" : "center";
    context.textBaseline = layout.isTurned ? "middle" : "alphabetic";
    context.fillText(shortened(context, label, MOST_LABEL), layout.isTurned ? 1 : 0, 0);
    context.restore();
  });
  context.globalAlpha = 0.55;
  context.font = `${LETTERS}px ${theme.font}`;
  context.textAlign = "center";
  context.textBaseline = "top";
  const middle = layout.left + (Math.min(layout.across, scene.count) * layout.stepX) / 2;
  if (scene.column_title) context.fillText(scene.column_title, middle, 0);
  context.globalAlpha = 1;
}

function paintOutlines(context, state) {
  const { scene, theme, hover, focus } = state;
  const around = (index, colour, width) => {
    const [x, y, w, h] = snapped(state, index);
    for (const [style, line] of [[theme.background, width + 2], [colour, width]]) {
      context.strokeStyle = style;
      context.lineWidth = line;
      context.strokeRect(x - width / 2, y - width / 2, w + width, h + width);
    }
  };
  if (scene.selected !== null) around(scene.selected, theme.primary, 2);
  const marked = hover ? hover.index : focus;
  if (marked !== null && marked !== scene.selected && scene.count > 1) around(marked, theme.text, 1);
}

function paintBar(context, { scene, layout, theme, palette, hover }, y) {
  const x = layout.left, height = 9;
  const width = Math.min(300, Math.max(90, layout.across * layout.stepX - scene.gap));
  const [from, to] = scene.bar_span;
  for (let k = 0; k < width; k++) {
    const number = Math.floor(from + ((k + 0.5) / width) * (to - from));
    context.fillStyle = cssColour(palette[Math.min(255, number)]);
    context.fillRect(x + k, y, 1.5, height);
  }
  context.strokeStyle = theme.border;
  context.lineWidth = 1;
  context.strokeRect(x - 0.5, y - 0.5, width + 1, height + 1);
  context.fillStyle = theme.text;
  context.font = `${LETTERS - 1}px ${theme.font}`;
  context.textBaseline = "top";
  scene.bar.forEach((text, k) => {
    const share = k / Math.max(1, scene.bar.length - 1);
    context.textAlign = k === 0 ? "left" : k === scene.bar.length - 1 ? "right" : "center";
    context.fillText(text, x + share * width, y + height + 4);
  });
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.globalAlpha = 0.7;
  const rest = layout.left + layout.room - x - width - 12;
  context.fillText(shortened(context, scene.bar_title, rest), x + width + 10, y + height / 2);
  context.globalAlpha = 1;
  if (!hover || hover.number > 255) return;
  const at = x + ((hover.number + 0.5 - from) / (to - from)) * width;
  context.beginPath();
  context.moveTo(at, y - 1);
  context.lineTo(at - 4, y - 6);
  context.lineTo(at + 4, y - 6);
  context.fill();
}

function shortened(context, text, room) {
  if (room < 10) return "";
  if (context.measureText(text).width <= room) return text;
  let [fits, fails] = [0, text.length];
  while (fails - fits > 1) {
    const middle = (fits + fails) >> 1;
    if (context.measureText(`${text.slice(0, middle)}…`).width <= room) fits = middle;
    else fails = middle;
  }
  return `${text.slice(0, fits)}…`;
}

function mosaicTheme(element) {
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
