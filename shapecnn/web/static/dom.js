// Small helpers to find and make elements, and to tell the user something.

export const find = (id) => document.getElementById(id);

/** Make an element: properties that begin with "on" are listeners, "style" sets variables of the style sheet language. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Show a sentence at the top of the page; screen readers read it out. */
export function say(text = "", wrong = false) {
  const message = find("message");
  message.textContent = text;
  message.classList.toggle("wrong", wrong);
}

/** Fill a list of classes to choose from. */
export function fillClasses(select, classes) {
  const options = classes.map(({ label, count }) => make("option", { value: label }, `${label} (${count})`));
  select.replaceChildren(make("option", { value: "" }, "all"), ...options);
  select.disabled = !classes.length;
}

export const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;

/** A number of things: "1 shape", "2 shapes". */
export const counted = (number, thing) => `${number.toLocaleString("en")} ${thing}${number === 1 ? "" : "s"}`;

let stamp = "";

/** Tell the stamp of the server. */
export function useStamp(given) { stamp = given; }

/** The address of a picture that the browser may keep: with the stamp, because another server may come to this place. */
export const lasting = (path) => `${path}?of=${stamp}`;

export const picture = (row) => lasting(`/api/shapes/${row}/picture.png`);

/** Whether a key belongs to the browser or the system, such as Alt and an arrow for going back. */
export const isShortcut = (event) => event.ctrlKey || event.metaKey || event.altKey;

/** Call a function at most once in a frame. */
export function inFrame(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; draw(); });
  };
}
