// Where the tiles lie: labels left and above, tiles in rows, a colour bar below.

const LETTERS = 11.5; // CSS pixels of labels
const BAR_ROOM = 46;
const MOST_LABEL = 130; // CSS pixels of the longest label; longer ones end in …
const CAPTION = 18;
const TURN = Math.PI / 4; // of column labels that are wider than their column

class Layout {
  constructor(scene, width, measure) {
    this.scene = scene;
    const { row_labels: rows, column_labels: columns, gap } = scene;
    const widest = (labels) => Math.min(MOST_LABEL, Math.max(0, ...labels.map(measure)));
    this.left = rows.length ? widest(rows) + 14 + (scene.row_title ? 16 : 0) : 0;
    this.room = Math.max(80, width - this.left - 2);
    this.across = scene.columns ?? Math.max(1, Math.min(scene.count, Math.floor((this.room + gap) / (scene.tile_width + gap))));
    this.down = Math.ceil(scene.count / this.across);
    this.caption = scene.captions.length ? CAPTION : 0;
    this.fitTiles();
    const widestColumn = widest(columns);
    this.isTurned = widestColumn > this.stepX - 3 && columns.some((label) => label.length > 3);
    const labelRoom = this.isTurned ? widestColumn * Math.sin(TURN) + 12 : 18;
    this.top = columns.length ? labelRoom + (scene.column_title ? 16 : 0) : 2;
    if (this.isTurned) { // the last labels lean out to the right
      const over = widestColumn * Math.cos(TURN) - 4;
      if (this.across * this.stepX + over > this.room) {
        this.room = Math.max(60, this.room - over);
        this.fitTiles();
      }
    }
    this.height = this.top + this.down * this.stepY - gap + 4 + (scene.bar.length ? BAR_ROOM : 0);
  }

  fitTiles() {
    const { gap, aspect, max_height: most, largest } = this.scene;
    let width = Math.min(largest, (this.room + gap) / this.across - gap);
    width = Math.min(width, ((most + gap) / this.down - gap - this.caption) * aspect);
    this.tileWidth = Math.max(1, width);
    this.tileHeight = Math.max(1, this.tileWidth / aspect);
    this.stepX = this.tileWidth + gap;
    this.stepY = this.tileHeight + gap + this.caption;
  }

  // Of a tile: [x, y, width, height].
  box(index) {
    const row = Math.floor(index / this.across), column = index % this.across;
    return [this.left + column * this.stepX, this.top + row * this.stepY + this.caption, this.tileWidth, this.tileHeight];
  }

  // The tile at a point, and where in it as shares; null beside tiles. A gap belongs to the tile before it.
  at(x, y) {
    const column = Math.floor((x - this.left) / this.stepX), row = Math.floor((y - this.top) / this.stepY);
    const index = row * this.across + column;
    if (column < 0 || row < 0 || column >= this.across || index >= this.scene.count) return null;
    const [left, top, width, height] = this.box(index);
    if (y < top && !this.caption) return null;
    const share = (from, extent, at) => Math.min(0.999999, Math.max(0, (at - from) / extent));
    return { index, shareX: share(left, width, x), shareY: share(top, height, y), row, column };
  }
}
