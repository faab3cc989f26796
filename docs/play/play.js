// The page play.md: a cell under a slider. play-data.js has the weights and the C library as WebAssembly.
"use strict";

const STEPS = 30;
const ROWS = ["i", "f", "g", "o", "c"];
const MEANINGS = {
  i: "input gate", f: "forget gate", g: "what would be written", o: "output gate", c: "cell state",
};
const WIDTH = 22, HEIGHT = 17, LEFT = 150, GAP = 12, BARS = 70;

// The library ------------------------------------------------------------------------------------------------

async function begin() {
  const bytes = Uint8Array.from(atob(PLAY.wasm), (c) => c.charCodeAt(0));
  const nothing = new Proxy({}, { get: () => () => 0 }); // what a C library may ask of a system
  const { instance } = await WebAssembly.instantiate(bytes, {
    env: nothing, wasi_snapshot_preview1: nothing,
  });
  const c = instance.exports;
  if (c._initialize) c._initialize();
  const place = (numbers) => {
    const address = c.play_floats(numbers.length);
    new Float32Array(c.memory.buffer, address, numbers.length).set(numbers);
    return address;
  };
  const [I, H] = PLAY.sizes;
  const weights = [PLAY.weight_ih, PLAY.weight_hh, PLAY.bias].map(place);
  if (c.play_begin(I, H, ...weights) !== 0) throw new Error("fastlstm_new refused the weights");
  const at = { x: c.play_floats(I), h: c.play_floats(H), gates: c.play_floats(4 * H), c: c.play_floats(H) };
  const read = (address, count) => Array.from(new Float32Array(c.memory.buffer, address, count));

  // What goes on at each step of numbers and marks.
  return (numbers, marks) => {
    c.play_reset();
    return numbers.map((number, t) => {
      new Float32Array(c.memory.buffer, at.x, I).set([number, marks[t] ? 1 : 0]);
      if (c.play_step(at.x, at.h, at.gates, at.c) !== 0) throw new Error("fastlstm_trace refused a step");
      const h = read(at.h, H), gates = read(at.gates, 4 * H);
      const said = PLAY.bias_out[0] + h.reduce((sum, unit, k) => sum + unit * PLAY.weight_out[k], 0);
      const of = (gate) => gates.slice(gate * H, (gate + 1) * H);
      return { h, said, i: of(0), f: of(1), g: of(2), o: of(3), c: read(at.c, H) };
    });
  };
}

// The picture ------------------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";

function add(parent, name, attributes, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

// Blue below zero, red above it; gates go from white to dark. 1 is full, and of a cell its largest magnitude.
function colour(row, value, full) {
  const share = Math.min(1, Math.abs(value) / full);
  const [r, g, b] = row === "i" || row === "f" || row === "o" ? [40, 60, 90] : value < 0 ? [33, 102, 172] : [178, 24, 43];
  const mixed = [r, g, b].map((shade) => Math.round(255 + (shade - 255) * share));
  return `rgb(${mixed})`;
}

const signed = (number) => (number < 0 ? "−" : "+") + Math.abs(number).toFixed(2);

function draw(svg, state, steps) {
  const H = PLAY.sizes[1];
  svg.replaceChildren();
  const height = BARS + GAP + H * (ROWS.length * HEIGHT + GAP) + 10;
  svg.setAttribute("viewBox", `0 0 ${LEFT + STEPS * WIDTH} ${height}`);
  add(svg, "text", { x: 0, y: BARS / 2 - 6, class: "play-label" }, "numbers");
  add(svg, "text", { x: 0, y: BARS / 2 + 10, class: "play-label" }, "(marked: orange)");
  const path = steps.map(({ said }, t) => `${LEFT + (t + 0.5) * WIDTH},${BARS / 2 - (said * BARS) / 2.2}`);
  state.numbers.forEach((number, t) => {
    const tall = (Math.abs(number) * BARS) / 2.2;
    const group = add(svg, "g", { class: "play-step", "data-step": t });
    add(group, "rect", { x: LEFT + t * WIDTH, y: 0, width: WIDTH, height: BARS, fill: "transparent" });
    add(group, "rect", {
      x: LEFT + t * WIDTH + 3, y: BARS / 2 - (number > 0 ? tall : 0), width: WIDTH - 6, height: Math.max(tall, 1),
      class: state.marks[t] ? "play-marked" : "play-number",
    });
  });
  add(svg, "polyline", { points: path.join(" "), class: "play-said" });
  for (let unit = 0; unit < H; unit++) {
    ROWS.forEach((row, k) => {
      const y = BARS + GAP + unit * (ROWS.length * HEIGHT + GAP) + k * HEIGHT;
      const label = k === 0 ? `unit ${unit}: ${row}` : row;
      const full = row === "c" ? Math.max(...steps.map(({ c }) => Math.abs(c[unit]))) : 1;
      add(svg, "text", { x: LEFT - 8, y: y + HEIGHT - 5, class: "play-label", "text-anchor": "end" }, label);
      steps.forEach((step, t) => {
        const cell = add(svg, "rect", {
          x: LEFT + t * WIDTH, y, width: WIDTH - 1, height: HEIGHT - 1, fill: colour(row, step[row][unit], full),
        });
        add(cell, "title", {}, `step ${t}, unit ${unit}, ${MEANINGS[row]}: ${signed(step[row][unit])}`);
      });
    });
  }
  add(svg, "rect", {
    x: LEFT + state.at * WIDTH - 1, y: 0, width: WIDTH + 1, height: height - 8, class: "play-cursor",
  });
}

function tell(into, state, steps) {
  const step = steps[state.at];
  const last = state.marks.lastIndexOf(true, state.at);
  const asked = last < 0 ? "nothing was marked yet" : `the last marked number is ${signed(state.numbers[last])}`;
  const sums = step.c.map((c, unit) => {
    const before = state.at ? steps[state.at - 1].c[unit] : 0;
    return `c${unit}: ${step.f[unit].toFixed(2)} · ${signed(before)} + ${step.i[unit].toFixed(2)} · ` +
      `${signed(step.g[unit])} = ${signed(c)}`;
  });
  into.textContent = `step ${state.at}: ${asked}, the model says ${signed(step.said)}\n` +
    `f · c + i · g = c\n${sums.join("\n")}`;
}

// What a reader does -----------------------------------------------------------------------------------------

function fresh() {
  const numbers = Array.from({ length: STEPS }, () => Math.random() * 1.8 - 0.9);
  const marks = numbers.map((_, t) => t === 0 || t === 10 || t === 20);
  return { numbers, marks, at: 0 };
}

async function play(root) {
  const svg = root.querySelector("svg"), slider = root.querySelector("input"), said = root.querySelector("pre");
  const run = await begin();
  let state = fresh();
  slider.max = STEPS - 1;
  const show = () => {
    const steps = run(state.numbers, state.marks);
    draw(svg, state, steps);
    tell(said, state, steps);
    slider.value = state.at;
  };
  slider.addEventListener("input", () => { state.at = Number(slider.value); show(); });
  svg.addEventListener("click", (event) => {
    const step = event.target.closest(".play-step");
    if (!step) return;
    state.at = Number(step.dataset.step);
    state.marks[state.at] = !state.marks[state.at];
    show();
  });
  root.querySelector("button").addEventListener("click", () => { state = fresh(); show(); });
  show();
  root.dataset.ready = "yes";
}

document.addEventListener("DOMContentLoaded", () => {
  const root = document.getElementById("play");
  play(root).catch((error) => { root.querySelector("pre").textContent = `This browser can't run it: ${error.message}`; });
});
