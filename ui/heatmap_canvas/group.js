// Canvases of one group stand side by side: where one goes and points, the others follow.

const TOGETHER = "weightscope-heatmap";

const Group = {
  join() {
    this.onNews = (event) => this.hear(event.detail);
    window.addEventListener(TOGETHER, this.onNews);
  },

  part() {
    window.removeEventListener(TOGETHER, this.onNews);
  },

  tell(news) {
    if (!this.header.group) return;
    window.dispatchEvent(new CustomEvent(TOGETHER, { detail: { from: this, group: this.header.group, ...news } }));
  },

  tellView() {
    const { r0, r1, c0, c1 } = this.view;
    this.tell({ window: [r0, r1, c0, c1] });
  },

  // Where the pointer is, as shares of the plot; null where it left.
  tellPoint(share) {
    this.tell({ share });
  },

  hear({ from, group, window, share }) {
    if (from === this || !this.header || group !== this.header.group || this.isEmpty || !this.plot) return;
    const { rows, columns } = from.view;
    if (rows !== this.view.rows || columns !== this.view.columns) return; // another tensor, which is on its way
    if (window) {
      this.view.set(window);
      this.hide();
      this.draw();
      this.ask(QUIET_MS);
    } else if (share) {
      this.pointAt({ offsetX: this.plot.x + share[0] * this.plot.width, offsetY: this.plot.y + share[1] * this.plot.height });
    } else {
      this.hide();
      this.draw();
    }
  },
};
