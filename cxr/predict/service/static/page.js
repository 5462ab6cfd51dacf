"use strict";
const find = (id) => document.getElementById(id);
const rows = [];
let about = {};

let token = sessionStorage.getItem("token") || "";

function call(path, options = {}) {
  const headers = { ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  return fetch(path, { ...options, headers });
}

async function start() {
  const reply = await call("about");
  find("access").hidden = reply.status !== 401;
  find("drop").hidden = reply.status === 401;
  if (reply.status === 401) {
    if (token) say("The service does not accept this token.");
    find("token").focus();
    return;
  }
  say("");
  about = await reply.json();
  find("version").textContent = about.bundle.slice(0, 12);
  const { age, views } = about.population;
  const meant = [age === "none" ? "" : `${age[0]} to ${age[1]} years`, views.join(" or ")].filter(Boolean);
  find("population").textContent = meant.length ? `Meant for ${meant.join(", ")}` : "";
  find("limit").textContent = Math.floor(about.max_bytes / 1e6);
}

async function readAll(files) {
  for (let index = 0; index < files.length; index += 1) {
    say(`Reading film ${index + 1} of ${files.length}: ${files[index].name}`);
    show(files[index].name, await ask(files[index]));
  }
  const above = rows.filter((row) => row.positive).length;
  const rejected = rows.filter((row) => row.rejected).length;
  const flagged = rows.filter((row) => row.reliable === false).length;
  const films = `${rows.length} ${rows.length === 1 ? "film" : "films"}`;
  say(`${films}: ${above} at or above the threshold, ${flagged} flagged, ${rejected} rejected.`);
}

async function ask(file) {
  if (about.max_bytes && file.size > about.max_bytes) {
    return { rejected: `larger than ${Math.floor(about.max_bytes / 1e6)} MB` };
  }
  for (;;) {
    let reply;
    try {
      const known = new URLSearchParams({ pictures: 1, age: find("age").value, view: find("projection").value });
      reply = await call(`invocations?${known}`, {
        method: "POST",
        headers: { "Content-Type": "application/octet-stream" },
        body: file,
      });
    } catch {
      return { rejected: "the service cannot be reached; is it still running?" };
    }
    if (reply.status === 503) {
      await new Promise((done) => setTimeout(done, 1000 * Number(reply.headers.get("Retry-After") || 1)));
      continue;
    }
    const answer = await reply.json();
    return reply.ok ? answer : { rejected: answer.error };
  }
}

function show(name, answer) {
  const article = find("card").content.cloneNode(true).firstElementChild;
  const part = (selector) => article.querySelector(selector);
  part("h2").textContent = name;
  if (answer.rejected) {
    article.classList.add("rejected");
    part(".verdict").textContent = `Not read: ${answer.rejected}`;
  } else {
    const percent = (value) => `${(100 * value).toFixed(1)}%`;
    article.classList.add(answer.positive ? "above" : "below");
    article.classList.toggle("flagged", !answer.reliable);
    part(".verdict").textContent = answer.verdict;
    part(".probability").textContent = percent(answer.probability);
    part(".threshold").textContent = answer.threshold === null ? "likeliest class" : percent(answer.threshold);
    part(".fill").style.width = percent(answer.probability);
    if (answer.threshold === null) part(".tick").remove();
    else part(".tick").style.left = percent(answer.threshold);
    const against = answer.threshold === null ? "" : `, threshold ${percent(answer.threshold)}`;
    part(".scale").setAttribute("aria-label", `Probability ${percent(answer.probability)}${against}`);
    part(".known").textContent = `${answer.age === "unknown" ? "age unknown" : `${answer.age} years`}, ${answer.view === "unknown" ? "view unknown" : answer.view}`;
    part(".meaning").textContent = answer.meaning || "";
    part(".film").src = answer.pictures.film;
    part(".film").alt = `Film ${name}`;
    part(".heat").src = answer.pictures.heat;
    part(".lungs").src = answer.pictures.lungs;
  }
  for (const flag of answer.flags || []) {
    const item = document.createElement("li");
    item.textContent = flag;
    part(".flags").append(item);
  }
  rows.push({ file: name, ...answer, pictures: undefined });
  find("tools").hidden = false;
  find("results").prepend(article);
  adjust();
}

function adjust() {
  find("heat-value").textContent = `${find("heat").value}%`;
  for (const layer of document.querySelectorAll(".heat")) layer.style.opacity = find("heat").value / 100;
  for (const layer of document.querySelectorAll(".lungs")) layer.style.visibility = find("outline").checked ? "" : "hidden";
}

function saveCsv() {
  // A spreadsheet would run a cell that begins like a formula.
  const plain = (value) => String(value ?? "").replace(/^[=+@-]/, "'$&");
  const quote = (value) => `"${plain(value).replaceAll('"', '""')}"`;
  const names = ["file", "decision", "probability", "threshold", "age", "view", "reliable", "flags", "rejected"];
  const lines = rows.map((row) => names.map((name) => quote(name === "flags" ? (row.flags || []).join("; ") : row[name])));
  const note = `"Research use only; bundle ${about.bundle}"`;
  const text = [names.join(","), ...lines.map((line) => line.join(",")), note].join("\n");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = "predictions.csv";
  link.click();
  URL.revokeObjectURL(link.href);
}

function say(text) {
  find("status").textContent = text;
}

find("access").addEventListener("submit", (event) => {
  event.preventDefault();
  token = find("token").value.trim();
  sessionStorage.setItem("token", token);
  start();
});
find("files").addEventListener("change", async (event) => {
  await readAll([...event.target.files]);
  event.target.value = "";
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    find("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") readAll([...event.dataTransfer.files]);
  });
}
find("heat").addEventListener("input", adjust);
find("outline").addEventListener("change", adjust);
find("save").addEventListener("click", saveCsv);
find("clear").addEventListener("click", () => {
  rows.length = 0;
  find("results").replaceChildren();
  find("tools").hidden = true;
  say("");
  find("files").focus();
});
start();
