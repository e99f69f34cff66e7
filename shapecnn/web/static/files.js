// Files that the user drops or chooses: which are meshes, which are pictures, and glTF files with their buffers.

const MESHES = ["off", "obj", "stl", "ply", "glb", "gltf"];

const extension = (name) => name.split(".").pop().toLowerCase();

/** Put the buffers of a glTF file into it, from the other files that were dropped with it. */
async function joined(file, others) {
  const document = JSON.parse(await file.text()), used = new Set();
  for (const buffer of document.buffers ?? []) {
    const name = decodeURIComponent(String(buffer.uri ?? "")).split("/").pop();
    const beside = others.find((other) => other !== file && other.name === name);
    if (!beside) continue;
    used.add(beside);
    const bytes = new Uint8Array(await beside.arrayBuffer());
    let binary = "";
    for (let i = 0; i < bytes.length; i += 32768) binary += String.fromCharCode(...bytes.subarray(i, i + 32768));
    buffer.uri = `data:application/octet-stream;base64,${btoa(binary)}`;
  }
  return { file: used.size ? new File([JSON.stringify(document)], file.name) : file, used };
}

/** Turn dropped files into uploads: name, kind and content of each. */
export async function uploads(files) {
  const used = new Set();
  const found = [];
  for (const file of files) {
    let content = file;
    if (extension(file.name) === "gltf") {
      try {
        const whole = await joined(file, files);
        whole.used.forEach((each) => used.add(each));
        content = whole.file;
      } catch { /* the file goes as it is: the server says what is wrong with it */ }
    }
    const kind = MESHES.includes(extension(file.name)) || !file.type.startsWith("image/") ? "mesh" : "picture";
    found.push({ file, name: file.name, kind, content });
  }
  const pictures = ["png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp", "gif", "ppm"];
  for (const each of found) if (pictures.includes(extension(each.name))) each.kind = "picture";
  return found.filter((each) => !used.has(each.file));
}

/** Call a function with the files that are dropped on an element, pasted, or chosen. */
export function listen(area, input, take) {
  for (const name of ["dragenter", "dragover"]) {
    document.addEventListener(name, (event) => { event.preventDefault(); area.classList.add("over"); });
  }
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) area.classList.remove("over"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    area.classList.remove("over");
    if (event.dataTransfer.files.length) take([...event.dataTransfer.files]);
  });
  document.addEventListener("paste", (event) => { if (event.clipboardData?.files.length) take([...event.clipboardData.files]); });
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = "";
    if (files.length) take(files);
  });
}
