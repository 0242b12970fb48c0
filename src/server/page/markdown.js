// Markdown as DOM nodes. What a model writes never becomes markup of its own: all text is set as text.

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

export function copyButton(textOf) {
  const button = element("button", { type: "button", class: "plain" }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(textOf());
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  return button;
}

const INLINE = [
  [/^(`+)([^`]|[^`][\s\S]*?[^`])\1(?!`)/, (match) => element("code", {}, match[2].trim() || match[2])],
  [/^\*\*(?=\S)([\s\S]*?\S)\*\*/, (match) => element("strong", {}, ...inline(match[1]))],
  [/^__(?=\S)([\s\S]*?\S)__(?!\w)/, (match) => element("strong", {}, ...inline(match[1]))],
  [/^\*(?=[^\s*])([^*]*[^\s*])\*(?!\*)/, (match) => element("em", {}, ...inline(match[1]))],
  [/^_(?=[^\s_])([^_]*[^\s_])_(?!\w)/, (match) => element("em", {}, ...inline(match[1]))],
  [/^~~(?=\S)([\s\S]+?)~~/, (match) => element("s", {}, ...inline(match[1]))],
  [/^\[([^\]\n]+)\]\((https?:\/\/[^\s)]+)\)/, (match) => link(match[2], ...inline(match[1]))],
  [/^https?:\/\/[^\s<>)]+[^\s<>).,;:!?]/, (match) => link(match[0], match[0])],
  [/^\\([\\`*_{}[\]()#+\-.!|~>])/, (match) => match[1]],
];

function link(address, ...children) {
  return element("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, ...children);
}

function inline(text) {
  const nodes = [];
  let plain = "";
  const flush = () => {
    if (plain) nodes.push(plain);
    plain = "";
  };
  while (text) {
    const afterWord = /\w$/.test(plain);
    let taken = null;
    for (const [pattern, make] of INLINE) {
      if (afterWord && text[0] === "_") break;  // snake_case is no emphasis
      const match = pattern.exec(text);
      if (!match) continue;
      const node = make(match);
      if (typeof node === "string") {
        plain += node;
      } else {
        flush();
        nodes.push(node);
      }
      taken = match[0].length;
      break;
    }
    if (taken === null) {
      const next = text.slice(1).search(/[`*_~[\\]|https?:/);
      taken = next < 0 ? text.length : next + 1;
      plain += text.slice(0, taken);
    }
    text = text.slice(taken);
  }
  flush();
  return nodes;
}

function codeBlock(language, lines) {
  const text = lines.join("\n");
  const bar = element("div", { class: "bar" }, element("span", {}, language || "text"), element("span", { class: "space" }), copyButton(() => text));
  return element("div", { class: "code" }, bar, element("pre", { tabindex: "0" }, element("code", {}, text)));
}

const cells = (line) => line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim().replace(/\\\|/g, "|"));
const isTableRule = (line) => line !== undefined && line.includes("-") && /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/.test(line);

function table(rows) {
  const row = (line, name) => element("tr", {}, ...cells(line).map((cell) => element(name, {}, ...inline(cell))));
  const body = rows.slice(1).map((line) => row(line, "td"));
  const copied = rows.map((line) => cells(line).join("\t")).join("\n");
  return element("div", { class: "table" },
    element("table", {}, element("thead", {}, row(rows[0], "th")), element("tbody", {}, ...body)), copyButton(() => copied));
}

const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;

// The list that begins at lines[start], with what is indented below its items.
function list(lines, start) {
  const [, indent, marker] = ITEM.exec(lines[start]);
  const ordered = /\d/.test(marker);
  const node = element(ordered ? "ol" : "ul", ordered && parseInt(marker, 10) !== 1 ? { start: parseInt(marker, 10) } : {});
  let at = start;
  while (at < lines.length) {
    const match = ITEM.exec(lines[at]);
    if (!match || match[1].length !== indent.length || /\d/.test(match[2]) !== ordered) break;
    const inner = [match[3]];
    for (at += 1; at < lines.length; at += 1) {
      const deeper = lines[at].search(/\S/) > indent.length;
      const blankInside = !lines[at].trim() && at + 1 < lines.length && lines[at + 1].search(/\S/) > indent.length;
      if (!deeper && !blankInside) break;
      inner.push(lines[at].slice(Math.min(indent.length + 2, Math.max(0, lines[at].search(/\S/)))));
    }
    const blocks = render(inner.join("\n"));
    const only = blocks.length === 1 && blocks[0].nodeName === "P";
    node.append(element("li", {}, ...(only ? blocks[0].childNodes : blocks)));
    while (at < lines.length && !lines[at].trim() && ITEM.test(lines[at + 1] ?? "")) at += 1;
  }
  return [node, at];
}

const BEGINS_BLOCK = /^\s*(```|~~~|#{1,6}\s|>|([-*_])(\s*\2){2,}\s*$)/;

/** The blocks of a text, as an array of nodes. */
export function render(text) {
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    const fence = /^\s*(```+|~~~+)\s*([\w+#.-]*)/.exec(line);
    const heading = /^\s*(#{1,6})\s+(.*?)\s*#*\s*$/.exec(line);
    if (!line.trim()) {
      at += 1;
    } else if (fence) {
      let end = at + 1;
      while (end < lines.length && !lines[end].trim().startsWith(fence[1])) end += 1;
      blocks.push(codeBlock(fence[2], lines.slice(at + 1, end)));
      at = end + 1;
    } else if (heading) {
      blocks.push(element(`h${Math.min(6, heading[1].length + 2)}`, {}, ...inline(heading[2])));
      at += 1;
    } else if (/^\s*([-*_])(\s*\1){2,}\s*$/.test(line)) {
      blocks.push(element("hr"));
      at += 1;
    } else if (/^\s*>/.test(line)) {
      let end = at;
      while (end < lines.length && /^\s*>/.test(lines[end])) end += 1;
      blocks.push(element("blockquote", {}, ...render(lines.slice(at, end).map((quoted) => quoted.replace(/^\s*>\s?/, "")).join("\n"))));
      at = end;
    } else if (line.includes("|") && isTableRule(lines[at + 1])) {
      let end = at + 2;
      while (end < lines.length && lines[end].includes("|") && lines[end].trim()) end += 1;
      blocks.push(table([line, ...lines.slice(at + 2, end)]));
      at = end;
    } else if (ITEM.test(line)) {
      const [node, end] = list(lines, at);
      blocks.push(node);
      at = end;
    } else {
      let end = at + 1;
      while (end < lines.length && lines[end].trim() && !BEGINS_BLOCK.test(lines[end]) && !ITEM.test(lines[end]) && !isTableRule(lines[end + 1])) end += 1;
      blocks.push(element("p", {}, ...inline(lines.slice(at, end).map((part) => part.trim()).join("\n"))));
      at = end;
    }
  }
  return blocks;
}
