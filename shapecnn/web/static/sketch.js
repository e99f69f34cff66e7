// Draw a shape on a canvas and search with the drawing.

import { find } from "./dom.js";

/** Prepare the dialog; take(blob) is called with the drawing as a PNG. */
export function prepare(take) {
  const dialog = find("sketch"), paper = find("paper"), pen = find("pen");
  const context = paper.getContext("2d");
  let strokes = [], current = null;

  function draw() {
    context.fillStyle = "#fff";
    context.fillRect(0, 0, paper.width, paper.height);
    context.strokeStyle = "#111";
    context.lineCap = context.lineJoin = "round";
    for (const { width, points } of strokes) {
      context.lineWidth = width;
      context.beginPath();
      context.moveTo(...points[0]);
      for (const point of points) context.lineTo(...point);
      context.stroke();
    }
  }

  function place(event) {
    const box = paper.getBoundingClientRect();
    return [((event.clientX - box.left) * paper.width) / box.width, ((event.clientY - box.top) * paper.height) / box.height];
  }

  paper.addEventListener("pointerdown", (event) => {
    paper.setPointerCapture(event.pointerId);
    const start = place(event);
    current = { width: Number(pen.value), points: [start, start] };
    strokes.push(current);
    draw();
  });
  paper.addEventListener("pointermove", (event) => {
    if (!current) return;
    const passed = event.getCoalescedEvents?.() ?? [];
    for (const each of passed.length ? passed : [event]) current.points.push(place(each));
    draw();
  });
  for (const name of ["pointerup", "pointercancel"]) paper.addEventListener(name, () => { current = null; });
  find("undo").addEventListener("click", () => { strokes.pop(); draw(); });
  find("wipe").addEventListener("click", () => { strokes = []; draw(); });
  find("cancel").addEventListener("click", () => dialog.close());
  find("find").addEventListener("click", () => {
    paper.toBlob((blob) => { dialog.close(); take(blob); }, "image/png");
  });
  find("draw").addEventListener("click", () => { draw(); dialog.showModal(); });
}
