// The most similar shapes as a gallery, filtered by class, and as CSV and JSON for all queries.

import { address, getBytes, getJson } from "./api.js";
import { fillClasses, find, make, picture, say } from "./dom.js";

const MOST = 100;  // queries that the server puts into one file

let state, open, asked = 0;

/** state.queries: all queries, state.active: the one in sight. choose(row): search on from a shape. */
export function prepare(about, shared, choose) {
  [state, open] = [shared, choose];
  fillClasses(find("filter"), about.classes);
  find("filter").addEventListener("change", show);
  find("count").addEventListener("change", show);
  for (const name of ["csv", "json"]) find(name).addEventListener("click", save);
}

const chosen = () => ({ label: find("filter").value, k: find("count").value });

/** Let the links name the queries in the list, the latest if they are many. */
export function link() {
  const query = state.queries.slice(-MOST).map((each) => each.query);
  for (const name of ["csv", "json"]) find(name).href = address(`/api/results.${name}`, { query, ...chosen() });
}

/** Save the file of a link. It is fetched as other answers are: a busy server is asked again, and errors are told. */
async function save(event) {
  event.preventDefault();
  const { href, download } = event.currentTarget;
  try {
    const file = URL.createObjectURL(new Blob([await getBytes(href)]));
    make("a", { href: file, download }).click();
    setTimeout(() => URL.revokeObjectURL(file), 60_000);
  } catch (error) { say(error.message, true); }
}

/** Search with the query in sight. */
export async function show() {
  const query = state.active;
  if (!query) return;
  const mine = ++asked, list = find("results");
  list.setAttribute("aria-busy", "true");
  link();
  try {
    const found = await getJson(address(`/api/queries/${encodeURIComponent(query.query)}/results`, chosen()));
    if (mine !== asked || query !== state.active) return;
    list.replaceChildren(...found.results.map((hit, number) => make("li", {}, card(hit, number))));
    if (!found.results.length) list.replaceChildren(make("li", { class: "soft" }, "No shape fits this filter."));
  } catch (error) {
    if (mine === asked && query === state.active) say(error.message, true);
  } finally {
    if (mine === asked) list.removeAttribute("aria-busy");
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
