// Rows and columns by name: the number of a line in the file, wherever sorting has put it.

const Lines = {
  takeLines({ row_numbers, column_numbers }) {
    this.numbers = { row: row_numbers || null, column: column_numbers || null };
  },

  number(axis, place) {
    const numbers = this.numbers[axis];
    return numbers ? numbers[place] : place;
  },

  // "rows 3–7", of sorted lines "row 911", "rows 911, 4", "5 rows: 911, 4, 17 …".
  linesText(axis, [start, stop]) {
    if (!this.numbers[axis]) return spanText(axis, [start, stop]);
    const count = stop - start;
    const named = Array.from({ length: Math.min(count, 3) }, (_, k) => grouped(this.number(axis, start + k))).join(", ");
    if (count <= 3) return `${axis}${count > 1 ? "s" : ""} ${named}`;
    return `${grouped(count)} ${axis}s: ${named} …`;
  },

  // For the status line: sorted lines are counted by place, for their numbers follow no order.
  windowText(axis, span, count) {
    const title = this.header.sorted[axis === "row" ? 0 : 1];
    if (!title) return `${spanText(axis, span)} of ${grouped(count)}`;
    return `${spanText("place", span)} of ${grouped(count)} ${axis}s ${title}`;
  },
};
