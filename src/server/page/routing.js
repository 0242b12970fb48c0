// The view of which experts answered: tokens by colour, the load of each expert, weights on hover.

const $ = (id) => document.getElementById(id);
const N_COLOURS = 8;
const percent = (share) => `${Math.round(share * 100)} %`;

let shown = null;   // the routing of one answer, as the server gave it
let chosen = -1;    // the token that the detail is about

export const isOpen = () => !$("routing").hidden;

export function show(routing) {
  shown = routing;
  chosen = -1;
  const layer = $("layer");
  layer.max = routing.n_layers - 1;
  if (Number(layer.value) > Number(layer.max)) layer.value = 0;
  $("routing").hidden = false;
  draw();
}

export function hide() {
  $("routing").hidden = true;
  shown = null;
}

const tokens = () => shown.choices[0].tokens;
const layerNow = () => Number($("layer").value);

function draw() {
  $("layer-number").value = `${layerNow()} of ${shown.n_layers}`;
  $("routed-tokens").replaceChildren(...tokens().map((token, index) => {
    const span = document.createElement("span");
    span.textContent = token.token;
    if (token.expert_ids) span.className = `expert-${token.expert_ids[layerNow()][0] % N_COLOURS}`;
    span.title = detail(token);
    span.addEventListener("mouseenter", () => choose(index));
    return span;
  }));
  choose(chosen);
  drawLoad();
}

function detail(token) {
  if (!token.expert_ids) return "The last token: no expert has read it.";
  const parts = token.expert_ids[layerNow()].map((expert, i) => `expert ${expert} ${percent(token.probs[layerNow()][i])}`);
  return `${JSON.stringify(token.token)}: ${parts.join(", ")}`;
}

function choose(index) {
  const spans = $("routed-tokens").children;
  if (spans[chosen]) spans[chosen].classList.remove("chosen");
  chosen = index;
  if (!spans[index]) {
    $("token-detail").textContent = "Point at a token, or go through them with the arrow keys.";
    return;
  }
  spans[index].classList.add("chosen");
  $("token-detail").textContent = detail(tokens()[index]);
}

function drawLoad() {
  const counts = new Array(shown.n_experts).fill(0);
  let total = 0;
  for (const token of tokens()) {
    for (const expert of token.expert_ids?.[layerNow()] ?? []) {
      counts[expert] += 1;
      total += 1;
    }
  }
  const largest = Math.max(1, ...counts);
  $("load").replaceChildren(...counts.map((count, expert) => {
    const item = document.createElement("li");
    const name = document.createElement("span");
    name.textContent = `Expert ${expert}`;
    const bar = document.createElement("span");
    bar.className = `bar expert-${expert % N_COLOURS}`;
    bar.style.width = `${(100 * count) / largest}%`;
    const share = document.createElement("span");
    share.className = "share";
    share.textContent = percent(total ? count / total : 0);
    item.append(name, bar, share);
    return item;
  }));
}

$("layer").addEventListener("input", () => shown && draw());
$("close-routing").addEventListener("click", hide);
$("routed-tokens").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step || !shown) return;
  event.preventDefault();
  choose(Math.min(tokens().length - 1, Math.max(0, chosen + step)));
  $("routed-tokens").children[chosen].scrollIntoView({ block: "nearest" });
});
