// The page: which part is in sight, and the list of queries.

import { address, getJson, post, remove } from "./api.js";
import * as collection from "./collection.js";
import { counted, find, make, say, useStamp } from "./dom.js";
import * as files from "./files.js";
import * as map from "./map.js";
import * as results from "./results.js";
import * as sketch from "./sketch.js";
import * as subject from "./subject.js";

const state = { queries: [], active: null };
const parts = { search: () => {}, collection: () => {}, map: () => {} };

function part() {
  const [name, query] = location.hash.slice(1).split("/");
  return [Object.hasOwn(parts, name) ? name : "search", query ? decodeURIComponent(query) : ""];
}

/** Show the part and the query that the address names. */
async function route() {
  const [name, query] = part();
  for (const each of Object.keys(parts)) {
    find(each).hidden = each !== name;
    const link = document.querySelector(`[data-part="${each}"]`);
    if (each === name) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  parts[name]();
  if (name === "search" && query && query !== state.active?.query) await activate(query);
}

async function activate(name) {
  let query = state.queries.find((each) => each.query === name);
  if (!query) {
    try {
      query = await getJson(`/api/queries/${encodeURIComponent(name)}`);
    } catch (error) {
      if (part()[1] === name) say(error.message, true);
      return;
    }
    if (part()[1] !== name) return;  // the user has gone on
    if (!state.queries.some((each) => each.query === name)) state.queries.push(query);
  }
  say();
  state.active = query;
  document.title = `${query.name} – shapecnn`;
  find("answer").hidden = false;
  showQueries();
  results.show();
  subject.show(query);
}

function showQueries() {
  find("queries").replaceChildren(...state.queries.map((query) => make("li", {},
    make("button", { type: "button", "aria-pressed": String(query === state.active), title: query.name, onclick: () => go(query.query) }, query.name),
    make("button", { type: "button", "aria-label": `Remove ${query.name}`, onclick: () => drop(query) }, "×"))));
  results.link();
}

function drop(query) {
  state.queries = state.queries.filter((each) => each !== query);
  if (query.kind !== "shape") remove(`/api/queries/${encodeURIComponent(query.query)}`).catch(() => {});
  if (query === state.active) {
    state.active = null;
    find("answer").hidden = true;
    if (state.queries.length) { go(state.queries.at(-1).query); return; }
    history.replaceState(null, "", "#search");
  }
  showQueries();
}

function go(name) {
  const hash = `#search/${encodeURIComponent(name)}`;
  if (location.hash === hash) route(); else location.hash = hash;
}

const openShape = (row) => { go(`shape-${row}`); find("main").focus({ preventScroll: true }); scrollTo(0, 0); };

async function take(chosen) {
  const found = await files.uploads(chosen);
  const failures = [];
  let last = null;
  for (const [number, { name, kind, content }] of found.entries()) {
    say(`Reading ${name}${found.length > 1 ? ` (${number + 1} of ${found.length})` : ""} …`);
    try {
      if (content.size > about.most_bytes) throw new Error(`the file has more than ${about.most_bytes >> 20} MB: simplify it.`);
      await content.slice(0, 1).arrayBuffer().catch(() => { throw new Error("the file cannot be read: it is a folder, or has changed."); });
      if (kind === "picture" && !about.pictures) throw new Error("this index cannot be searched with pictures.");
      const up = kind === "mesh" ? find("up").value : "";
      last = await post(address("/api/queries", { name, kind, up }), content);
      state.queries.push(last);
    } catch (error) { failures.push(`${name}: ${error.message}`); }
  }
  showQueries();
  if (last) { go(last.query); await route(); }
  say(failures.join(" "), true);
}

let about;

async function begin() {
  try {
    about = await getJson("/api/about");
  } catch (error) { say(error.message, true); return; }
  find("about").textContent = [`${counted(about.shapes, "shape")} in ${about.index}`, `searched by ${about.model}`,
    about.run ? `classified by ${about.run}` : null].filter(Boolean).join(" · ");
  useStamp(about.stamp);
  find("draw").hidden = !about.pictures;
  subject.prepare(about);
  results.prepare(about, state, openShape);
  files.listen(find("drop"), find("files"), take);
  sketch.prepare((blob) => take([new File([blob], `sketch ${state.queries.filter(({ name }) => name.startsWith("sketch")).length + 1}.png`, { type: "image/png" })]));
  parts.collection = collection.prepare(about, openShape);
  parts.map = map.prepare(about, openShape);
  addEventListener("hashchange", route);
  document.documentElement.dataset.ready = "yes";
  await route();
}

begin();
