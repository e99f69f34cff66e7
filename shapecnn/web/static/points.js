// Draw many points with WebGL: position and colour of each, moved and enlarged together.

const VERTEX = `#version 300 es
in vec2 place; in vec3 colour; uniform vec2 centre, scale; uniform float size; out vec3 shade;
void main() { shade = colour; gl_Position = vec4((place - centre) * scale, 0.0, 1.0); gl_PointSize = size; }`;
const FRAGMENT = `#version 300 es
precision mediump float; in vec3 shade; out vec4 result;
void main() { float far = length(gl_PointCoord - 0.5); if (far > 0.5) discard; result = vec4(shade, 1.0); }`;

export class Points {
  constructor(canvas) {
    const gl = canvas.getContext("webgl2", { antialias: true, alpha: true, premultipliedAlpha: true });
    if (!gl) throw new Error("This browser draws no map, because WebGL is off.");
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    Object.assign(this, { gl, canvas, program, count: 0, buffers: {} });
  }

  /** values: Float32Array of `width` numbers for each point. */
  fill(name, values, width) {
    const { gl } = this, at = gl.getAttribLocation(this.program, name);
    this.buffers[name] ??= gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, width, gl.FLOAT, false, 0, 0);
    this.count = values.length / width;
  }

  draw(centre, scale, size) {
    const { gl, canvas, program } = this, ratio = Math.min(devicePixelRatio, 2);
    const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform2f(gl.getUniformLocation(program, "centre"), ...centre);
    gl.uniform2f(gl.getUniformLocation(program, "scale"), ...scale);
    gl.uniform1f(gl.getUniformLocation(program, "size"), size * ratio);
    gl.drawArrays(gl.POINTS, 0, this.count);
  }
}
