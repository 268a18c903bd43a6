// The search: a combobox of all counters, the map's equal. Any words of a name or id find it, accents or not.

import { byId, html } from "./elements.js";
import { markBeside } from "./marks.js";
import { inWhole, shortCountOf, stateOf } from "./words.js";

const LIGATURES = { œ: "oe", æ: "ae", ß: "ss", ø: "o", ł: "l", đ: "d" };
const NONE = "No counter has these words in its name.";

export function plain(text) {
  const bare = text.toLowerCase().normalize("NFKD").replace(/\p{M}/gu, "");
  return bare.replace(/[œæßøłđ]/g, (letter) => LIGATURES[letter]).replace(/[^\p{L}\p{N}]+/gu, " ").trim();
}

/** Counters that have every word, those that have them one after the other first. */
export function matching(counters, searched) {
  const phrase = plain(searched);
  const words = phrase.split(" ");
  const texts = counters.map((counter) => plain(`${counter.counter_name} ${counter.counter_id}`));
  const found = counters.map((_, index) => index).filter((index) => words.every((word) => texts[index].includes(word)));
  const apart = (index) => Number(!texts[index].includes(phrase));
  return found.sort((a, b) => apart(a) - apart(b) || a - b).map((index) => counters[index]);
}

export class Search {
  #input = byId("search");
  #list = byId("options");
  #found = byId("found");
  #choose;
  #counters = [];
  #shown = [];
  #chosen = null;
  #active = -1;

  /** `choose` is called with the id of a counter. */
  constructor(choose) {
    this.#choose = choose;
    this.#input.addEventListener("input", () => this.#open(this.#input.value));
    this.#input.addEventListener("click", () => this.#browse());
    this.#input.addEventListener("focus", () => this.#input.select());
    this.#input.addEventListener("blur", () => this.#close());
    this.#input.addEventListener("keydown", (event) => this.#press(event));
    this.#list.addEventListener("pointerdown", (event) => event.preventDefault());
    this.#list.addEventListener("mousedown", (event) => event.preventDefault());
    this.#list.addEventListener("click", (event) => {
      const counter = this.#shown[[...this.#list.children].indexOf(event.target.closest("[role=option]"))];
      if (counter) this.#pick(counter);
      if (matchMedia("(pointer: coarse)").matches) this.#input.blur();
    });
  }

  show(counters) {
    this.#counters = counters;
    if (this.#list.hidden) this.#close();
  }

  mark(chosen) {
    this.#chosen = chosen;
    if (this.#list.hidden) this.#close();
  }

  #name() {
    return this.#counters.find((counter) => counter.counter_id === this.#chosen)?.counter_name ?? "";
  }

  #browse() {
    if (!this.#list.hidden) return;
    this.#input.select();
    this.#open("");
  }

  #open(searched) {
    this.#shown = matching(this.#counters, searched);
    const options = this.#shown.map((counter, index) => this.#option(counter, index));
    const none = html("li", { role: "option", "aria-disabled": "true" }, NONE);
    this.#list.replaceChildren(...(options.length ? options : [none]));
    this.#list.hidden = false;
    this.#input.setAttribute("aria-expanded", "true");
    const number = options.length;
    this.#found.textContent = number ? `${inWhole(number)} ${number === 1 ? "counter" : "counters"}` : NONE;
    const chosen = this.#shown.findIndex((counter) => counter.counter_id === this.#chosen);
    this.#activate(searched && number ? 0 : chosen);
  }

  #close() {
    this.#list.hidden = true;
    this.#list.replaceChildren();
    this.#input.setAttribute("aria-expanded", "false");
    this.#input.removeAttribute("aria-activedescendant");
    this.#input.value = this.#name();
    this.#found.textContent = "";
  }

  #option(counter, index) {
    return html(
      "li",
      { role: "option", id: `option-${index}`, "aria-selected": String(counter.counter_id === this.#chosen) },
      markBeside(counter.state),
      html("span", { class: "option-name" }, counter.counter_name),
      html("span", { class: "unseen" }, `, ${stateOf(counter)}, `),
      html("span", { class: "option-count" }, counter.state === "active" ? shortCountOf(counter) : counter.state),
    );
  }

  #activate(index) {
    this.#list.querySelector(".at")?.classList.remove("at");
    this.#active = index;
    const option = this.#shown.length ? this.#list.children[index] : null;
    if (!option) return this.#input.removeAttribute("aria-activedescendant");
    option.classList.add("at");
    const [above, below] = [option.offsetTop, option.offsetTop + option.offsetHeight - this.#list.clientHeight];
    this.#list.scrollTop = Math.max(Math.min(this.#list.scrollTop, above), below);
    this.#input.setAttribute("aria-activedescendant", option.id);
  }

  #pick(counter) {
    this.#chosen = counter.counter_id;
    this.#close();
    this.#choose(counter.counter_id);
  }

  #press(event) {
    const last = this.#shown.length - 1;
    const [down, up] = [this.#active < last ? this.#active + 1 : 0, this.#active > 0 ? this.#active - 1 : last];
    const steps = { ArrowDown: down, ArrowUp: up };
    if (event.key in steps) {
      if (this.#list.hidden) this.#browse();
      else this.#activate(steps[event.key]);
      event.preventDefault();
    } else if (event.key === "Enter" && !this.#list.hidden && this.#shown[this.#active]) {
      this.#pick(this.#shown[this.#active]);
      event.preventDefault();
    } else if (event.key === "Escape" && !this.#list.hidden) {
      this.#close();
      event.preventDefault();
    }
  }
}
