// The page: a combobox after the ARIA Authoring Practices over the ranker; searches stay in this browser.

import { load, manifest } from "./ranker.js";

const K = 8;
const at = (id) => document.getElementById(id);
const box = at("box"), list = at("list"), status = at("status"), user = at("user"), kept = at("kept");
let said, ranker, place, active = -1;

async function start() {
  said = await manifest();
  said.models.forEach((model, number) => user.add(new Option(model.user ?? "somebody new", number)));
  const asked = new URLSearchParams(location.search).get("user");
  const number = Math.max(0, said.models.findIndex((model) => model.user === asked));
  user.value = number;
  at("whose").hidden = said.models.length === 1 && said.models[0].user === null;
  user.addEventListener("change", open);
  await open();
}

async function open() {
  const model = said.models[user.value];
  box.disabled = true;
  ranker = await load(said, model);
  place = `persarank ${location.pathname} ${said.run} ${said.fingerprint} ${model.user ?? ""}`;
  remembered().forEach((query) => ranker.observe(query));
  box.disabled = false;
  status.textContent = model.own
    ? "Ranked by this user's own model."
    : "Ranked by the model that all share, and by what is searched here.";
  box.value = "";
  close();
  tell();
  box.focus();
}

function remembered() {
  try {
    const queries = JSON.parse(localStorage.getItem(place) ?? "[]");
    return Array.isArray(queries) ? queries.filter((one) => typeof one === "string") : [];
  } catch {
    return [];
  }
}

function draw() {
  const found = ranker.suggest(box.value, K);
  list.replaceChildren(...found.map(({ text, own }, number) => {
    const line = document.createElement("li");
    line.id = `line${number}`;
    line.role = "option";
    line.ariaSelected = "false";
    const words = document.createElement("span"), mark = document.createElement("span");
    words.textContent = text;
    mark.textContent = own ? "searched before" : "";
    line.append(words, mark);
    line.addEventListener("pointerdown", (event) => event.preventDefault());
    line.addEventListener("click", () => take(text));
    return line;
  }));
  list.hidden = !found.length;
  box.ariaExpanded = String(!list.hidden);
  choose(-1);
}

function choose(number) {
  active = number;
  [...list.children].forEach((line, place) => (line.ariaSelected = String(place === number)));
  if (number < 0) box.removeAttribute("aria-activedescendant");
  else box.setAttribute("aria-activedescendant", `line${number}`);
}

function close() {
  list.hidden = true;
  box.ariaExpanded = "false";
  choose(-1);
}

function take(text) {
  if (!ranker.observe(text)) return;
  const query = ranker.observed.at(-1);
  try {
    localStorage.setItem(place, JSON.stringify(ranker.observed));
    status.textContent = `Searched for “${query}”, and kept in this browser.`;
  } catch {
    status.textContent = `Searched for “${query}”; this browser keeps nothing once the page is closed.`;
  }
  box.value = "";
  close();
  tell();
}

function tell() {
  const count = ranker.observed.length;
  kept.hidden = !count;
  kept.firstElementChild.textContent = count === 1 ? "One search is kept in this browser." : `${count} searches are kept in this browser.`;
}

at("forget").addEventListener("click", () => {
  localStorage.removeItem(place);
  open();
});
box.addEventListener("input", draw);
box.addEventListener("click", draw);
box.addEventListener("blur", close);
box.addEventListener("keydown", (event) => {
  const lines = [...list.children];
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    if (list.hidden) draw();
    const step = event.key === "ArrowDown" ? 1 : -1, places = list.children.length + 1;
    choose(((active + 1 + step + places) % places) - 1);
  } else if (event.key === "Enter" && !event.isComposing) {
    take(active >= 0 ? lines[active].firstElementChild.textContent : box.value);
  } else if (event.key === "Escape") {
    if (list.hidden) box.value = "";
    close();
  }
});
start().catch((error) => {
  status.textContent = location.protocol === "file:"
    ? "Serve this folder, for example with: python -m http.server"
    : error.message;
});
