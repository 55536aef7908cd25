// Spans for tokens, and one card with the alternatives of the token under the pointer (or reached with arrow keys).
// Everything from the model is set as textContent. A text that grows is only added to.

const states = new WeakMap();

export default function (component) {
  const { data, parentElement } = component;
  const text = parentElement.querySelector(".text");
  const card = parentElement.querySelector(".card");
  let state = states.get(parentElement);
  if (!state) {
    state = { tokens: [], at: -1 };
    states.set(parentElement, state);
  }
  if (data.tokens.length < text.childElementCount) text.replaceChildren();
  for (const [place, token] of data.tokens.entries()) {
    const known = text.children[place];
    if (known && state.tokens[place] && state.tokens[place][0] === token[0]) continue;
    const span = tokenSpan(token, place);
    if (known) known.replaceWith(span);
    else text.append(span);
  }
  state.tokens = data.tokens;
  text.classList.toggle("live", data.live);
  text.dataset.count = String(data.tokens.length);

  const show = (place) => {
    text.children[state.at]?.classList.remove("on");
    state.at = place;
    const span = text.children[place];
    if (!span) {
      if (card.matches(":popover-open")) card.hidePopover();
      return;
    }
    fill(card, state.tokens[place]);
    if (!card.matches(":popover-open")) card.showPopover();
    placeCard(card, span);
  };
  text.onpointerover = (event) => {
    const span = event.target.closest(".token");
    if (span) show(Number(span.dataset.place));
  };
  text.onpointerleave = () => show(-1);
  text.onblur = () => show(-1);
  text.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") show(-1);
    if (!step) return;
    event.preventDefault();
    show(Math.min(Math.max(state.at + step, 0), state.tokens.length - 1));
    text.children[state.at]?.classList.add("on");
  };
  return () => states.delete(parentElement);
}

function tokenSpan([words, probability, , end], place) {
  const span = document.createElement("span");
  span.className = end ? "token end" : "token";
  span.dataset.place = String(place);
  span.textContent = words;
  if (probability !== null) span.style.setProperty("--bits", String(-Math.log2(Math.max(probability, 1e-9))));
  else span.style.setProperty("--bits", "0");
  return span;
}

function fill(card, [words, probability, alternatives]) {
  card.replaceChildren();
  const head = document.createElement("p");
  head.textContent =
    probability === null
      ? "no probability"
      : `${percent(probability)} for this token · ${surprise(probability)} bits of surprise`;
  card.append(head);
  const isListed = alternatives.some(([other]) => other === words);
  const rows = isListed || probability === null ? alternatives : [...alternatives, [words, probability]];
  let isMarked = false;
  for (const [other, chance] of rows) {
    const isChosen = !isMarked && other === words;
    isMarked ||= isChosen;
    card.append(row(other, chance, isChosen));
  }
}

function row(words, chance, isChosen) {
  const line = document.createElement("div");
  line.className = isChosen ? "row chosen" : "row";
  const name = document.createElement("code");
  name.textContent = visible(words);
  const bar = document.createElement("span");
  bar.className = "bar";
  const filled = document.createElement("b");
  filled.style.width = `${100 * (chance ?? 0)}%`;
  bar.append(filled);
  const number = document.createElement("span");
  number.className = "number";
  number.textContent = percent(chance);
  line.append(name, bar, number);
  return line;
}

function visible(words) {
  if (words === "") return "(nothing)";
  return words.replaceAll(" ", "·").replaceAll("\n", "↵").replaceAll("\t", "⇥");
}

const percent = (chance) => (chance === null ? "–" : `${(100 * chance).toFixed(chance < 0.0995 ? 2 : 1)} %`);

const surprise = (probability) => Math.abs(Math.log2(Math.max(probability, 1e-9))).toFixed(1);

function placeCard(card, span) {
  const lines = span.getClientRects();
  const line = lines[lines.length - 1] ?? span.getBoundingClientRect();
  const { width, height } = card.getBoundingClientRect();
  const left = Math.min(Math.max(line.left, 8), window.innerWidth - width - 8);
  const isRoomBelow = line.bottom + height + 12 < window.innerHeight;
  card.style.left = `${left}px`;
  card.style.top = `${isRoomBelow ? line.bottom + 6 : Math.max(line.top - height - 6, 8)}px`;
}
