"use strict";
// What a page gains with a script: tables that sort, values under the pointer or the focus, and cells of a confusion
// matrix that list their shapes. Everything can be read without it. Texts are set as text, never as markup.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Tables: a heading becomes a button. Equal rows keep their order; rows without a value come last.
  function makeSortable(table) {
    const body = table.tBodies[0];
    all("thead th", table).forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        all("th[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
        const numbers = heading.classList.contains("number");
        const rows = [...body.rows].map((row) => ({ row, key: keyOf(row.cells[column], numbers) }));
        rows.sort((a, b) => compare(a.key, b.key, sign));
        body.append(...rows.map(({ row }) => row));
      });
    });
  }

  function keyOf(cell, numbers) {
    const text = cell.dataset.value ?? cell.textContent.trim();
    if (!numbers) return text || null;
    const number = Number.parseFloat(text);
    return Number.isNaN(number) ? null : number;
  }

  function compare(a, b, sign) {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a === "number") return sign * (a - b);
    return sign * a.localeCompare(b, undefined, { numeric: true });
  }

  // Values: one box shows the text of what is under the pointer or has the focus.
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;

  function show(target) {
    tip.textContent = target.dataset.tip;
    tip.hidden = false;
    const at = target.getBoundingClientRect(), own = tip.getBoundingClientRect();
    const left = at.left + at.width / 2 - own.width / 2;
    const above = at.top - own.height - 8;
    tip.style.left = `${Math.max(4, Math.min(left, document.documentElement.clientWidth - own.width - 4))}px`;
    tip.style.top = `${above > 4 ? above : at.bottom + 8}px`;
    light(target.closest(".series"), target.closest(".chart"));
    markHeadings(target.closest(".matrix td"));
  }

  function hide() {
    tip.hidden = true;
    all(".chart.dimmed").forEach((chart) => light(null, chart));
    all(".matrix .here").forEach((heading) => heading.classList.remove("here"));
  }

  function light(series, chart) {
    if (!chart) return;
    all(".lit", chart).forEach((other) => other.classList.remove("lit"));
    chart.classList.toggle("dimmed", series !== null && chart.querySelectorAll(".series").length > 1);
    if (series) series.classList.add("lit");
  }

  function tell(element, text) {
    element.dataset.tip = text;
    element.setAttribute("aria-label", text);
    if (!element.matches("a")) element.setAttribute("role", element.matches("td") ? "gridcell" : "img");
  }

  // Keyboard: a chart or a matrix is one stop of the Tab key; the arrow keys walk through it.
  function walk(root, lines) {
    const kept = lines.filter((line) => line.length);
    kept.flat().forEach((item, k) => item.setAttribute("tabindex", k ? "-1" : "0"));
    root.addEventListener("keydown", (event) => {
      const y = kept.findIndex((line) => line.includes(event.target));
      if (y < 0) return;
      const x = kept[y].indexOf(event.target);
      const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
      const line = kept[y + dy];
      const next = line && line[Math.min(x, line.length - 1) + dx];
      if (!next || next === event.target) return;
      event.preventDefault();
      event.target.setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
    });
  }

  function makeChart(chart) {
    for (const title of all("g > title", chart)) {
      const point = title.parentElement;
      tell(point, title.textContent);
      title.remove();
    }
    walk(chart, all(".series", chart).map((series) => all(".point", series)));
    const legend = chart.closest(".plot")?.querySelector(".legend");
    if (!legend) return;
    const series = all(".series", chart);
    all("li", legend).forEach((item, k) => {
      item.addEventListener("pointerenter", () => light(series[k] ?? null, chart));
      item.addEventListener("pointerleave", () => light(null, chart));
    });
  }

  // The confusion matrix.
  function markHeadings(cell) {
    if (!cell) return;
    const table = cell.closest("table");
    table.tHead.rows[0].cells[cell.cellIndex].classList.add("here");
    cell.parentElement.cells[0].classList.add("here");
  }

  function makeMatrix(matrix) {
    const table = matrix.querySelector("table");
    const titles = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
    table.setAttribute("role", "grid");
    for (const cell of all("td", table)) {
      const link = cell.querySelector("a");
      if (link) {
        tell(link, link.title);
        link.removeAttribute("title");
      } else {
        const label = cell.parentElement.cells[0].textContent.trim();
        tell(cell, `true ${label}, predicted ${titles[cell.cellIndex]}: no shape`);
      }
    }
    walk(table, [...table.tBodies[0].rows].map((row) => all("td", row).map((cell) => cell.querySelector("a") ?? cell)));
    const lists = all(".cells details");
    const choose = (link) => {
      const chosen = document.getElementById(link.hash.slice(1)).closest("details");
      for (const list of lists) {
        list.hidden = list !== chosen;
        list.open = list === chosen;
      }
      all("[aria-current]", table).forEach((other) => other.removeAttribute("aria-current"));
      link.setAttribute("aria-current", "true");
      return chosen;
    };
    lists.forEach((list) => { list.hidden = true; });
    table.addEventListener("click", (event) => {
      const link = event.target.closest("a");
      if (!link) return;
      event.preventDefault();
      hide();
      const summary = choose(link).querySelector("summary");
      summary.focus({ preventScroll: true });
      summary.scrollIntoView({ block: "center" });
    });
    const named = all("a", table).find((link) => link.hash === location.hash);
    if (named) choose(named);
  }

  // A box that scrolls can be reached by the Tab key.
  function reachBoxes() {
    for (const box of all(".wide")) {
      if (box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight) box.setAttribute("tabindex", "0");
      else box.removeAttribute("tabindex");
    }
  }

  document.body.append(tip);
  all("table.sortable").forEach(makeSortable);
  all(".chart").forEach(makeChart);
  all(".matrix").forEach(makeMatrix);
  for (const [over, out] of [["pointerover", "pointerout"], ["focusin", "focusout"]]) {
    document.addEventListener(over, (event) => {
      const target = event.target.closest("[data-tip]");
      if (target) show(target);
    });
    document.addEventListener(out, hide);
  }
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  addEventListener("scroll", () => {
    const focused = document.activeElement.closest("[data-tip]");
    if (focused && !tip.hidden) show(focused);
    else hide();
  }, { capture: true, passive: true });
  addEventListener("resize", reachBoxes);
  reachBoxes();
})();
