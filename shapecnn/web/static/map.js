// The map of the collection: points in the plane, thumbnails under the pointer and when few are in sight, and a lasso.

import { address, getBytes, getJson, post } from "./api.js";
import { Cells } from "./cells.js";
import { counted, find, inFrame, isShortcut, lasting, make, picture, say } from "./dom.js";
import { Grid } from "./grid.js";
import { Points } from "./points.js";

const FEW = 250;  // points in sight up to which their thumbnails are drawn

/** Colours that stay apart for many classes: hue by the golden angle, lightness in turns. */
const colour = (number) => (number < 0 ? [0.55, 0.55, 0.58] : fromHsl((number * 137.508) % 360, 0.62, [0.5, 0.38, 0.64][number % 3]));

function fromHsl(hue, saturation, lightness) {
  const part = (n) => {
    const k = (n + hue / 30) % 12;
    return lightness - saturation * Math.min(lightness, 1 - lightness) * Math.max(-1, Math.min(k - 3, 9 - k, 1));
  };
  return [part(0), part(8), part(4)];
}

const css = (number) => `rgb(${colour(number).map((each) => Math.round(255 * each)).join(" ")})`;

/** Prepare the map; open(row) is called with the shape that the user picks. Returns a function that shows it. */
export function prepare(about, open) {
  const plane = find("plane"), note = find("map-note"), overlay = find("overlay"), pen = overlay.getContext("2d");
  const camera = { x: 0, y: 0, zoom: 1 };
  const sheets = new Map();
  let data = null, points = null, state = null, lasso = null, lassoing = false, only = null, drag = null;
  const grid = new Grid(find("selection-grid"), "Selected shapes", loadSelection, open);
  let selected = [];

  const half = () => Math.min(plane.clientWidth, plane.clientHeight) / 2.15;  // pixels of one unit at zoom 1
  const scale = () => half() * camera.zoom;
  const toPlace = (event) => {
    const box = plane.getBoundingClientRect();
    return [(event.clientX - box.left - box.width / 2) / scale() + camera.x, -(event.clientY - box.top - box.height / 2) / scale() + camera.y];
  };
  const toPixel = (x, y) => [(x - camera.x) * scale() + plane.clientWidth / 2, -(y - camera.y) * scale() + plane.clientHeight / 2];

  const draw = inFrame(() => {
    if (!data || !plane.clientWidth) return;
    const size = Math.max(2.5, Math.min(14, (2.2 + 60 / Math.sqrt(data.count)) * Math.sqrt(camera.zoom)));
    points.draw([camera.x, camera.y], [(2 * scale()) / plane.clientWidth, (2 * scale()) / plane.clientHeight], size);
    drawOverlay();
  });

  function inSight(most) {
    const wide = plane.clientWidth / 2 / scale(), high = plane.clientHeight / 2 / scale();
    return data.cells.within(camera.x - wide, camera.y - high, camera.x + wide, camera.y + high, most);
  }

  function drawOverlay() {
    const ratio = Math.min(devicePixelRatio, 2);
    [overlay.width, overlay.height] = [plane.clientWidth * ratio, plane.clientHeight * ratio];
    pen.scale(ratio, ratio);
    const seen = inSight(FEW), side = state.thumbnail;
    if (seen.length <= FEW && (camera.zoom > 1.5 || data.count <= 60)) {
      for (const point of seen) {
        if (!shown(point)) continue;
        const sheet = getSheet(Math.floor(data.numbers[point] / state.sheet ** 2));
        if (!sheet?.complete || !sheet.naturalWidth) continue;
        const place = data.numbers[point] % state.sheet ** 2;
        const [x, y] = toPixel(data.places[2 * point], data.places[2 * point + 1]);
        pen.drawImage(sheet, (place % state.sheet) * side, Math.floor(place / state.sheet) * side, side, side, x - side / 2, y - side / 2, side, side);
        pen.strokeStyle = css(codes()[point]);
        pen.strokeRect(x - side / 2, y - side / 2, side, side);
      }
    }
    if (hover.point >= 0 && !find("hover").hidden) {
      pen.strokeStyle = getComputedStyle(plane).color;
      pen.lineWidth = 2;
      pen.beginPath();
      pen.arc(...toPixel(data.places[2 * hover.point], data.places[2 * hover.point + 1]), 9, 0, 2 * Math.PI);
      pen.stroke();
    }
    for (const item of find("legend").querySelectorAll(".near")) item.classList.remove("near");
    if (hover.point >= 0 && !find("hover").hidden) find("legend").children[codes()[hover.point]]?.classList.add("near");
    if (lasso) {
      pen.strokeStyle = getComputedStyle(plane).color;
      pen.lineWidth = 2;
      pen.beginPath();
      lasso.forEach(([x, y], i) => { const pixel = toPixel(x, y); if (i) pen.lineTo(...pixel); else pen.moveTo(...pixel); });
      pen.closePath();
      pen.stroke();
    }
  }

  function getSheet(number) {
    if (!sheets.has(number)) {
      const image = new Image();
      image.onload = draw;
      image.src = lasting(`/api/map/sheets/${number}.png`);
      sheets.set(number, image);
    }
    return sheets.get(number);
  }

  const codes = () => (find("map-colour").value === "class" ? data.classes : data.families);
  const shown = (point) => only === null || codes()[point] === only;

  function paint() {
    if (!data) return;
    const shades = new Float32Array(3 * data.count), chosen = codes();
    for (let i = 0; i < data.count; i++) shades.set(shown(i) ? colour(chosen[i]) : [0.72, 0.73, 0.75], 3 * i);
    points.fill("colour", shades, 3);
    const byClass = find("map-colour").value === "class";
    const names = byClass ? about.classes.map(({ label }) => label) : Array.from({ length: state.families }, (_, i) => `family ${i + 1}`);
    find("legend").replaceChildren(...names.map((name, number) => make("li", {},
      make("button", { type: "button", "aria-pressed": String(only === number), onclick: () => { only = only === number ? null : number; paint(); } },
        make("i", { "aria-hidden": "true", style: { background: css(number) } }), name))));
    draw();
  }

  async function load() {
    const bytes = await getBytes("/api/map/points");
    const count = bytes.byteLength / 24, places = new Float32Array(bytes, 0, 2 * count), rest = new Int32Array(bytes, 8 * count);
    const column = (number) => Int32Array.from({ length: count }, (_, i) => rest[4 * i + number]);
    points ??= new Points(find("points"));  // throws where there is no WebGL
    data = { count, places, rows: column(0), classes: column(1), families: column(2), numbers: column(3), cells: new Cells(places) };
    points.fill("place", places, 2);
    if (!about.classes.length) find("map-colour").value = "family";
    note.textContent = counted(count, "shape");
    plane.dataset.ready = "yes";
    paint();
  }

  let timer;

  async function follow() {
    try {
      state = await getJson("/api/map");
      find("map-make").hidden = !["absent", "failed"].includes(state.state);
      if (state.state === "ready" && !data) { await load(); return; }
      if (state.state === "computing") {
        note.textContent = `Computing the map: ${state.seconds.toFixed(0)} s …`;
        clearTimeout(timer);  // each visit of the map begins to follow
        timer = setTimeout(follow, 1000);
      }
      if (state.state === "absent") note.textContent = "The map is computed once and then kept.";
      if (state.state === "failed") note.textContent = state.message;
    } catch (error) { note.textContent = error.message; }
  }

  async function loadSelection(offset, limit) {
    const rows = selected.slice(offset, offset + limit);
    return rows.length ? (await getJson(address("/api/shapes", { row: rows.map(String) }))).shapes : [];
  }

  function select(found) {
    selected = found.filter(shown).map((point) => data.rows[point]).sort((a, b) => a - b);
    find("selection").hidden = !selected.length;
    find("selection-title").textContent = counted(selected.length, "selected shape");
    grid.reset(selected.length);
    if (selected.length) find("selection").scrollIntoView({ block: "nearest" });
    else say("No shape is inside the lasso.");
  }

  function zoom(factor, [x, y] = [camera.x, camera.y]) {
    const next = Math.max(0.5, Math.min(400, camera.zoom * factor)), ratio = camera.zoom / next;
    Object.assign(camera, { x: x + (camera.x - x) * ratio, y: y + (camera.y - y) * ratio, zoom: next });
    draw();
  }

  async function hover(event) {
    const point = data.cells.nearest(...toPlace(event), 12 / scale()), box = find("hover");
    box.hidden = point < 0;
    if (point < 0) {
      if (hover.point >= 0) { hover.point = -1; drawOverlay(); }
      return;
    }
    const [x, y] = toPixel(data.places[2 * point], data.places[2 * point + 1]);
    // beside the point, on the side with room for it
    const beside = (place, size, room) => `${place + 10 + size > room ? place - 10 - size : place + 10}px`;
    Object.assign(box.style, { left: beside(x, box.offsetWidth, plane.clientWidth), top: beside(y, box.offsetHeight, plane.clientHeight) });
    if (hover.point === point) return;
    hover.point = point;
    drawOverlay();
    const row = data.rows[point], image = box.querySelector("img");
    image.src = picture(row);
    box.querySelector("figcaption").textContent = "";
    const { shapes } = await getJson(address("/api/shapes", { row: String(row) }));
    if (hover.point === point) box.querySelector("figcaption").textContent = [shapes[0].id, shapes[0].label].filter(Boolean).join(" · ");
  }

  plane.addEventListener("pointerdown", (event) => {
    if (!data) return;
    plane.setPointerCapture(event.pointerId);
    if (lassoing) lasso = [toPlace(event)];
    else drag = { x: event.clientX, y: event.clientY, moved: false };
  });
  plane.addEventListener("pointermove", (event) => {
    if (!data) return;
    if (lasso) { lasso.push(toPlace(event)); draw(); return; }
    if (!drag) { hover(event).catch(() => {}); return; }
    const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
    if (!drag.moved && Math.hypot(dx, dy) < 4) return;
    Object.assign(drag, { x: event.clientX, y: event.clientY, moved: true });
    find("hover").hidden = true;
    camera.x -= dx / scale();
    camera.y += dy / scale();
    draw();
  });
  plane.addEventListener("pointerup", (event) => {
    if (lasso) {
      const polygon = lasso;
      lasso = null;
      setLasso(false);
      if (polygon.length > 2) select(data.cells.inside(polygon));
      draw();
    } else if (drag && !drag.moved) {
      const point = data.cells.nearest(...toPlace(event), 12 / scale());
      if (point >= 0) open(data.rows[point]);
    }
    drag = null;
  });
  plane.addEventListener("pointerleave", () => { find("hover").hidden = true; if (data) drawOverlay(); });
  plane.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (data) zoom(Math.exp(-event.deltaY / 400), toPlace(event));
  }, { passive: false });
  plane.addEventListener("keydown", (event) => {
    if (!data || isShortcut(event)) return;
    const step = 40 / scale(), moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] }[event.key];
    if (moves) { camera.x += moves[0]; camera.y += moves[1]; draw(); }
    else if (event.key === "+" || event.key === "=") zoom(1.4);
    else if (event.key === "-") zoom(1 / 1.4);
    else if (event.key === "s" || event.key === "S") select(inSight());
    else if (event.key === "Enter") { const point = data.cells.nearest(camera.x, camera.y, 4); if (point >= 0) open(data.rows[point]); }
    else return;
    event.preventDefault();
  });

  function setLasso(on) {
    lassoing = on;
    plane.classList.toggle("lasso", on);
    find("map-lasso").setAttribute("aria-pressed", String(on));
  }

  find("map-lasso").addEventListener("click", () => setLasso(!lassoing));
  find("map-in").addEventListener("click", () => zoom(1.5));
  find("map-out").addEventListener("click", () => zoom(1 / 1.5));
  find("map-all").addEventListener("click", () => { Object.assign(camera, { x: 0, y: 0, zoom: 1 }); only = null; if (data) paint(); });
  find("map-colour").addEventListener("change", () => { only = null; paint(); });
  find("selection-clear").addEventListener("click", () => { find("selection").hidden = true; });
  find("map-make").addEventListener("click", async () => {
    try { await post("/api/map"); await follow(); } catch (error) { note.textContent = error.message; }
  });
  new ResizeObserver(draw).observe(plane);
  return () => { if (data) draw(); else follow(); grid.draw(); };
}
