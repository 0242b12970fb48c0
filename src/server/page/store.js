// Conversations and settings, kept in this browser and nowhere else.

const DEFAULTS = { system: "", temperature: 0.7, top_p: 1, min_p: 0.05, top_k: 0, repetition_penalty: 1, max_tokens: "", seed: "", adapter: "", key: "" };

function read(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(`mixtral.${name}`)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function write(name, value) {
  try {
    localStorage.setItem(`mixtral.${name}`, JSON.stringify(value));
  } catch {
    // A full or forbidden store: the page goes on without.
  }
}

export const settings = { ...DEFAULTS, ...read("settings", {}) };

export function saveSettings() {
  write("settings", settings);
}

export function resetSettings() {
  Object.assign(settings, DEFAULTS, { key: settings.key });
  saveSettings();
}

const conversations = read("conversations", []);

export const allConversations = () => conversations;

export function newConversation() {
  // One that is still empty will do.
  const empty = conversations.find((conversation) => conversation.messages.length === 0);
  if (empty) return empty;
  const conversation = { id: crypto.randomUUID?.() ?? String(Math.random()), title: "New conversation", messages: [] };
  conversations.unshift(conversation);
  return conversation;
}

export function removeConversation(conversation) {
  conversations.splice(conversations.indexOf(conversation), 1);
  saveConversations();
}

export function saveConversations() {
  const kept = conversations.filter((conversation) => conversation.messages.length > 0);
  write("conversations", kept.map(({ id, title, messages }) => ({
    id, title, messages: messages.map(({ role, content, figures, answerId }) => ({ role, content, figures, answerId })),
  })));
}

export const theme = () => read("theme", matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");

export function showTheme(name) {
  document.documentElement.dataset.theme = name;
}

export function saveTheme(name) {
  write("theme", name);
  showTheme(name);
}
