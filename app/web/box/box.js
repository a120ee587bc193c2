// The combobox of the Suggest page: "list autocomplete with manual selection" of the ARIA Authoring Practices.
//
// Python answers what `said` asks. A question carries a number and its answer carries the same one, so that
// an older answer never replaces a newer one. What else the visitor does (accept, forget, why) waits in a
// queue, numbered too, until an answer says that it was done: nothing is lost, and nothing is done twice.
// All text is set as textContent.

const QUIET = 700; // ms without a change before the number of suggestions is announced
const MOUSE = ["mousedown", "mouseup"];
const boxes = new WeakMap();

export default function ({ parentElement, data, setStateValue }) {
  let box = boxes.get(parentElement);
  if (!box || !box.input.isConnected) {
    box = new Box(parentElement);
    boxes.set(parentElement, box);
  }
  box.send = (said) => setStateValue("said", said);
  box.receive(data);
  for (const event of MOUSE) document.addEventListener(event, box.mouse, true);
  return () => {
    clearTimeout(box.timer);
    for (const event of MOUSE) document.removeEventListener(event, box.mouse, true);
  };
}

class Box {
  constructor(root) {
    for (const [name, selector] of Object.entries({
      label: ".label", input: "#text", clear: ".clear", popup: ".popup", options: "#options",
      deletes: ".deletes", none: ".none", heard: ".heard", lists: ".lists",
    })) this[name] = root.querySelector(selector);
    this.mount = Array.from(crypto.getRandomValues(new Uint32Array(2)), (part) => part.toString(36)).join("");
    this.question = ""; // the newest: what stood in the box
    this.asked = 0; // its number
    this.shown = 0; // number of the question whose answer is shown
    this.acts = 0;
    this.queue = [];
    this.data = { options: [], lists: [], typed: "" };
    this.active = -1;
    this.pending = []; // arrow keys pressed while the list is being replaced
    this.open = false;
    this.mouse = ({ type }) => { // what is clicked must not move away under the mouse: close after the click
      this.pressing = type === "mousedown";
      if (!this.pressing) setTimeout(() => this.input.matches(":focus") || this.hide());
    };
    const on = (element, event, act) => element.addEventListener(event, act);
    on(this.input, "input", () => { this.open = true; this.ask(); });
    on(this.input, "keydown", (event) => this.pressed(event));
    on(this.input, "focus", () => this.input.value || this.show());
    on(this.input, "click", () => this.show());
    on(this.input, "blur", () => this.pressing || this.hide());
    on(this.clear, "click", () => this.write(""));
    for (const element of [this.popup, this.clear]) on(element, "mousedown", (event) => event.preventDefault());
  }

  // ---- what goes to Python and what comes back

  say() {
    this.send({ mount: this.mount, seq: this.asked, text: this.question, acts: this.queue });
  }

  ask() {
    this.question = this.input.value;
    this.asked += 1;
    this.active = -1;
    this.pending = [];
    this.clear.hidden = !this.input.value;
    this.mark();
    this.say();
    this.announce();
  }

  act(kind, text, typed) {
    this.acts += 1;
    this.queue.push({ number: this.acts, kind, text, typed, of: this.data.of });
  }

  receive(data) {
    const mine = data.mount === this.mount;
    if (mine ? data.seq < this.shown : this.asked > 0) return; // older than what is shown, or not ours
    const again = this.shown === (mine ? data.seq : 0);
    const chosen = this.data.options[this.active]?.text;
    this.data = data;
    this.shown = mine ? data.seq : 0;
    if (mine) this.queue = this.queue.filter((act) => act.number > data.done);
    this.label.textContent = data.label;
    this.draw();
    if (again && this.active >= 0) {
      const place = data.options.findIndex((option) => option.text === chosen);
      this.active = place >= 0 ? place : Math.min(this.active, data.options.length - 1);
    } else {
      this.active = -1;
    }
    if (this.fresh()) for (const key of this.pending.splice(0)) this.move(key);
    this.mark();
    this.announce();
  }

  fresh() {
    return this.shown === this.asked;
  }

  takes(place) { // whether an option still stands: it is of the newest answer, and is not being deleted
    const option = this.data.options[place];
    return Boolean(option) && this.fresh() && !this.going(option.text);
  }

  going(text) {
    return this.queue.some((act) => act.kind === "forget" && act.text === text);
  }

  // ---- what the visitor does

  pressed(event) {
    event.stopPropagation(); // outside the shadow root nobody sees an input: Streamlit has commands on letters
    if (event.isComposing || event.keyCode === 229) return; // the key is the input method's
    if (event.ctrlKey || event.metaKey) return;
    const does = { ArrowDown: "down", ArrowUp: "up", Enter: "enter", Escape: "escape", Delete: "delete" }[event.key];
    if ((does ? this[does](event) : this.leave(event)) !== false) event.preventDefault();
  }

  down(event) {
    if (event.altKey) this.show();
    else this.arrow("ArrowDown");
  }

  up(event) {
    if (event.altKey) this.hide();
    else this.arrow("ArrowUp");
  }

  arrow(key) {
    this.show();
    if (this.fresh()) this.move(key);
    else this.pending.push(key);
    this.mark();
  }

  move(key) {
    const last = this.data.options.length - 1;
    if (last < 0) return;
    const next = key === "ArrowDown" ? this.active + 1 : this.active < 0 ? last : this.active - 1;
    this.active = next > last ? 0 : next < 0 ? last : next;
  }

  enter(event) {
    const taken = this.active >= 0 && this.takes(this.active) ? this.data.options[this.active].text : this.input.value;
    if (taken.trim() && !event.repeat) this.accept(taken); // held down, it is still one search
  }

  escape() {
    if (this.open && !this.popup.hidden) this.hide();
    else if (this.input.value) this.write("");
    else return false;
  }

  delete(event) {
    const option = this.data.options[this.active];
    if (!event.shiftKey || !option || !deletable(option) || !this.takes(this.active)) return this.leave(event);
    this.forget(option.text);
  }

  leave(event) { // any other key is the box's own, and leaves the option
    if (["Shift", "Alt", "CapsLock"].includes(event.key)) return false;
    this.active = -1;
    this.pending = [];
    this.mark();
    return false;
  }

  accept(text) {
    const typed = this.input.value;
    this.act("accept", text, typed);
    this.hide();
    if (this.input.value !== text) {
      this.input.value = text;
      this.input.setSelectionRange(text.length, text.length);
    }
    this.clear.hidden = false;
    this.say(); // the question stays, so that one sees what the search has changed
    this.announce(`Searched for ${text}.`);
  }

  forget(text) {
    this.act("forget", text, this.data.typed);
    this.draw();
    this.mark();
    this.say();
    this.announce(`Deleted ${text}.`);
  }

  write(text) {
    this.input.value = text;
    this.input.focus();
    this.ask();
  }

  show() {
    this.open = true;
    if (this.input.value !== this.question) this.ask();
    this.mark();
    this.announce();
  }

  hide() {
    this.open = false;
    this.active = -1;
    this.pending = [];
    this.mark();
  }

  // ---- what is seen and heard

  draw() {
    const { options, typed } = this.data;
    const rows = `1 / span ${Math.max(options.length, 1)}`;
    this.options.style.gridRow = this.deletes.style.gridRow = rows;
    this.options.setAttribute("aria-label", this.data.heading);
    this.options.replaceChildren(...options.map((option, place) => this.option(option, place, typed)));
    this.deletes.replaceChildren(...options.map((option) => this.deletion(option)));
    this.none.textContent = this.data.none;
    this.lists.replaceChildren(...this.data.lists.map((list) => this.list(list, typed)));
    const said = this.data.lists.length ? this.data.note : this.data.empty;
    if (said) this.lists.append(make("p", "said", said));
  }

  option(option, place, typed) {
    const item = make("li", this.going(option.text) ? "going" : "");
    item.id = `option-${place}`;
    item.setAttribute("role", "option");
    item.append(completed(option.text, typed), " ");
    if (option.mark) item.append(make("span", "mark", option.mark));
    item.addEventListener("click", () => this.accept(option.text));
    return item;
  }

  deletion(option) {
    if (!deletable(option)) return make("span");
    const button = make("button", "", "×");
    button.type = "button";
    button.tabIndex = -1;
    button.title = "Delete this search";
    button.setAttribute("aria-label", `Delete ${option.text} from the searches`);
    button.addEventListener("click", () => this.forget(option.text));
    return button;
  }

  list(list, typed) {
    const section = make("section");
    const rows = make("ol");
    rows.setAttribute("aria-label", `${list.title}: ${typed}`);
    rows.append(...list.rows.map((row, place) => this.row(list, row, place, typed)));
    section.append(make("h3", "", list.title), make("p", "what", list.what), rows);
    return section;
  }

  row(list, row, place, typed) {
    const item = make("li");
    item.append(make("span", "place", `${place + 1}`), " ", completed(row.text, typed), " ");
    if (row.move) item.append(make("span", `move ${row.way}`, row.move), " ");
    if (list.why) {
      const why = make("button", "why", "Why?");
      why.type = "button";
      why.setAttribute("aria-label", `Why is ${row.text} number ${place + 1}?`);
      why.addEventListener("click", () => { this.act("why", row.text, typed); this.say(); });
      item.append(why);
    }
    return item;
  }

  mark() { // the popup's state, in attributes
    const { options } = this.data;
    const some = this.open && options.length > 0;
    this.popup.hidden = !(some || (this.open && this.input.value.trim()));
    this.popup.classList.toggle("waiting", !this.fresh());
    this.options.hidden = this.deletes.hidden = !options.length;
    this.none.hidden = options.length > 0;
    this.input.setAttribute("aria-expanded", String(some));
    [...this.options.children].forEach((item, place) => {
      item.setAttribute("aria-selected", String(some && place === this.active));
    });
    if (some && this.active >= 0) {
      this.input.setAttribute("aria-activedescendant", `option-${this.active}`);
      this.options.children[this.active].scrollIntoView({ block: "nearest" });
    } else {
      this.input.removeAttribute("aria-activedescendant");
    }
  }

  announce(first = "") { // politely, and only when nothing has changed for a while
    this.first = first || (this.first ?? "");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const shown = this.open && this.fresh() && this.input.matches(":focus");
      this.heard.textContent = [this.first, shown ? this.data.count : ""].filter(Boolean).join(" ");
      this.first = "";
    }, QUIET);
  }
}

const deletable = (option) => option.own || option.recent;

function make(tag, names = "", text = "") {
  const element = document.createElement(tag);
  if (names) element.className = names;
  if (text) element.textContent = text;
  return element;
}

function completed(text, typed) { // what was typed, and what it is completed with
  const whole = make("span", "text");
  whole.dir = "auto";
  if (typed && text.startsWith(typed)) whole.append(make("span", "typed", typed), make("b", "rest", text.slice(typed.length)));
  else whole.textContent = text;
  return whole;
}
