// The page's whole program: OpenAI's interface, asked with fetch.
"use strict";

const $ = (id) => document.getElementById(id);

async function* events(response) {
  // Server-sent events of an answer; comments are skipped.
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const line = part.split("\n").find((one) => one.startsWith("data: "));
      if (line && line !== "data: [DONE]") yield JSON.parse(line.slice(6));
    }
  }
}

// The key is forgotten with the tab.
const KEY = "sphere-edge key";

async function ask(path, options = {}) {
  const key = sessionStorage.getItem(KEY);
  const headers = { ...options.headers, ...(key ? { authorization: `Bearer ${key}` } : {}) };
  const response = await fetch(path, { ...options, headers });
  if (response.ok) return response;
  const failure = await response.json().catch(() => null);
  if (response.status === 401) {
    $("key-form").hidden = false;
    say("key-status", key ? "this key is wrong" : "this server asks for a key", true);
    $("key").focus();
  }
  throw new Error(failure?.error?.message ?? `${response.status} ${response.statusText}`);
}

const postJson = (path, body, signal) =>
  ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal });

function say(id, text, isBad = false) {
  $(id).textContent = text;
  $(id).classList.toggle("bad", isBad);
}

// What a form has asked for, by its name: one thing at a time, which its Stop ends.
const running = new Map();

async function run(name, work) {
  if (running.has(name)) return;
  const stopping = new AbortController();
  const [send, stop] = [$(`${name}-send`), $(`${name}-stop`)];
  running.set(name, stopping);
  swap(stop, send);
  try {
    await work(stopping.signal);
  } catch (error) {
    const isOurs = error.name === "AbortError";
    say(`${name}-status`, isOurs ? "stopped" : error.message, !isOurs);
  }
  running.delete(name);
  swap(send, stop);
}

function swap(on, off) {
  // A button that is off loses the focus, and the keyboard its place.
  const hasFocus = document.activeElement === off;
  on.disabled = false;
  if (hasFocus) on.focus();
  off.disabled = true;
}

for (const name of ["chat", "speech", "image"]) {
  $(`${name}-stop`).addEventListener("click", () => running.get(name)?.abort());
}

$("key-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, $("key").value);
  $("key").value = "";
  $("key-form").hidden = true;
  say("chat-status", "");
  await start();
});

function card(kind, title) {
  const element = document.createElement("article");
  element.className = kind;
  const head = document.createElement("h2");
  head.textContent = title;
  const text = document.createElement("div");
  element.append(head, text);
  $("conversation").append(element);
  element.scrollIntoView({ block: "end" });
  return text;
}

// Tabs, with arrow keys as in every tab list.
const tabs = [...document.querySelectorAll("[role=tab]")];
function show(tab) {
  for (const one of tabs) {
    const isShown = one === tab;
    one.setAttribute("aria-selected", isShown);
    one.tabIndex = isShown ? 0 : -1;
    $(one.getAttribute("aria-controls")).hidden = !isShown;
  }
  tab.focus();
  if (tab.id === "tab-models") start();
}
tabs.forEach((tab, at) => {
  tab.addEventListener("click", () => show(tab));
  tab.addEventListener("keydown", (event) => {
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    show(tabs.at(to % tabs.length));
  });
});

async function listModels() {
  const { data } = await (await ask("/v1/models")).json();
  for (const select of document.querySelectorAll("select[data-task]")) {
    const chosen = select.value;
    const names = data.filter((one) => one.task === select.dataset.task).map((one) => one.id);
    select.replaceChildren(...names.map((name) => new Option(name, name, false, name === chosen)));
  }
  $("model-rows").replaceChildren(...data.map((one) => {
    const row = document.createElement("tr");
    const memory = `${(one.memory_bytes / 2 ** 20).toFixed(0)} MiB`;
    for (const text of [one.id, one.task, memory, one.loaded ? "yes" : "no", one.running, one.waiting]) {
      row.insertCell().textContent = text;
    }
    return row;
  }));
}
setInterval(() => { if (!$("models").hidden && $("key-form").hidden) start(); }, 2000);

// Chat: the whole conversation is sent each time, nothing is stored.
let items = [];
$("chat-new").addEventListener("click", () => {
  running.get("chat")?.abort();
  items = [];
  $("conversation").replaceChildren();
  say("chat-status", "");
  $("message").focus();
});
$("message").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("chat-form").requestSubmit();
  }
});
$("chat-form").addEventListener("submit", (event) => {
  event.preventDefault();
  run("chat", chat);
});

async function chat(signal) {
  const turns = items;
  const message = { role: "user", content: $("message").value };
  // When the context is full, the oldest turns are left out.
  const body = { model: $("chat-model").value, input: [...turns, message], stream: true, store: false, truncation: "auto" };
  if ($("instructions").value) body.instructions = $("instructions").value;
  if ($("tools").value.trim()) body.tools = JSON.parse($("tools").value);
  card("turn user", "You").textContent = message.content;
  turns.push(message);
  $("message").value = "";
  say("chat-status", "thinking …");
  $("conversation").ariaBusy = "true";
  const began = performance.now();
  let said = "";
  try {
    let shown = null;
    let last = null;
    for await (const one of events(await postJson("/v1/responses", body, signal))) {
      if (one.type === "response.output_item.added") {
        const title = { message: body.model, reasoning: "Reasoning" }[one.item.type] ?? `Tool call: ${one.item.name}`;
        shown = card(one.item.type === "message" ? "turn" : `card ${one.item.type}`, title);
      } else if (/\.delta$/.test(one.type)) {
        shown.append(one.delta);
        if (one.type === "response.output_text.delta") said += one.delta;
      } else if (one.type === "error") {
        throw new Error(one.message);
      } else if (one.response) {
        last = one.response;
      }
    }
    if (!last?.usage) throw new Error("the server ended before the answer did");
    said = "";
    turns.push(...last.output);
    const seconds = (performance.now() - began) / 1000;
    const end = last.status === "completed" ? "" : ", cut off";
    say("chat-status", `${last.usage.output_tokens} tokens in ${seconds.toFixed(1)} s${end}`);
  } finally {
    // What was said until then is a part of the conversation.
    if (said) turns.push({ role: "assistant", content: said });
    $("conversation").ariaBusy = "false";
  }
}

// Speech: a file, or what the microphone records as WAV.
async function transcribe(file, signal) {
  $("transcript").textContent = "";
  say("speech-status", "transcribing …");
  const form = new FormData();
  form.set("model", $("speech-model").value);
  form.set("file", file, "sound");
  form.set("stream", "true");
  const options = { method: "POST", body: form, signal };
  for await (const one of events(await ask("/v1/audio/transcriptions", options))) {
    if (one.error) throw new Error(one.error.message);
    if (one.delta) $("transcript").append(one.delta);
  }
  say("speech-status", "done");
}
$("speech-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const [file] = $("sound").files;
  if (file) run("speech", (signal) => transcribe(file, signal));
  else say("speech-status", "choose a file, or record", true);
});

function wav(blocks, rate) {
  // 16-bit mono, as http://soundfile.sapp.org/doc/WaveFormat/ describes it.
  const count = blocks.reduce((sum, block) => sum + block.length, 0);
  const view = new DataView(new ArrayBuffer(44 + 2 * count));
  const text = (at, word) => [...word].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + 2 * count, true); text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  text(36, "data"); view.setUint32(40, 2 * count, true);
  let at = 44;
  for (const block of blocks) {
    for (const sample of block) {
      view.setInt16(at, Math.max(-1, Math.min(1, sample)) * 32767, true);
      at += 2;
    }
  }
  return new Blob([view], { type: "audio/wav" });
}

let recording = null;
$("record").addEventListener("click", async () => {
  if (recording) {
    const { stream, context, blocks } = recording;
    recording = null;
    $("record").textContent = "Record";
    stream.getTracks().forEach((track) => track.stop());
    const { sampleRate } = context;
    await context.close();
    run("speech", (signal) => transcribe(wav(blocks, sampleRate), signal));
    return;
  }
  if (!window.isSecureContext) {
    say("speech-status", "browsers give pages a microphone at localhost and over https only", true);
    return;
  }
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    const context = new AudioContext();
    const blocks = [];
    const node = context.createScriptProcessor(4096, 1, 1);
    node.onaudioprocess = (event) => blocks.push(event.inputBuffer.getChannelData(0).slice());
    context.createMediaStreamSource(stream).connect(node);
    node.connect(context.destination);
    recording = { stream, context, blocks };
    $("record").textContent = "Stop and transcribe";
    say("speech-status", "recording …");
  } catch (error) {
    say("speech-status", `no microphone: ${error.message}`, true);
  }
});

// Images, with their steps.
$("image-form").addEventListener("submit", (event) => {
  event.preventDefault();
  run("image", generate);
});

async function generate(signal) {
  const body = { model: $("image-model").value, prompt: $("prompt").value, stream: true };
  if ($("seed").value) body.seed = Number($("seed").value);
  say("image-status", "generating …");
  $("image-progress").hidden = false;
  $("image-progress").value = 0;
  try {
    for await (const one of events(await postJson("/v1/images/generations", body, signal))) {
      if (one.error) throw new Error(one.error.message);
      if (one.steps) $("image-progress").value = one.step / one.steps;
      if (!one.b64_json) continue;
      $("generated").src = `data:image/png;base64,${one.b64_json}`;
      $("generated").alt = body.prompt;
      $("generated").hidden = false;
      if (one.seed !== undefined) say("image-status", `seed ${one.seed}`);
    }
  } finally {
    $("image-progress").hidden = true;
  }
}

const start = () => listModels().catch((error) => say("chat-status", error.message, true));
start();
