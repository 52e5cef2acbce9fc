// Sends a file in parts by tus 1.0, each with its SHA-256, goes on after a broken connection, and hands it in. Without
// this script the form sends the file in one piece.
"use strict";
(() => {
  const form = document.querySelector("form.upload");
  if (!form) return;
  const data = form.dataset;
  const input = form.querySelector("input[type=file]");
  const told = form.querySelector(".told");
  const bar = form.querySelector("progress");
  const stop = form.querySelector(".stop");
  const go = form.querySelector(".go");
  const token = form.querySelector("[name=csrfmiddlewaretoken]").value;
  const headers = { "Tus-Resumable": "1.0.0", "X-CSRFToken": token };
  const pauses = [1, 2, 4, 8, 15, 30]; // seconds before the next attempt
  let paused = null; // the controller of the request at hand

  class Refused extends Error {}

  const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  const base64 = (bytes) => btoa(String.fromCharCode(...bytes));
  const coded = (text) => base64(new TextEncoder().encode(text));
  const say = (text) => { told.textContent = text; };

  function megabytes(bytes) {
    return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
  }

  function lasting(seconds) {
    const whole = Math.round(seconds);
    return `${Math.floor(whole / 3600)}:${String(Math.floor(whole / 60) % 60).padStart(2, "0")}:${String(whole % 60).padStart(2, "0")}`;
  }

  // A request whose failure is worth another attempt throws a TypeError or ends by 5xx, 423 or 460; others are refusals.
  async function ask(method, address, more, body) {
    const options = { method, headers: { ...headers, ...more }, body, signal: paused.signal, cache: "no-store" };
    const response = await fetch(address, options);
    if (response.ok) return response;
    const text = method === "HEAD" ? String(response.status) : await response.text();
    if (response.status === 409 && method === "PATCH") throw new TypeError(text);
    if ((response.status >= 500 && response.status !== 507) || [423, 460].includes(response.status)) throw new TypeError(text);
    throw new Refused(text.length < 300 ? text : String(response.status));
  }

  async function create(file) {
    const metadata = { round: data.round, filename: file.name, purpose: data.purpose };
    const pairs = Object.entries(metadata).map(([key, value]) => `${key} ${coded(value)}`);
    const response = await ask("POST", data.create, { "Upload-Length": String(file.size), "Upload-Metadata": pairs.join(",") });
    const place = response.headers.get("Location");
    localStorage.setItem(place, String(file.lastModified));
    return place;
  }

  // The upload that stopped, if the file is the same one; null where there is none.
  function broken(file) {
    if (!data.broken) return null;
    const modified = localStorage.getItem(data.broken);
    const same = file.name === data.name && file.size === Number(data.size);
    if (!same || (modified && modified !== String(file.lastModified))) throw new Refused(data.other);
    return data.broken;
  }

  function show(offset, file, begun, started) {
    bar.value = file.size ? (1000 * offset) / file.size : 0;
    const rate = (offset - begun) / Math.max(0.001, (performance.now() - started) / 1000);
    const words = { done: megabytes(offset), size: megabytes(file.size), rate: megabytes(rate), left: lasting(rate ? (file.size - offset) / rate : 0) };
    say(data.sending.replace(/{(\w+)}/g, (_, word) => words[word]));
  }

  async function send(file, place) {
    let offset = null, begun = 0, failures = 0;
    const started = performance.now();
    while (offset === null || offset < file.size) {
      try {
        if (offset === null) {
          offset = Number((await ask("HEAD", place)).headers.get("Upload-Offset"));
          begun = begun || offset;
        } else {
          const bytes = await file.slice(offset, offset + Number(data.part)).arrayBuffer();
          const sum = base64(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
          const more = { "Upload-Offset": String(offset), "Upload-Checksum": `sha256 ${sum}`, "Content-Type": "application/offset+octet-stream" };
          offset = Number((await ask("PATCH", place, more, bytes)).headers.get("Upload-Offset"));
        }
        failures = 0;
        show(offset, file, begun, started);
      } catch (error) {
        if (!(error instanceof TypeError)) throw error;
        say(data.waiting);
        await wait(pauses[Math.min(failures++, pauses.length - 1)]);
        paused.signal.throwIfAborted();
        offset = null;
      }
    }
  }

  function handIn(place) {
    localStorage.removeItem(place);
    const upload = place.split("/").filter(Boolean).pop();
    const target = data.accept?.replace("00000000-0000-0000-0000-000000000000", upload);
    const next = document.createElement("form");
    next.method = target ? "post" : "get";
    next.action = target || location.pathname;
    if (target) {
      const hidden = document.createElement("input");
      Object.assign(hidden, { type: "hidden", name: "csrfmiddlewaretoken", value: token });
      next.append(hidden);
    }
    document.body.append(next);
    next.submit();
  }

  async function begin() {
    const file = input.files[0];
    paused = new AbortController();
    go.disabled = input.disabled = true;
    stop.hidden = false;
    bar.parentElement.hidden = false;
    try {
      if (file.size > Number(data.most)) throw new Refused(data.large);
      const place = broken(file) || (await create(file));
      Object.assign(data, { broken: place, name: file.name, size: String(file.size) });
      await send(file, place);
      say(data.finishing);
      handIn(place);
    } catch (error) {
      say(error.name === "AbortError" ? data.stopped : error.message);
      go.disabled = input.disabled = false;
      stop.hidden = true;
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    begin();
  });
  stop.addEventListener("click", () => paused.abort());
  window.addEventListener("beforeunload", (event) => {
    if (!stop.hidden && told.textContent !== data.finishing) event.preventDefault();
  });
})();
