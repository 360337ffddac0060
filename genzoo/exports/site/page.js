// Draws with the model in model.onnx. Each file is checked against its hash in model.json.

const get = (id) => document.getElementById(id);
const say = (text) => { get("status").textContent = text; };

// ---------------------------------------------------------------------------------------- files

async function file(address, integrity, hint = "") {
  let answer;
  try {
    answer = await fetch(address, { integrity, credentials: "omit" });
  } catch (error) { // no network, or a wrong hash: the browser says neither
    throw new Error(`cannot load ${address}: no network, or the file is not the one that the page was made with${hint}`);
  }
  if (!answer.ok) throw new Error(`cannot load ${address}: ${answer.status} ${answer.statusText}${hint}`);
  return answer;
}

async function session(facts, kind, model) {
  const { base, parts } = facts.runtime, [module, binary] = parts[kind];
  const hint = base.startsWith("https:") ? ". With --runtime, genzoo export writes a page that needs no other host" : "";
  const part = ({ name, integrity }) => file(base + name, integrity, hint);
  const source = await (await part(module)).text();
  const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const runtime = await import(address);
  URL.revokeObjectURL(address);
  runtime.env.wasm.numThreads = 1; // more need headers that few static hosts send
  runtime.env.wasm.wasmBinary = await (await part(binary)).arrayBuffer();
  const options = { executionProviders: [kind], logSeverityLevel: 3 };
  return { runtime, kind, run: await runtime.InferenceSession.create(model, options) };
}

// Codes (latent_dim numbers) and a class to [0, 1], in the order channel, row, column.
async function draw(drawing, facts, code, label) {
  const { Tensor } = drawing.runtime;
  const given = { code: new Tensor("float32", code, [1, facts.latent_dim]) };
  if (facts.classes.length) given.label = new Tensor("int64", BigInt64Array.of(BigInt(label)), [1]);
  return (await drawing.run.run(given)).image.data;
}

// How far the first sample is from genzoo's own, in 255ths.
async function difference(drawing, facts, codes) {
  const own = Uint8Array.from(atob(facts.first), (c) => c.charCodeAt(0));
  const image = await draw(drawing, facts, codes.slice(0, facts.latent_dim), 0);
  return own.reduce((most, value, i) => {
    const apart = Math.abs(Math.round(255 * image[i]) - value);
    return apart <= most ? most : apart; // NaN is the larger
  }, 0);
}

// Whether there is a GPU: a browser may compute WebGPU in software, which is slower than WASM.
async function hasGpu() {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  return adapter && !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter);
}

// WebGPU where there is one that computes the same, else WASM.
async function start(facts, model, codes) {
  if (facts.runtime.parts.webgpu && await hasGpu()) {
    try {
      const drawing = await session(facts, "webgpu", model);
      drawing.apart = await difference(drawing, facts, codes);
      if (drawing.apart <= 2) return drawing;
    } catch (error) {
      console.warn(`WebGPU: ${error.message}`);
    }
  }
  const drawing = await session(facts, "wasm", model);
  drawing.apart = await difference(drawing, facts, codes);
  if (!(drawing.apart <= 2)) throw new Error(`this browser draws other images than genzoo, by ${drawing.apart} of 255`);
  return drawing;
}

// ---------------------------------------------------------------------------------------- codes

// From a to b, as the code's law has it: on the sphere, straight, or from class to class.
function between(law, a, b, t) {
  const code = Float32Array.from(a);
  for (const { kind, start, stop } of law) {
    const dot = (x, y) => { let sum = 0; for (let i = start; i < stop; i++) sum += x[i] * y[i]; return sum; };
    let [one, two] = [1 - t, t];
    if (kind === "normal") {
      const cosine = dot(a, b) / Math.max(Math.sqrt(dot(a, a) * dot(b, b)), 1e-12);
      const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
      if (Math.sin(angle) >= 1e-6) [one, two] = [Math.sin(one * angle), Math.sin(two * angle)].map((x) => x / Math.sin(angle));
    }
    if (kind === "categorical") [one, two] = t < 0.5 ? [1, 0] : [0, 1];
    for (let i = start; i < stop; i++) code[i] = one * a[i] + two * b[i];
  }
  return code;
}

// ------------------------------------------------------------------------------------- the page

function numbers(facts, changed) {
  const place = get("numbers");
  for (const dim of facts.dims) {
    const part = facts.law.find(({ start, stop }) => start <= dim && dim < stop);
    const label = document.createElement("label");
    label.htmlFor = `number-${dim}`;
    if (part.kind === "categorical") {
      label.textContent = "category of the code";
      const menu = Object.assign(document.createElement("select"), { id: label.htmlFor });
      for (let i = part.start; i < part.stop; i++) menu.add(new Option(i - part.start, i));
      menu.onchange = () => changed((code) => { code.fill(0, part.start, part.stop); code[Number(menu.value)] = 1; }, dim);
      menu.show = (code) => { menu.value = part.start + code.slice(part.start, part.stop).indexOf(1); };
      place.append(label, menu);
      continue;
    }
    label.textContent = `number ${dim}`;
    const [min, max] = part.kind === "uniform" ? [part.low, part.high] : [-3, 3];
    const slider = Object.assign(document.createElement("input"), { type: "range", id: label.htmlFor, min, max, step: "any" });
    const output = Object.assign(document.createElement("output"), { htmlFor: label.htmlFor });
    slider.oninput = () => {
      output.textContent = Number(slider.value).toFixed(2);
      changed((code) => { code[dim] = Number(slider.value); }, dim);
    };
    slider.show = (code) => { slider.value = code[dim]; output.textContent = code[dim].toFixed(2); };
    const row = Object.assign(document.createElement("span"), { className: "slider" });
    row.append(slider, output);
    place.append(label, row);
  }
}

function main(facts, codes, drawing) {
  const canvas = get("picture"), context = canvas.getContext("2d"), [channels, height, width] = facts.shape;
  const pixels = context.createImageData(width, height), edits = new Map();
  const menu = get("class"), bounded = (field) => Math.min(facts.count - 1, Math.max(0, Math.floor(Number(field.value)) || 0));
  let timer = 0, wanted = null, busy = false, note = "";

  const codeOf = (i) => codes.slice(i * facts.latent_dim, (i + 1) * facts.latent_dim);
  const show = (code) => document.querySelectorAll("#numbers input, #numbers select").forEach((one) => one.show(code));
  function current() {
    const code = between(facts.law, codeOf(bounded(get("sample"))), codeOf(bounded(get("other"))), Number(get("share").value));
    edits.forEach((edit) => edit(code));
    return code;
  }

  // One image at a time: of those asked for meanwhile, only the last is drawn.
  async function picture(code, told = true) {
    wanted = [code, told];
    if (busy) return;
    busy = true;
    try {
      while (wanted) {
        const [next, tell] = wanted, began = performance.now();
        wanted = null;
        const image = await draw(drawing, facts, next, menu ? Number(menu.value) : 0);
        const size = width * height;
        for (let i = 0; i < size; i++) {
          for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = Math.round(255 * image[(channels === 3 ? c : 0) * size + i]);
          pixels.data[4 * i + 3] = 255;
        }
        context.putImageData(pixels, 0, 0);
        canvas.dataset.drawn = Number(canvas.dataset.drawn || 0) + 1;
        canvas.dataset.milliseconds = (performance.now() - began).toFixed(1);
        if (tell) describe();
      }
    } catch (error) {
      say(`This image cannot be drawn: ${error.message}`);
    } finally {
      busy = false;
    }
  }

  function describe() {
    const engine = drawing.kind === "webgpu" ? "WebGPU" : "WebAssembly";
    const apart = drawing.apart === 0 ? "equal to" : `at most ${drawing.apart} of 255 from`;
    say(`${note}${engine}, ${canvas.dataset.milliseconds} ms. Checked at the start: ${apart} genzoo's own image.`);
    note = "";
    const isPlain = !edits.size && Number(get("share").value) === 0;
    const label = menu ? ` --label ${facts.words[Number(menu.value)]}` : "";
    const start = bounded(get("sample"));
    // Between two samples of a walk no line draws the same image.
    get("told").hidden = timer !== 0 || !facts.command;
    get("command").textContent = isPlain ? `${facts.command} --start ${start}${label}` : "none, as it is mixed or changed";
  }

  function fresh() {
    edits.clear();
    const code = current();
    show(code);
    picture(code);
  }

  numbers(facts, (edit, key) => {
    stop();
    edits.set(key, edit);
    picture(current());
  });

  function stop() {
    cancelAnimationFrame(timer);
    timer = 0;
    get("walk").textContent = "Walk";
  }

  function walk() {
    get("walk").textContent = "Stop";
    let from = bounded(get("sample")), t = 0;
    const step = async () => {
      const code = between(facts.law, codeOf(from), codeOf((from + 1) % facts.count), t);
      show(code);
      await picture(code, false);
      if (!timer) return;
      t += 1 / 60;
      if (t >= 1) {
        [from, t] = [(from + 1) % facts.count, 0];
        get("sample").value = from;
      }
      timer = requestAnimationFrame(step);
    };
    edits.clear();
    get("share").value = 0;
    get("share").nextSibling.textContent = "0.00";
    timer = requestAnimationFrame(step);
    describe();
  }

  const all = [...document.querySelectorAll("fieldset, button")];
  all.forEach((one) => { one.disabled = false; });
  get("controls").onsubmit = (event) => event.preventDefault();
  get("walk").onclick = () => { if (timer) { stop(); fresh(); } else walk(); };
  get("another").onclick = () => { stop(); get("sample").value = (bounded(get("sample")) + 1) % facts.count; fresh(); };
  get("reset").onclick = () => { stop(); get("share").value = 0; get("share").oninput(); };
  get("share").oninput = () => { stop(); get("share").nextSibling.textContent = Number(get("share").value).toFixed(2); fresh(); };
  for (const field of [get("sample"), get("other")]) {
    field.onchange = () => {
      stop();
      const taken = bounded(field);
      if (Number(field.value) !== taken) note = `This page has the samples 0 to ${facts.count - 1}: ${taken} in place of ${field.value}. `;
      field.value = taken;
      fresh();
    };
  }
  if (menu) menu.onchange = () => picture(current());
  get("save").onclick = () => canvas.toBlob(async (blob) => {
    const marked = mark(new Uint8Array(await blob.arrayBuffer()), facts.marks);
    const link = Object.assign(document.createElement("a"), { download: `${facts.name}-synthetic.png` });
    link.href = URL.createObjectURL(new Blob([marked], { type: "image/png" }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  });
  fresh();
}

// -------------------------------------------------------------------------------------- the mark

// A PNG with texts after its first chunk, which is 25 bytes long and begins at byte 8.
function mark(png, texts) {
  const chunks = Object.entries(texts).map(([key, text]) => chunk("iTXt", `${key}\0\0\0\0\0${text}`));
  return new Blob([png.slice(0, 33), ...chunks, png.slice(33)]);
}

function chunk(type, text) {
  const content = new TextEncoder().encode(type + text), bytes = new Uint8Array(content.length + 8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, content.length - 4);
  bytes.set(content, 4);
  view.setUint32(content.length + 4, checksum(content));
  return bytes;
}

function checksum(bytes) { // CRC-32, as PNG has it
  let sum = 0xffffffff;
  for (const byte of bytes) {
    sum ^= byte;
    for (let i = 0; i < 8; i++) sum = (sum >>> 1) ^ (0xedb88320 & -(sum & 1));
  }
  return ~sum >>> 0;
}

try {
  const facts = await (await file("model.json")).json();
  say("Loading the model and what runs it.");
  const [model, codes] = await Promise.all(["model", "codes"].map(
    async (name) => (await file(facts.files[name].name, facts.files[name].integrity)).arrayBuffer(),
  ));
  const samples = new Float32Array(codes);
  main(facts, samples, await start(facts, new Uint8Array(model), samples));
} catch (error) {
  say(`This page cannot draw: ${error.message}`);
  document.querySelectorAll("#controls, .row, .mark, canvas").forEach((one) => { one.hidden = true; });
}
