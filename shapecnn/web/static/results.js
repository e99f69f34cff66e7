// The most similar shapes as a gallery, filtered by class, and as CSV and JSON for all queries.

import { address, getJson } from "./api.js";
import { fillClasses, find, make, picture, say } from "./dom.js";

let state, open;

/** state.queries: all queries, state.active: the one in sight. choose(row): search on from a shape. */
export function prepare(about, shared, choose) {
  [state, open] = [shared, choose];
  fillClasses(find("filter"), about.classes);
  find("filter").addEventListener("change", show);
  find("count").addEventListener("change", show);
}

/** Search with the query in sight. */
export async function show() {
  const query = state.active, label = find("filter").value, k = find("count").value;
  if (!query) return;
  const list = find("results");
  list.setAttribute("aria-busy", "true");
  const names = state.queries.map((each) => each.query);
  find("csv").href = address("/api/results.csv", { query: names, k, label });
  find("json").href = address("/api/results.json", { query: names, k, label });
  try {
    const found = await getJson(address(`/api/queries/${encodeURIComponent(query.query)}/results`, { k, label }));
    if (query !== state.active) return;
    list.replaceChildren(...found.results.map((hit, number) => make("li", {}, card(hit, number))));
    if (!found.results.length) list.replaceChildren(make("li", { class: "soft" }, "No shape fits this filter."));
  } catch (error) {
    if (query === state.active) say(error.message, true);
  } finally {
    list.removeAttribute("aria-busy");
  }
}

function card(hit, number) {
  const view = hit.view === undefined ? "" : ` · view ${hit.view}`;
  return make("button", {
    type: "button", class: "card", title: `Search on from ${hit.id}`, "data-row": hit.row, "data-id": hit.id,
    onclick: () => open(hit.row),
  },
  make("img", { src: picture(hit.row), alt: "", width: 96, height: 96, loading: "lazy", decoding: "async" }),
  make("span", { class: "line" }, make("span", { class: "label" }, hit.label ?? `${number + 1}`), make("span", { class: "number" }, hit.score.toFixed(3))),
  make("span", { class: "id" }, hit.id + view));
}
