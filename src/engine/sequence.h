// One answer in progress, as the scheduler sees it: known tokens, of which some are computed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/kv_sequence.h"

namespace mixtral {

class AnswerWriter;
struct RunningRequest;
struct SequenceDrafts;

/// Tokens before kv.n_tokens() are computed. A sequence reads until its last known token is
/// computed, streams from then on, and reads again after it has lost its pages.
struct Sequence {
  explicit Sequence(KvSequence pages);

  size_t n_uncomputed() const { return ids.size() - kv.n_tokens(); }
  bool reads_prompt() const { return answer == nullptr; }
  /// The answer's next token, after what is known. True if it is the first of the drafts, so that
  /// what was computed after it holds too; else they go, and the positions computed for them.
  bool add_token(int32_t id);
  void drop_drafts();

  std::vector<int32_t> ids;  ///< the prompt, then the answer
  /// So many of the last ids are only guesses, put there for one step. Without any when no step is
  /// planned or computed.
  size_t n_drafts = 0;
  KvSequence kv;
  size_t n_cached = 0;  ///< tokens of the prompt that the prefix cache gave

  // What the scheduler goes by.
  std::string client, salt;
  int priority = 0;
  uint64_t order = 0;             ///< of arrival
  size_t n_answers = 1;           ///< that will run once the prompt is read
  bool wants_all_logits = false;  ///< of the prompt
  bool reuses_prompt = true;      ///< its first reading may begin with pages of the prefix cache

  // What the scheduler keeps here.
  bool runs = false, streams = false, was_preempted = false;
  size_t n_planned = 0;  ///< rows in the step that is planned; kv counts them already

  // What the engine keeps here; the scheduler does not look.
  std::shared_ptr<RunningRequest> request;
  std::unique_ptr<AnswerWriter> answer;    ///< once the prompt is read
  std::unique_ptr<SequenceDrafts> drafts;  ///< once it was looked at for guesses

  ~Sequence();
  Sequence(Sequence&&) = delete;
};

}  // namespace mixtral
