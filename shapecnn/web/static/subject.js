// What is known about the query in sight: its 3D model, its views, and its classes.

import { getBytes, getJson } from "./api.js";
import { find, lasting, make, percent, say } from "./dom.js";
import * as viewer from "./viewer.js";

let about, current = 0, views = 12, shown = "";

export function prepare(described) {
  about = described;
  views = described.views;
  const button = find("turn");
  button.setAttribute("aria-pressed", String(viewer.turnsAtFirst));
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", String(viewer.turn(button.getAttribute("aria-pressed") !== "true")));
  });
}

/** Show a query: first its name and views, then its model and classes as they arrive. */
export function show(query) {
  const mine = ++current, here = `/api/queries/${encodeURIComponent(query.query)}`;
  const stays = () => mine === current;
  find("subject-name").textContent = query.name;
  find("subject-note").textContent = query.kind === "picture" ? "as the network sees it" : query.label ?? "";
  find("turn").hidden = find("turn-note").hidden = query.kind === "picture";
  find("classes").hidden = true;
  find("views-note").textContent = "";
  find("views-title").hidden = query.kind === "picture";
  find("stage").replaceChildren();
  find("views").replaceChildren();
  URL.revokeObjectURL(shown);
  if (query.kind === "picture") {
    showPicture(`${here}/views/0.png`, stays, (src) => find("stage").replaceChildren(make("img", { src, alt: "the picture in grey" })));
    return;
  }
  showViews(here, stays);
  showModel(here, query, stays);
  if (about.run) showClasses(here, stays);
}

/** Show a picture of a query. It is fetched as other answers are: a busy server is asked again, and errors are told. */
async function showPicture(address, stays, show) {
  try {
    const bytes = await getBytes(lasting(address));
    if (!stays()) return;
    shown = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
    show(shown);
  } catch (error) {
    if (stays()) say(error.message, true);
  }
}

function showViews(here, stays) {
  const columns = about.view_columns, rows = views / columns, share = (at, of) => (of > 1 ? `${(100 * at) / (of - 1)}%` : "0%");
  find("views").replaceChildren(...Array.from({ length: views }, (_, number) => make("li", { "data-view": number },
    make("div", {
      class: "view", role: "img", "aria-label": `view ${number}`,
      style: {
        backgroundSize: `${100 * columns}% ${100 * rows}%`,
        backgroundPosition: `${share(number % columns, columns)} ${share(Math.floor(number / columns), rows)}`,
      },
    }),
    make("span", {}, `view ${number}`))));
  showPicture(`${here}/views.png`, stays, (src) => {
    for (const view of find("views").querySelectorAll(".view")) view.style.backgroundImage = `url("${src}")`;
  });
}

async function showModel(here, query, stays) {
  try {
    const bytes = await getBytes(`${here}/model.glb`);
    if (stays()) await viewer.show(find("stage"), bytes, query.name, stays);
  } catch (error) {
    if (!stays()) return;
    const text = /webgl/i.test(error.message) ? "This browser shows no 3D (WebGL is off); the views below show the shape." : error.message;
    find("stage").replaceChildren(make("p", { class: "soft" }, text));
  }
}

async function showClasses(here, stays) {
  const box = find("classes"), verdict = find("verdict");
  try {
    const found = await getJson(`${here}/prediction`);
    if (!stays()) return;
    box.hidden = false;
    verdict.classList.toggle("unknown", Boolean(found.unknown));
    verdict.textContent = found.unknown ? `unknown: unlike all training shapes, most like ${found.label}`
      : found.alternative ? `${found.label} or ${found.alternative}` : found.label;
    find("scores").replaceChildren(...found.top.map(({ label, score }) => make("li", {}, make("span", {}, label),
      make("span", { class: "track", "aria-hidden": "true" }, make("span", { class: "fill", style: { display: "block", width: `${100 * score}%` } })),
      make("span", { class: "number" }, percent(score)))));
    find("evidence").textContent = found.evidence?.length
      ? `Training shapes most alike for the classifier, which compares only what separates the classes: ${found.evidence.map(({ id, similarity }) => `${id} (${similarity.toFixed(2)})`).join(", ")}` : "";
    if (about.explains) await markViews(here, stays);
  } catch (error) {
    if (!stays()) return;
    box.hidden = false;
    verdict.textContent = error.message;
    find("scores").replaceChildren();
    find("evidence").textContent = "";
  }
}

async function markViews(here, stays) {
  const found = await getJson(`${here}/explanation`);
  if (!stays()) return;
  const most = 1 / found.views.length;
  for (const { view, azimuth, share } of found.views) {
    const item = find("views").querySelector(`[data-view="${view}"]`);
    if (!item) continue;
    item.classList.toggle("spoke", share > most);
    item.querySelector("span").textContent = share > 0 ? `${share > most ? "▲ " : ""}${percent(share)}` : "–";
    item.querySelector(".view").setAttribute("aria-label", `view ${view}, from ${azimuth.toFixed(0)}°: ${percent(share)} of all that speaks for ${found.label}`);
  }
  find("views-note").textContent = `Each percentage is the share of the view in all that speaks for ${found.label}. ▲: more than an equal share (${percent(most)}).`;
}
