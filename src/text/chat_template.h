// Dialogues as token ids, in the three formats that models of this architecture were trained with.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "text/tokenizer.h"

namespace mixtral {

struct ChatMessage {
  std::string role;  ///< "system", "user" or "assistant"
  std::string content;
  bool prefix = false;  ///< an assistant's last message that the model is to continue
};

/// A prompt, ready for the model: BOS, where the format has one, and the opening of the answer
/// included.
struct RenderedChat {
  std::string text;  ///< what the ids stand for, control tokens by name; Mistral's in pieces ("▁")
  std::vector<int32_t> ids;
  bool strip_leading_space = false;  ///< the answer's first ▁ is not part of it
};

enum class ChatFormat {
  kMistral,  ///< "<s> [INST] … [/INST] …</s>", as mistral-common renders it
  kChatMl,   ///< "<|im_start|>user\n…<|im_end|>\n"
  kLlama2,   ///< "<s>[INST] <<SYS>>…<</SYS>>… [/INST] … </s>"
};

/// "mistral", "chatml" or "llama-2".
std::string_view chat_format_name(ChatFormat format);
/// All of them.
std::vector<std::string_view> chat_format_names();
/// The error for unknown names lists the choices.
Result<ChatFormat> chat_format_from_name(std::string_view name);

/// By what the checkpoint's template writes. Mistral's first vocabulary without any settings, as in
/// Mistral's own folders, means kMistral. Else an error that names the choices: a Hugging Face
/// folder or GGUF file without a template holds a model that was not trained on dialogues.
Result<ChatFormat> detect_chat_format(const Tokenizer& tokenizer);

/// Immutable and thread-safe. The text of a message never becomes a control token.
class ChatTemplate {
 public:
  /// `tokenizer` must outlive this.
  ChatTemplate(ChatFormat format, const Tokenizer& tokenizer);

  ChatFormat format() const { return format_; }
  /// The system text that the checkpoint's template gives dialogues without one.
  const std::optional<std::string>& default_system() const { return default_system_; }

  /// Fails with kBadInput, naming the message, on dialogues that the format cannot express: none at
  /// all, unknown roles, a last message of the assistant without `prefix`, `prefix` elsewhere, an
  /// assistant's message without content, and (but for ChatML) system text right after the
  /// assistant. Fails with kUnsupported if the vocabulary lacks the format's control tokens.
  Result<RenderedChat> render(std::span<const ChatMessage> messages) const;

  /// True if answers to whole turns begin with a space that is not part of them.
  bool strips_leading_space() const { return format_ != ChatFormat::kChatMl; }

 private:
  ChatFormat format_;
  const Tokenizer* tokenizer_;
  std::optional<std::string> default_system_;
};

}  // namespace mixtral
