#!/bin/sh
# Make shapecnn/web/static/vendor/three.js again, from the npm registry. Needs node and npm.
set -eu
vendor=$(cd "$(dirname "$0")/../shapecnn/web/static/vendor" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --no-audit --no-fund --ignore-scripts esbuild@0.28.2 three@0.187.0
cat > entry.js <<'JS'
export { AmbientLight, Box3, DirectionalLight, HemisphereLight, PerspectiveCamera, Scene, Sphere, Vector3, WebGLRenderer } from 'three';
export { OrbitControls } from 'three/addons/controls/OrbitControls.js';
export { GLTFLoader } from 'three/addons/loaders/GLTFLoader.js';
JS
node_modules/.bin/esbuild entry.js --bundle --minify --format=esm --target=es2022 --legal-comments=eof --outfile=three.js
cp three.js "$vendor/three.js"
cp node_modules/three/LICENSE "$vendor/three.LICENSE"
