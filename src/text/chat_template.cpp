#include "text/chat_template.h"

#include "text/chat_dialogue.h"

namespace mixtral {
namespace {

constexpr std::string_view kChoices = "mistral, chatml or llama-2";

struct FormatName {
  ChatFormat format;
  std::string_view name;
};
constexpr FormatName kFormatNames[] = {{ChatFormat::kMistral, "mistral"},
                                       {ChatFormat::kChatMl, "chatml"},
                                       {ChatFormat::kLlama2, "llama-2"}};

/// A prompt under construction: texts, always encoded as text, between control tokens.
class Prompt {
 public:
  explicit Prompt(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void add_text(std::string_view text) { segment_ += text; }
  void add_control(int32_t id) {
    end_segment();
    ids_.push_back(id);
    text_ += tokenizer_.piece(id);
  }
  /// Encodes what was added since the last control token or segment; each has its own space prefix.
  void end_segment() {
    const std::vector<int32_t> ids = tokenizer_.encode(segment_, SpecialText::kAsText);
    ids_.insert(ids_.end(), ids.begin(), ids.end());
    text_ += segment_;
    segment_.clear();
  }
  RenderedChat finish(bool strip_leading_space) {
    end_segment();
    return {std::move(text_), std::move(ids_), strip_leading_space};
  }

 private:
  const Tokenizer& tokenizer_;
  std::string segment_, text_;
  std::vector<int32_t> ids_;
};

Result<int32_t> control_id(const Tokenizer& tokenizer, std::string_view name, ChatFormat format) {
  const auto id = tokenizer.find_piece(name);
  if (id && tokenizer.is_control(*id)) return *id;
  return fail(ErrorCode::kUnsupported,
              "chat template {}: the vocabulary has no control token {}; choose with "
              "--chat-template {}",
              chat_format_name(format), name, kChoices);
}

struct SequenceIds {
  int32_t bos, eos;
};
Result<SequenceIds> sequence_ids(const Tokenizer& tokenizer, ChatFormat format) {
  if (tokenizer.bos_id() && tokenizer.eos_id())
    return SequenceIds{*tokenizer.bos_id(), *tokenizer.eos_id()};
  return fail(
      ErrorCode::kUnsupported,
      "chat template {}: the vocabulary names no BOS or EOS; choose with --chat-template {}",
      chat_format_name(format), kChoices);
}

/// The algorithm of mistral-common. Its first tokenizer writes the markers as text; later ones
/// have control tokens for them, put the system text before the last user's turn and cut spaces off
/// the end of answers.
Result<RenderedChat> render_mistral(const Tokenizer& tokenizer,
                                    std::span<const ChatMessage> messages) {
  MIXTRAL_TRY(const SequenceIds sequence, sequence_ids(tokenizer, ChatFormat::kMistral));
  const auto begin = tokenizer.find_piece("[INST]");
  const auto end = tokenizer.find_piece("[/INST]");
  const bool marker_ids =
      begin && end && tokenizer.is_control(*begin) && tokenizer.is_control(*end);

  Dialogue dialogue = arrange_dialogue(messages);
  size_t system_turn = 0;
  for (size_t i = 0; marker_ids && i < dialogue.turns.size(); ++i) {
    if (dialogue.turns[i].role == "user") system_turn = i;
  }
  if (!dialogue.system.empty()) {
    std::string& content = dialogue.turns[system_turn].content;
    content = dialogue.system + "\n\n" + content;
  }

  Prompt prompt(tokenizer);
  prompt.add_control(sequence.bos);
  for (const ChatMessage& turn : dialogue.turns) {
    if (turn.role == "assistant") {
      std::string_view answer = turn.content;
      while (marker_ids && answer.ends_with(' ')) answer.remove_suffix(1);
      prompt.add_text(answer);
      if (!turn.prefix) prompt.add_control(sequence.eos);
    } else if (marker_ids) {
      prompt.add_control(*begin);
      prompt.add_text(turn.content);
      prompt.add_control(*end);
    } else {
      prompt.add_text("[INST] ");
      prompt.add_text(turn.content);
      prompt.add_text(" [/INST]");
    }
    prompt.end_segment();
  }
  RenderedChat chat = prompt.finish(!dialogue.turns.back().prefix);
  chat.text.clear();
  for (const int32_t id : chat.ids) chat.text += tokenizer.piece(id);
  return chat;
}

/// The template of Llama 2's chat models: contents stripped of white space, a whole exchange in one
/// segment.
Result<RenderedChat> render_llama2(const Tokenizer& tokenizer,
                                   std::span<const ChatMessage> messages) {
  MIXTRAL_TRY(const SequenceIds sequence, sequence_ids(tokenizer, ChatFormat::kLlama2));
  Dialogue dialogue = arrange_dialogue(messages);
  if (!dialogue.system.empty()) {
    std::string& content = dialogue.turns.front().content;
    content = "<<SYS>>\n" + dialogue.system + "\n<</SYS>>\n\n" + content;
  }
  Prompt prompt(tokenizer);
  for (const ChatMessage& turn : dialogue.turns) {
    const std::string_view content = turn.prefix ? turn.content : strip_white_space(turn.content);
    if (turn.role == "user") {
      prompt.add_control(sequence.bos);
      prompt.add_text(fmt::format("[INST] {} [/INST]", content));
    } else {
      prompt.add_text(fmt::format(" {}", content));
      if (turn.prefix) continue;
      prompt.add_text(" ");
      prompt.add_control(sequence.eos);
    }
  }
  return prompt.finish(!dialogue.turns.back().prefix);
}

Result<RenderedChat> render_chatml(const Tokenizer& tokenizer,
                                   std::span<const ChatMessage> messages,
                                   const std::optional<std::string>& default_system) {
  MIXTRAL_TRY(const int32_t start, control_id(tokenizer, "<|im_start|>", ChatFormat::kChatMl));
  MIXTRAL_TRY(const int32_t end, control_id(tokenizer, "<|im_end|>", ChatFormat::kChatMl));
  Prompt prompt(tokenizer);
  if (tokenizer.adds_bos()) prompt.add_control(*tokenizer.bos_id());
  const auto add_message = [&](std::string_view role, std::string_view content, bool open) {
    prompt.add_control(start);
    prompt.add_text(fmt::format("{}\n{}", role, content));
    if (open) return;
    prompt.add_control(end);
    prompt.add_text("\n");
  };
  if (default_system && messages.front().role != "system")
    add_message("system", *default_system, false);
  for (const ChatMessage& message : messages)
    add_message(message.role, message.content, message.prefix);
  if (!messages.back().prefix) add_message("assistant", "", true);
  return prompt.finish(false);
}

/// Mistral's first vocabulary, of Mistral 7B and Mixtral 8x7B: its size and a few pieces by id.
bool is_first_mistral_vocabulary(const Tokenizer& tokenizer) {
  return tokenizer.vocab_size() == 32000 && tokenizer.piece(733) == "▁[" &&
         tokenizer.piece(16289) == "INST" && tokenizer.piece(28705) == "▁";
}

}  // namespace

std::string_view chat_format_name(ChatFormat format) {
  for (const FormatName& known : kFormatNames) {
    if (known.format == format) return known.name;
  }
  return "unknown";
}

std::vector<std::string_view> chat_format_names() {
  std::vector<std::string_view> names;
  for (const FormatName& known : kFormatNames) names.push_back(known.name);
  return names;
}

Result<ChatFormat> chat_format_from_name(std::string_view name) {
  for (const FormatName& known : kFormatNames) {
    if (known.name == name) return known.format;
  }
  return fail(ErrorCode::kBadInput, "chat template \"{}\", expected {}", name, kChoices);
}

Result<ChatFormat> detect_chat_format(const Tokenizer& tokenizer) {
  const std::string_view source = tokenizer.chat_template_source();
  const auto has = [&](std::string_view marker) {
    return source.find(marker) != std::string_view::npos;
  };
  if (has("[INST]")) return has("<<SYS>>") ? ChatFormat::kLlama2 : ChatFormat::kMistral;
  if (has("<|im_start|>")) return ChatFormat::kChatMl;
  if (source.empty() && !tokenizer.has_settings() && is_first_mistral_vocabulary(tokenizer))
    return ChatFormat::kMistral;
  return fail(ErrorCode::kUnsupported, "{}; choose one with --chat-template {}",
              source.empty() ? "the model has no chat template"
                             : "the model's chat template is of an unknown kind",
              kChoices);
}

ChatTemplate::ChatTemplate(ChatFormat format, const Tokenizer& tokenizer)
    : format_(format), tokenizer_(&tokenizer) {
  if (format != ChatFormat::kChatMl) return;
  std::string system = literal_system_turn(tokenizer.chat_template_source());
  if (!system.empty()) default_system_ = std::move(system);
}

Result<RenderedChat> ChatTemplate::render(std::span<const ChatMessage> messages) const {
  MIXTRAL_TRY(check_dialogue(messages, format_ == ChatFormat::kChatMl));
  switch (format_) {
    case ChatFormat::kMistral: return render_mistral(*tokenizer_, messages);
    case ChatFormat::kLlama2: return render_llama2(*tokenizer_, messages);
    case ChatFormat::kChatMl: break;
  }
  return render_chatml(*tokenizer_, messages, default_system_);
}

}  // namespace mixtral
