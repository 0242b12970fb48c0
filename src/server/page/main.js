// The chat: conversations, messages, answers as they come.

import * as api from "./api.js";
import { copyButton, render } from "./markdown.js";
import * as routing from "./routing.js";
import { allConversations, newConversation, removeConversation, resetSettings, saveConversations, saveSettings, saveTheme, settings, showTheme, theme } from "./store.js";

const $ = (id) => document.getElementById(id);

let current = null;      // the conversation on the screen
let answering = null;    // { conversation, message, controller } while an answer comes
let hasExperts = false;
let followsEnd = true;   // the view stays at the end unless the reader has scrolled up

function button(label, action) {
  const node = document.createElement("button");
  node.type = "button";
  node.className = "plain";
  node.textContent = label;
  node.addEventListener("click", action);
  return node;
}

function open(conversation) {
  current = conversation;
  $("sidebar").classList.remove("open");
  routing.hide();
  followsEnd = true;
  drawConversations();
  drawMessages();
  $("question").focus();
}

function drawConversations() {
  $("conversations").replaceChildren(...allConversations().map((conversation) => {
    const item = document.createElement("li");
    const isCurrent = conversation === current;
    item.className = isCurrent ? "current" : "";
    const title = button(conversation.title, () => open(conversation));
    title.classList.add("open");
    if (isCurrent) title.setAttribute("aria-current", "true");
    const remove = button("✕", () => {
      if (answering?.conversation === conversation) stop();
      removeConversation(conversation);
      if (isCurrent) open(allConversations()[0] ?? newConversation());
      else drawConversations();
    });
    remove.setAttribute("aria-label", `Delete ${conversation.title}`);
    item.append(title, remove);
    return item;
  }));
}

function drawMessages() {
  const nodes = current.messages.map((message, index) => messageNode(message, index));
  if (nodes.length === 0) {
    const welcome = document.createElement("div");
    welcome.className = "welcome";
    const title = document.createElement("strong");
    title.textContent = "Ask something";
    welcome.append(title, "Enter sends, Shift+Enter begins a new line, Escape stops an answer.");
    nodes.push(welcome);
  }
  $("messages").replaceChildren(...nodes);
  scrollToEnd();
}

function messageNode(message, index) {
  const node = document.createElement("article");
  node.className = `message ${message.role}`;
  node.setAttribute("aria-label", message.role === "user" ? "You" : "Mixtral");
  const body = document.createElement("div");
  body.className = "body";
  const tools = document.createElement("div");
  tools.className = "tools";
  node.append(body, tools);
  message.node = node;
  drawBody(message);
  drawTools(message, index);
  return node;
}

function drawBody(message) {
  const body = message.node.querySelector(".body");
  if (message.role === "user") {
    body.textContent = message.content;
  } else {
    body.replaceChildren(...render(message.content || (answering?.message === message ? "…" : "")));
  }
}

function drawTools(message, index) {
  const tools = message.node.querySelector(".tools");
  tools.replaceChildren();
  if (answering?.message === message) return;
  tools.append(copyButton(() => message.content));
  if (message.role === "user") {
    tools.append(button("Edit", () => edit(message, index)));
    return;
  }
  tools.append(button("Retry", () => retry(index)));
  if (hasExperts && message.answerId) tools.append(button("Experts", () => showExperts(message)));
  const figures = document.createElement("span");
  figures.className = message.error ? "figures error" : "figures";
  figures.textContent = message.error ?? message.figures ?? "";
  tools.append(figures);
}

async function showExperts(message) {
  try {
    routing.show(await api.get(`v1/routing/${encodeURIComponent(message.answerId)}`));
  } catch (problem) {
    $("status").textContent = problem.message;
  }
}

function edit(message, index) {
  if (answering) return;
  const body = message.node.querySelector(".body");
  const editor = document.createElement("div");
  editor.className = "editor";
  const area = document.createElement("textarea");
  area.value = message.content;
  area.setAttribute("aria-label", "Your message");
  const row = document.createElement("div");
  row.className = "row";
  const send = () => {
    current.messages.length = index;
    drawMessages();
    ask(area.value);
  };
  row.append(button("Cancel", drawMessages), button("Send again", send));
  editor.append(area, row);
  body.replaceWith(editor);
  message.node.querySelector(".tools").replaceChildren();
  area.focus();
}

function retry(index) {
  if (answering) return;
  const question = current.messages[index - 1];
  current.messages.length = index - 1;
  drawMessages();
  ask(question.content);
}

function stop() {
  answering?.controller.abort();
}

function dialogue(conversation) {
  const messages = conversation.messages.filter(({ content }) => content).map(({ role, content }) => ({ role, content }));
  if (settings.system) messages.unshift({ role: "system", content: settings.system });
  return messages;
}

async function ask(text) {
  const question = text.trim();
  if (!question || answering) return;
  const conversation = current;
  if (conversation.messages.length === 0) conversation.title = question.slice(0, 60);
  conversation.messages.push({ role: "user", content: question });
  const messages = dialogue(conversation);
  const message = { role: "assistant", content: "" };
  conversation.messages.push(message);
  answering = { conversation, message, controller: new AbortController() };
  followsEnd = true;
  showAnswering(true);
  drawConversations();
  drawMessages();
  try {
    await receive(messages, message);
  } catch (problem) {
    if (problem.name !== "AbortError") message.error = problem.message;
    else message.figures = `stopped. ${message.figures ?? ""}`;
  }
  answering = null;
  showAnswering(false);
  saveConversations();
  if (conversation === current) drawMessages();
}

async function receive(messages, message) {
  const start = performance.now();
  let first = null, count = 0;
  for await (const event of api.chat(messages, hasExperts, answering.controller.signal)) {
    message.answerId = event.id;
    const text = event.choices[0]?.delta.content;
    if (text) {
      first ??= performance.now();
      count += 1;
      message.content += text;
      drawSoon(message);
    }
    const seconds = (performance.now() - (first ?? start)) / 1000;
    const speed = seconds > 0 ? (count - 1) / seconds : 0;
    if (event.usage) count = event.usage.completion_tokens;
    const wait = ((first ?? performance.now()) - start) / 1000;
    message.figures = `${count} tokens, ${speed.toFixed(1)} tokens/s, first after ${wait.toFixed(2)} s`;
    if (event.usage) message.figures += `, prompt ${event.usage.prompt_tokens} tokens`;
    $("status").textContent = message.figures;
  }
}

// Once a frame is enough, however fast tokens come.
function drawSoon(message) {
  if (message.waits) return;
  message.waits = true;
  requestAnimationFrame(() => {
    message.waits = false;
    if (!message.node?.isConnected) return;
    drawBody(message);
    scrollToEnd();
  });
}

function scrollToEnd() {
  if (followsEnd) $("messages").scrollTop = $("messages").scrollHeight;
}

function showAnswering(yes) {
  $("send").hidden = yes;
  $("stop").hidden = !yes;
  if (yes) $("stop").focus();
  else {
    $("status").textContent = "";
    $("question").focus();
  }
}

function growQuestion() {
  const question = $("question");
  question.style.height = "auto";
  question.style.height = `${question.scrollHeight + 2}px`;
}

function connectComposer() {
  $("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    if (answering) return;
    const text = $("question").value;
    $("question").value = "";
    growQuestion();
    ask(text);
  });
  $("question").addEventListener("input", growQuestion);
  $("question").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      $("composer").requestSubmit();
    }
  });
  $("stop").addEventListener("click", stop);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && answering && !$("settings").open) stop();
  });
  $("messages").addEventListener("scroll", () => {
    const { scrollTop, scrollHeight, clientHeight } = $("messages");
    followsEnd = scrollHeight - scrollTop - clientHeight < 60;
  });
}

function connectSettings() {
  const names = Object.keys(settings);
  const fill = () => { for (const name of names) $(name).value = settings[name]; };
  for (const name of names) {
    $(name).addEventListener("change", () => {
      settings[name] = $(name).value;
      saveSettings();
      if (name === "key" || name === "adapter") start();
    });
  }
  $("open-settings").addEventListener("click", () => {
    fill();
    $("settings").showModal();
  });
  $("reset-settings").addEventListener("click", () => {
    resetSettings();
    fill();
    start();
  });
}

function connectFrame() {
  $("new").addEventListener("click", () => open(newConversation()));
  $("toggle-list").addEventListener("click", () => {
    const isOpen = $("sidebar").classList.toggle("open");
    $("toggle-list").setAttribute("aria-expanded", String(isOpen));
  });
  $("theme").addEventListener("click", () => saveTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
}

// The model itself comes first, then it with each adapter.
function chosenModel(models) {
  const chosen = models.find((model) => model.id === settings.adapter) ?? models[0];
  settings.adapter = chosen === models[0] ? "" : chosen.id;
  $("adapter").replaceChildren(...models.map((model, i) => new Option(model.id, i === 0 ? "" : model.id)));
  $("adapter").value = settings.adapter;
  $("adapter-choice").hidden = models.length === 1;
  return chosen;
}

// What the server answers with; without a key it may not say.
async function start() {
  try {
    const model = chosenModel((await api.get("v1/models")).data);
    $("model").textContent = `${model.id} · ${model.description}`;
    hasExperts = model.meta.n_experts > 1;
    $("status").textContent = model.capabilities.completion_chat ? "" : "This model has no chat template: it cannot chat.";
    if (current) drawMessages();
  } catch (problem) {
    $("status").textContent = problem.message;
  }
}

showTheme(theme());
connectComposer();
connectSettings();
connectFrame();
open(allConversations()[0] ?? newConversation());
start();
