// What benchmarks/serving.py measures in the page. It is run before the scripts of the page.

globalThis.bench = {
  frame: () => new Promise((done) => requestAnimationFrame(done)),

  /** Wait until a condition holds in a frame; returns the time of that frame, in milliseconds from the opening of the page. */
  async until(condition) {
    for (;;) {
      await bench.frame();
      if (condition()) return performance.now();
    }
  },

  drawn: (image) => image.complete && image.naturalWidth > 0,

  /** The elements of a list that are in sight. */
  inSight(selector) {
    return [...document.querySelectorAll(selector)].filter((each) => {
      const { top, bottom } = each.getBoundingClientRect();
      const holder = each.closest(".virtual")?.getBoundingClientRect() ?? { top: 0, bottom: innerHeight };
      return bottom > Math.max(holder.top, 0) && top < Math.min(holder.bottom, innerHeight);
    });
  },

  /** Whether every tile in sight is that of a shape and has its picture. */
  pictured(selector) {
    const seen = bench.inSight(selector);
    return seen.length > 0 && seen.every((each) => each.querySelector("img") && bench.drawn(each.querySelector("img")));
  },

  /** Begin to wait for what appears on the page, from its opening on. */
  begin() {
    const tile = "#collection-grid .tile";
    bench.times = {
      page: bench.until(() => document.documentElement?.dataset.ready),
      listed: bench.until(() => document.querySelector(`${tile}[data-row]`)),
      first_picture: bench.until(() => [...document.querySelectorAll(`${tile} img`)].some(bench.drawn)),
      pictured: bench.until(() => bench.pictured(tile)),
    };
  },

  /** Seconds from the opening of the page: ready to use, shapes listed, the first picture, all pictures in sight. */
  async opened() {
    const seconds = {};
    for (const [name, time] of Object.entries(bench.times)) seconds[name] = (await time) / 1000;
    return seconds;
  },

  async part(name) {
    location.hash = name;
    await bench.until(() => !document.getElementById(name).hidden && bench.pictured("#collection-grid .tile"));
  },

  /** Click a shape at a part of the list; seconds until its results are listed, have pictures, and it is in the viewer. */
  async click(part) {
    await bench.part("collection");
    await bench.jump(part);
    const tile = bench.inSight("#collection-grid .tile[data-row]")[0], began = performance.now();
    document.getElementById("stage").replaceChildren();
    document.getElementById("results").replaceChildren();
    tile.click();
    const since = (time) => (time - began) / 1000;
    const model = bench.until(() => document.querySelector("#stage canvas"));
    const results = await bench.until(() => document.querySelector("#results .card"));
    document.getElementById("results").scrollIntoView();
    const pictured = await bench.until(() => bench.pictured("#results .card"));
    const seconds = { results: since(results), pictured: since(pictured), model: since(await model) };
    scrollTo(0, 0);
    return seconds;
  },

  /** Jump to a part of the list; seconds until all pictures in sight are there. */
  async jump(part) {
    const holder = document.getElementById("collection-grid"), began = performance.now();
    holder.scrollTop = part * (holder.scrollHeight - holder.clientHeight);
    await bench.frame();
    return (await bench.until(() => bench.pictured("#collection-grid .tile")) - began) / 1000;
  },

  /** Scroll from the top at 3000 pixels a second: frames a second, and the milliseconds between frames. */
  async scroll(seconds) {
    const holder = document.getElementById("collection-grid");
    holder.scrollTop = 0;
    await bench.frame();
    const gaps = [], began = performance.now();
    for (let last = began; last - began < 1000 * seconds;) {
      holder.scrollTop = 3 * (last - began);
      await bench.frame();
      const now = performance.now();
      gaps.push(now - last);
      last = now;
    }
    gaps.sort((a, b) => a - b);
    return { frames_a_second: gaps.length / seconds, median_ms: gaps[gaps.length >> 1], longest_ms: gaps.at(-1),
             slower_than_50_ms: gaps.filter((gap) => gap > 50).length / gaps.length };
  },

  /** Open the map; seconds until its points are drawn. */
  async map() {
    const began = performance.now();
    location.hash = "map";
    await bench.until(() => document.getElementById("plane").dataset.ready);
    await bench.frame();
    await bench.frame();
    return (performance.now() - began) / 1000;
  },
};

bench.begin();
