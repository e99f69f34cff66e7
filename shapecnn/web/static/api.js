// Ask the server. A failure is an Error whose message is the server's sentence.

const TRIES = 8;

/** Fetch an address; a server that is busy is asked again after the time that it names. */
async function ask(address, options = {}, tries = TRIES) {
  let response;
  try {
    response = await fetch(address, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer: see whether shapecnn serve is still running.");
  }
  if (response.ok) return response;
  const wait = Number(response.headers.get("retry-after"));
  if (wait && tries > 1) {
    await new Promise((done) => setTimeout(done, 1000 * wait * (0.5 + Math.random())));
    return ask(address, options, tries - 1);
  }
  const told = await response.json().catch(() => null);
  throw new Error(told?.error?.message ?? `The server answered with status ${response.status}.`);
}

export const getJson = async (address, options) => (await ask(address, options)).json();
export const getBytes = async (address, options) => (await ask(address, options)).arrayBuffer();
export const post = async (address, body) => (await ask(address, { method: "POST", body })).json();
export const remove = async (address) => { await ask(address, { method: "DELETE" }); };

/** An address with parameters; those that are empty are left out, lists are repeated. */
export function address(path, parameters = {}) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const each of Array.isArray(value) ? value : [value]) if (each !== "" && each !== undefined) search.append(name, each);
  }
  return search.size ? `${path}?${search}` : path;
}
