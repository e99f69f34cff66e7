// A list of any length as a grid of pictures: only what is in sight is in the page. Used for the collection and for
// what is selected on the map.

import { inFrame, isShortcut, make, picture } from "./dom.js";

export const PAGE = 200;  // shapes asked for at a time
const WIDTH = 124, HEIGHT = 158;

export class Grid {
  /** holder: element that scrolls. name: for screen readers. load(offset, limit): promise of shapes. open(row): called on choice. */
  constructor(holder, name, load, open) {
    Object.assign(this, { holder, load, open, total: 0, pages: new Map(), tiles: new Map(), at: 0, generation: 0 });
    this.inner = make("div", { role: "listbox", "aria-label": name });
    holder.append(this.inner);
    this.draw = inFrame(() => this.#draw());
    holder.addEventListener("scroll", this.draw, { passive: true });
    new ResizeObserver(this.draw).observe(holder);
    holder.addEventListener("keydown", (event) => this.#key(event));
    holder.addEventListener("focusin", ({ target }) => {
      if (target.matches(".tile")) this.at = Number(target.getAttribute("aria-posinset")) - 1;
    });
  }

  /** Begin anew with a list of this length; first: its first page, if it is known. */
  reset(total, first) {
    this.total = total;
    this.at = 0;
    this.generation += 1;
    this.pages.clear();
    if (first) this.pages.set(0, first);
    [...this.tiles.keys()].forEach((number) => this.#remove(number));
    this.holder.scrollTop = 0;
    this.draw();
  }

  get columns() { return Math.max(1, Math.floor((this.holder.clientWidth - 4) / WIDTH)); }

  #draw() {
    const { clientHeight, clientWidth, scrollTop } = this.holder;
    if (!clientHeight) return;
    const columns = this.columns, width = Math.floor((clientWidth - 4) / columns);
    this.inner.style.height = `${Math.ceil(this.total / columns) * HEIGHT}px`;
    const first = Math.max(0, Math.floor(scrollTop / HEIGHT) - 1) * columns;
    const last = Math.min(this.total, (Math.ceil((scrollTop + clientHeight) / HEIGHT) + 1) * columns);
    // Tab leads to the tile used last, or to the first in sight if that one is far away.
    const top = Math.min(this.total - 1, Math.ceil(scrollTop / HEIGHT) * columns);
    const stop = this.at >= first && this.at < last ? this.at : top;
    for (const [number, tile] of this.tiles) {
      if ((number < first || number >= last) && tile !== document.activeElement) this.#remove(number);
    }
    for (let number = first; number < last; number++) {
      const shape = this.#shape(number);
      let tile = this.tiles.get(number), focused = false;
      if (tile && tile.dataset.row === undefined && shape) {
        focused = tile === document.activeElement;
        this.#remove(number);
        tile = undefined;
      }
      if (!tile) {
        tile = this.#tile(number, shape);
        this.tiles.set(number, tile);
        this.inner.append(tile);
      }
      Object.assign(tile.style, {
        left: `${(number % columns) * width}px`, top: `${Math.floor(number / columns) * HEIGHT}px`,
        width: `${width - 4}px`, height: `${HEIGHT - 4}px`,
      });
      tile.tabIndex = number === stop ? 0 : -1;
      if (focused) tile.focus({ preventScroll: true });
    }
  }

  /** Take a tile away. Its picture is not loaded any more: the browser loads few at a time, in the order of asking. */
  #remove(number) {
    const tile = this.tiles.get(number);
    tile.querySelector("img")?.removeAttribute("src");
    tile.remove();
    this.tiles.delete(number);
  }

  #tile(number, shape) {
    const common = { class: "tile", role: "option", "aria-selected": "false", "aria-setsize": this.total, "aria-posinset": number + 1 };
    if (!shape) return make("div", { ...common, "aria-label": "loading" });
    return make("div", {
      ...common, "data-row": shape.row, "aria-label": [shape.id, shape.label].filter(Boolean).join(", "), title: shape.id,
      onclick: () => { this.at = number; this.open(shape.row); },
    },
    make("img", { src: picture(shape.row), alt: "", width: 96, height: 96, decoding: "async" }),
    make("span", { class: "id" }, shape.id));
  }

  #shape(number) {
    const page = Math.floor(number / PAGE);
    if (!this.pages.has(page)) {
      const generation = this.generation;
      this.pages.set(page, null);
      this.load(page * PAGE, PAGE).then((shapes) => {
        if (generation !== this.generation) return;
        this.pages.set(page, shapes);
        this.draw();
      }).catch(() => this.pages.delete(page));
    }
    return this.pages.get(page)?.[number - page * PAGE];
  }

  #key(event) {
    if (isShortcut(event)) return;
    const columns = this.columns, rows = Math.max(1, Math.floor(this.holder.clientHeight / HEIGHT));
    const step = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -columns * rows, PageDown: columns * rows,
      Home: -this.total, End: this.total,
    }[event.key];
    if (event.key === "Enter" || event.key === " ") {
      const shape = this.#shape(this.at);
      if (shape) { event.preventDefault(); this.open(shape.row); }
    } else if (step) {
      event.preventDefault();
      this.at = Math.max(0, Math.min(this.total - 1, this.at + step));
      const top = Math.floor(this.at / columns) * HEIGHT, { scrollTop, clientHeight } = this.holder;
      if (top < scrollTop) this.holder.scrollTop = top;
      else if (top + HEIGHT > scrollTop + clientHeight) this.holder.scrollTop = top + HEIGHT - clientHeight;
      this.#draw();
      this.tiles.get(this.at)?.focus({ preventScroll: true });
    }
  }
}
