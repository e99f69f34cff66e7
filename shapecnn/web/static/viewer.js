// The only live 3D viewer of the page. Browsers drop WebGL contexts beyond 8 to 16, so one is made and kept.

import { isShortcut } from "./dom.js";

let library = null;
let opened = null;  // promise of the viewer

let turning = !matchMedia("(prefers-reduced-motion: reduce)").matches;
export const turnsAtFirst = turning;

async function open(holder) {
  library ??= await import("./vendor/three.js");
  const { AmbientLight, DirectionalLight, HemisphereLight, OrbitControls, PerspectiveCamera, Scene, WebGLRenderer } = library;
  const renderer = new WebGLRenderer({ antialias: true, alpha: true });  // throws where there is no WebGL
  const canvas = renderer.domElement;
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  const scene = new Scene();
  scene.add(new HemisphereLight(0xffffff, 0x9098a8, 1.6), new AmbientLight(0xffffff, 0.5));
  const camera = new PerspectiveCamera(45, 1, 0.01, 20);
  const lamp = new DirectionalLight(0xffffff, 1.8);
  lamp.position.set(0.6, 1, 1);
  camera.add(lamp);
  scene.add(camera);
  const controls = new OrbitControls(camera, canvas);
  controls.enableDamping = true;
  controls.autoRotateSpeed = 2.5;
  const made = { renderer, canvas, scene, camera, controls, model: null };
  canvas.addEventListener("keydown", (event) => {
    const turns = { ArrowLeft: [0.2, 0], ArrowRight: [-0.2, 0], ArrowUp: [0, 0.2], ArrowDown: [0, -0.2] }[event.key];
    if (!turns || isShortcut(event)) return;
    event.preventDefault();
    const { Vector3 } = library, up = new Vector3(0, 1, 0);
    camera.position.applyAxisAngle(up, turns[0]);
    const side = new Vector3().crossVectors(up, camera.position).normalize();
    const next = camera.position.clone().applyAxisAngle(side, -turns[1]);
    if (Math.abs(next.clone().normalize().y) < 0.99) camera.position.copy(next);
  });
  const size = () => {
    const { clientWidth: width, clientHeight: height } = holder;
    if (!width || !height) return;
    renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    renderer.setSize(width, height, false);
    camera.aspect = width / height;
    camera.updateProjectionMatrix();
  };
  new ResizeObserver(size).observe(holder);
  made.size = size;
  renderer.setAnimationLoop(() => {
    if (document.hidden || !canvas.isConnected || !holder.clientWidth) return;
    controls.autoRotate = turning;
    controls.update();
    renderer.render(scene, camera);
  });
  return made;
}

function dispose(model) {
  model?.traverse((node) => { node.geometry?.dispose(); node.material?.dispose?.(); });
}

/** Show a GLB file in an element, if stays() is still true when it is ready; throws if it cannot be shown, as without WebGL. */
export async function show(holder, bytes, name, stays) {
  opened ??= open(holder).catch((error) => { opened = null; throw error; });
  const stage = await opened;
  const { Box3, GLTFLoader, Sphere } = library;
  if (!stays()) return;
  const { scene: model } = await new GLTFLoader().parseAsync(bytes, "");
  if (!stays()) { dispose(model); return; }
  if (stage.model) stage.scene.remove(stage.model);
  dispose(stage.model);
  const sphere = new Box3().setFromObject(model).getBoundingSphere(new Sphere());
  model.position.sub(sphere.center);
  stage.model = model;
  stage.scene.add(model);
  const far = sphere.radius / Math.sin((22.5 * Math.PI) / 180);
  const azimuth = Math.PI / 6, elevation = Math.PI / 6;  // as in the thumbnails
  stage.camera.position.set(far * Math.cos(elevation) * Math.cos(azimuth), far * Math.sin(elevation), -far * Math.cos(elevation) * Math.sin(azimuth));
  stage.camera.near = far / 100;
  stage.camera.far = far * 4;
  stage.controls.target.set(0, 0, 0);
  stage.canvas.setAttribute("aria-label", `${name} in 3D: drag or use the arrow keys to turn it`);
  holder.replaceChildren(stage.canvas);
  stage.size();
}

/** Let the shape turn or stand still; returns whether it turns. */
export function turn(on) {
  turning = on;
  return on;
}
