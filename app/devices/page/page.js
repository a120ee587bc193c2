// The page: a combobox after the ARIA Authoring Practices over the ranker; searches stay in this browser.

import { load, manifest } from "./ranker.js";

const K = 8;
const at = (id) => document.getElementById(id);
const box = at("box"), list = at("list"), status = at("status"), user = at("user"), kept = at("kept");
const folder = new URL(".", location.href).pathname;
let said, ranker, place, opening = 0, active = -1;

async function start() {
  said = await manifest();
  said.models.forEach((model, number) => user.add(new Option(model.user ?? "somebody new", number)));
  const asked = new URLSearchParams(location.search).get("user");
  const number = said.models.findIndex((model) => model.user === asked);
  at("whose").hidden = said.models.length === 1 && said.models[0].user === null;
  user.value = Math.max(0, number);
  user.addEventListener("change", open);
  await open();
  if (number < 0 && asked !== null) status.textContent = `There is no model of “${asked}” here. ` + status.textContent;
}

// Load what is chosen; if something else is chosen meanwhile, that is what counts.
async function open() {
  const model = said.models[user.value], mine = ++opening;
  box.disabled = true;
  kept.hidden = true;
  status.textContent = "Loading…";
  let loaded;
  try {
    loaded = await load(said, model);
  } catch (error) {
    if (mine === opening) fail(error);
    return;
  }
  if (mine !== opening) return;
  ranker = loaded;
  place = `persarank ${folder} ${model.user ?? ""}`;
  remembered().forEach((query) => ranker.observe(query));
  status.textContent = model.own
    ? "Ranked by this user's own model."
    : "Ranked by the model that all share, and by what is searched here.";
  box.disabled = false;
  box.value = "";
  close();
  tell();
  box.focus();
}

function fail(error) {
  console.error(error);
  status.textContent = "The files of this page are missing or damaged: export it anew, and serve the whole folder.";
}

// What is kept in this browser; nothing, where it keeps nothing.
function remembered() {
  try {
    const queries = JSON.parse(localStorage.getItem(place) ?? "[]");
    return Array.isArray(queries) ? queries.filter((one) => typeof one === "string") : [];
  } catch {
    return [];
  }
}

// Whether it could be kept.
function remember(queries) {
  try {
    if (queries.length) localStorage.setItem(place, JSON.stringify(queries));
    else localStorage.removeItem(place);
    return true;
  } catch {
    return false;
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
    words.dir = "auto";
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
  [...list.children].forEach((line, at) => (line.ariaSelected = String(at === number)));
  if (number < 0) return box.removeAttribute("aria-activedescendant");
  box.setAttribute("aria-activedescendant", `line${number}`);
  list.children[number].scrollIntoView({ block: "nearest" });
}

function close() {
  list.hidden = true;
  box.ariaExpanded = "false";
  choose(-1);
}

function take(text) {
  if (!ranker.observe(text)) return;
  const query = ranker.observed.at(-1);
  status.textContent = remember([...remembered(), query])
    ? `Searched for “${query}”, and kept in this browser.`
    : `Searched for “${query}”. This browser keeps nothing: it is forgotten when the page is closed.`;
  box.value = "";
  close();
  tell();
}

function tell() {
  const count = remembered().length;
  kept.hidden = !count;
  kept.firstElementChild.textContent =
    count === 1 ? "One search is kept in this browser." : `${count} searches are kept in this browser.`;
}

at("forget").addEventListener("click", () => {
  if (remember([])) open();
  else status.textContent = "This browser does not let the page delete them: clear its data in the browser's settings.";
});
addEventListener("storage", (event) => {
  if (event.key === null || event.key === place) open(); // another tab has searched, or forgotten
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
start().catch(fail);
