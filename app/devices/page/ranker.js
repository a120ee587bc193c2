// Suggests as the run does that this was exported from: pools, features and scores, all on this device.

const ZERO_WIDTH = /[\u200b\u2060\ufeff]/gu;
const BREAKS = /[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]/gu;
const SPACES = /[ \xa0\u1680\u2000-\u200a\u202f\u205f\u3000]+/u;
const ENDS_IN_SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]$/u;
const UNSEEN = new RegExp(
  "^[\\u00ad\\u034f\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180e\\u200b-\\u200f\\u202a-\\u202e\\u2060-\\u206f" +
    "\\u2800\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0 ]*$", "u");
const PAIR = 2 ** 31;

// A query as it is stored: NFC, control characters and runs of space as one space, bounded length.
export function clean(text, longest) {
  const whole = text.replace(ZERO_WIDTH, "").normalize("NFC").replace(BREAKS, " ");
  const tidy = whole.split(SPACES).filter(Boolean).join(" ");
  return UNSEEN.test(tidy) ? "" : Array.from(tidy).slice(0, longest).join("").trimEnd();
}

async function json(file) {
  return (await fetched(file)).json();
}

async function fetched(file) {
  const answer = await fetch(file, { cache: "no-cache" }); // an export may have come anew
  if (!answer.ok) throw new Error(`${file} is missing: export the page anew.`);
  return answer;
}

export const manifest = () => json("manifest.json");

// The ranker of one of the manifest's models.
export async function load(said, model) {
  const [told, recipe, past, weights] = await Promise.all([
    json("public.json"), json("recipe.json"), json(model.past),
    fetched(model.model).then((answer) => answer.arrayBuffer()),
  ]);
  return new Ranker(told, recipe, past, new Network(said.network, new DataView(weights)));
}

// Queries by number: those that all are told of, in the order of their texts, then this user's own.
class Queries {
  constructor(told, past) {
    this.text = [];
    this.length = [];
    this.topic = [];
    this.word = [];
    this.number = new Map();
    this.words = new Map(told.words.map((word, number) => [word, number]));
    for (const { text, topic } of [told.queries, past.queries]) text.forEach((one, at) => this.add(one, topic[at]));
  }

  add(text, topic = -1) {
    const word = text.split(" ", 1)[0];
    if (!this.words.has(word)) this.words.set(word, this.words.size);
    this.number.set(text, this.text.length);
    this.text.push(text);
    this.length.push(Array.from(text).length);
    this.topic.push(topic);
    this.word.push(this.words.get(word));
    return this.text.length - 1;
  }

  part(which, number) {
    return which === "query" ? number : this.word[number];
  }
}

export class Ranker {
  constructor(told, recipe, past, network) {
    this.recipe = recipe;
    this.network = network;
    this.topics = told.topics.map((name) => `topic ${name}`);
    this.queries = new Queries(told, past);
    this.events = [...past.events];
    this.before = this.events.length; // searches that came with the export
    this.group = past.group;
    this.counts = told.queries.count;
    this.order = [...this.counts.keys()].filter((one) => this.counts[one] > 0);
    this.order.sort((a, b) => this.counts[b] - this.counts[a] || a - b);
    this.offPools = new Map(past.off.pools.first.map((one, at) => [one, past.off.pools.count[at]]));
    this.popularity = [...this.counts];
    past.off.query.first.forEach((one, at) => (this.popularity[one] -= past.off.query.count[at]));
    this.others = Object.fromEntries(
      Object.entries(told.counts).map(([name, table]) => [name, left(table, past.off[name])]));
  }

  // What was typed as it is compared with queries.
  prefix(typed) {
    const cleaned = clean(typed, this.recipe.longest_query);
    return cleaned && ENDS_IN_SPACE.test(typed) ? cleaned + " " : cleaned;
  }

  // At most k suggestions, the best first: {text, score, own}.
  suggest(typed, k = 10) {
    const prefix = this.prefix(typed);
    const pool = prefix ? this.pool(prefix) : this.own("", Infinity).slice(0, k);
    const unit = 10 ** this.recipe.decimals;
    const scores = prefix && pool.length
      ? this.scores(prefix, pool).map((score) => Math.round(score * unit) / unit)
      : pool.map(() => 0);
    const known = new Set(this.events);
    const best = [...pool.keys()].sort((a, b) => scores[b] - scores[a]).slice(0, k); // equal ones keep their order
    return best.map((at) => ({ text: this.queries.text[pool[at]], score: scores[at], own: known.has(pool[at]) }));
  }

  // Let a search join the user's past, on this device; whether there was anything to see of it.
  observe(query) {
    const text = clean(query, this.recipe.longest_query);
    if (!text) return false;
    this.events.push(this.queries.number.get(text) ?? this.queries.add(text));
    return true;
  }

  // The texts of what has been observed here.
  get observed() {
    return this.events.slice(this.before).map((one) => this.queries.text[one]);
  }

  // The user's queries among so many latest events that start with a prefix, the latest first.
  own(prefix, back) {
    const latest = this.events.slice(Math.max(0, this.events.length - back)).reverse();
    return [...new Set(latest)].filter((one) => this.queries.text[one].startsWith(prefix));
  }

  pool(prefix) {
    const { text } = this.queries;
    const later = new Map(
      [...this.offPools].filter(([one, count]) => count && this.counts[one] > 0 && text[one].startsWith(prefix)));
    const most = this.recipe.pool + Math.ceil(later.size / 25) * 25;
    let popular = [];
    for (const one of this.order) {
      if (popular.length === most) break;
      if (text[one].startsWith(prefix)) popular.push(one);
    }
    if (later.size) {
      const count = (one) => this.counts[one] - (later.get(one) ?? 0);
      popular = popular.filter((one) => count(one) > 0).sort((a, b) => count(b) - count(a) || a - b);
    }
    return [...new Set([...popular.slice(0, this.recipe.pool), ...this.own(prefix, this.recipe.own_back)])];
  }

  scores(prefix, pool) {
    const typed = Array.from(prefix).length;
    const numbers = this.numbers(typed, pool);
    const columns = this.recipe.features.map(({ name, times, minus, logarithm }) =>
      numbers[name].map((x) => Math.fround(times * ((logarithm ? Math.log1p(x) : x) - minus))));
    const rows = pool.map((_, at) => columns.map((column) => column[at]));
    return this.network.scores(rows, pool.map((one) => this.queries.text[one]), typed);
  }

  // By the name of each feature, the numbers that it is made of; see the recipe.
  numbers(typed, pool) {
    const { queries, events, recipe } = this;
    const lately = events.slice(-recipe.history);
    const previous = events.at(-1);
    const each = (count) => pool.map(count);
    const recent = (which, most) => {
      const counted = tally(events.slice(-Math.min(most, recipe.history)).map((one) => queries.part(which, one)));
      return each((one) => counted.get(queries.part(which, one)) ?? 0);
    };
    const found = {
      "popularity": each((one) => this.popularity[one] ?? 0),
      "group popularity": each((one) => (this.group < 0 ? 0 : this.others.group.get(this.group * PAIR + one) ?? 0)),
      "length": each((one) => queries.length[one]),
      "typed share": each((one) => typed / queries.length[one]),
      "own count": recent("query", recipe.history),
      "own recency": each((one) => (lately.includes(one) ? 1 / (lately.length - lately.lastIndexOf(one)) : 0)),
      "own first word": recent("word", recipe.history),
      "equals previous": each((one) => Number(one === previous)),
    };
    for (const most of recipe.lately) found[`own count of ${most}`] = recent("query", most);
    for (const step of recipe.steps) this.follow(step, pool, lately, found);
    for (const [name, counted] of [["popularity"], ["own count"], ["follows", "follows previous"],
      ["own follows", "own follows previous"]]) found[`share of ${name}`] = shares(found[counted ?? name]);
    if (this.topics.length) {
      const topics = tally(lately.map((one) => queries.topic[one]));
      const size = Math.max(lately.length, 1);
      const now = previous === undefined ? -1 : queries.topic[previous];
      found["own topic share"] = each((one) => (queries.topic[one] < 0 ? 0 : (topics.get(queries.topic[one]) ?? 0) / size));
      found["session topic"] = each((one) => Number(now >= 0 && queries.topic[one] === now));
      this.topics.forEach((name, topic) => (found[name] = each((one) => Number(queries.topic[one] === topic))));
    }
    return found;
  }

  // How often others, and how often the user, took a step from what came before.
  follow({ name, given, back, then }, pool, lately, found) {
    const { queries, events } = this;
    const before = events.length >= back ? queries.part(given, events.at(-back)) : -1;
    const mine = new Map();
    for (let at = back; at < lately.length; at++) {
      if (queries.part(given, lately[at - back]) !== before) continue;
      const next = queries.part(then, lately[at]);
      mine.set(next, (mine.get(next) ?? 0) + 1);
    }
    const counted = (one) => this.others[name].get(before * PAIR + queries.part(then, one)) ?? 0;
    found[name] = pool.map((one) => (before < 0 ? 0 : counted(one)));
    found[`own ${name}`] = pool.map((one) => (before < 0 ? 0 : mine.get(queries.part(then, one)) ?? 0));
  }
}

// What is left of public counts once the user has taken off their own; a number for each pair.
function left(table, off) {
  const counts = new Map(table.first.map((one, at) => [one * PAIR + table.second[at], table.count[at]]));
  off.first.forEach((one, at) => {
    const pair = one * PAIR + off.second[at];
    counts.set(pair, Math.max(0, (counts.get(pair) ?? 0) - off.count[at]));
  });
  return counts;
}

function tally(values) {
  const counts = new Map();
  for (const one of values) counts.set(one, (counts.get(one) ?? 0) + 1);
  return counts;
}

function shares(counts) {
  const total = counts.reduce((sum, one) => sum + one, 0);
  return counts.map((one) => (total > 0 ? one / total : 0));
}

// Dense layers with ReLU between them, perhaps behind a character CNN.
class Network {
  constructor({ layers, characters, parts }, view) {
    this.layers = layers;
    this.characters = characters;
    this.part = {};
    let at = 0;
    for (const { name, shape } of parts) {
      const values = new Float64Array(shape.reduce((size, one) => size * one, 1));
      for (let i = 0; i < values.length; i++, at += 4) values[i] = view.getFloat32(at, true);
      this.part[name] = { values, shape };
    }
  }

  // Of candidates with these rows of features and these texts.
  scores(rows, texts, typed) {
    let inputs = rows;
    if (this.characters) inputs = rows.map((row, at) => [...row, ...this.read(texts[at], typed)]);
    for (let layer = 0; layer < this.layers; layer++) inputs = inputs.map((row) => this.dense(layer, row));
    return inputs.map(([score]) => score);
  }

  dense(layer, row) {
    const { values, shape: [, outputs] } = this.part[`dense${layer}.weight`];
    const sums = Float64Array.from(this.part[`dense${layer}.bias`].values);
    for (let i = 0; i < row.length; i++) {
      if (row[i] === 0) continue;
      for (let o = 0; o < outputs; o++) sums[o] += row[i] * values[i * outputs + o];
    }
    return layer + 1 < this.layers ? sums.map((one) => Math.max(0, one)) : sums;
  }

  // The strongest response of each filter to a text of which so many characters have been typed.
  read(text, typed) {
    const { length, embedding, width, filters } = this.characters;
    const codes = Array.from(text.toLowerCase()).slice(0, length).map((one) => {
      const code = one.codePointAt(0) - 31;
      return code >= 1 && code <= 95 ? code : 96;
    });
    const table = this.part["embedding"].values, weight = this.part["convolution.weight"].values;
    const bias = this.part["convolution.bias"].values, best = new Float64Array(filters);
    for (let begin = 0; begin + width <= length; begin++) {
      const sums = Float64Array.from(bias);
      for (let channel = 0; channel <= embedding; channel++) {
        for (let w = 0; w < width; w++) {
          const at = begin + w;
          const value = channel < embedding ? table[(codes[at] ?? 0) * embedding + channel] : Number(typed > at);
          if (value === 0) continue;
          const row = (channel * width + w) * filters;
          for (let f = 0; f < filters; f++) sums[f] += value * weight[row + f];
        }
      }
      for (let f = 0; f < filters; f++) best[f] = Math.max(best[f], sums[f]);
    }
    return best;
  }
}
