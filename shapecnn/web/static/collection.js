// The list of all shapes, filtered by class and by words in their names.

import { address, getJson } from "./api.js";
import { counted, fillClasses, find, say } from "./dom.js";
import { Grid, PAGE } from "./grid.js";

/** Prepare the list; open(row) is called with the shape that the user picks. Returns a function that shows it. */
export function prepare(about, open) {
  const chosen = find("collection-class"), text = find("collection-text"), count = find("collection-count");
  fillClasses(chosen, about.classes);
  const filter = () => ({ label: chosen.value, text: text.value.trim() });
  const load = async (offset, limit) => (await getJson(address("/api/shapes", { ...filter(), offset, limit }))).shapes;
  const grid = new Grid(find("collection-grid"), "Shapes of the collection", load, open);
  let asked = 0;

  async function refresh() {
    const mine = ++asked;
    try {
      const { total, shapes } = await getJson(address("/api/shapes", { ...filter(), limit: PAGE }));
      if (mine !== asked) return;
      grid.reset(total, shapes);
      count.textContent = counted(total, "shape");
    } catch (error) { say(error.message, true); }
  }

  let timer;
  chosen.addEventListener("change", refresh);
  text.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(refresh, 200); });
  let begun = false;
  return () => {
    if (!begun) { begun = true; refresh(); }
    grid.draw();
  };
}
