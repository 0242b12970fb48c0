// The pushdown automaton of a grammar: which bytes may follow what has been read.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "grammar/grammar_rules.h"
#include "grammar/id_table.h"

namespace mixtral {

/// A set of stacks: every way in which the grammar may have read the text so far.
using StateId = uint32_t;
inline constexpr StateId kDeadState = UINT32_MAX;

/// Whether the text may be preceded by one blank, which whoever decodes it drops: the first piece
/// of an answer is "▁{" with most models.
enum class LeadingBlank { kPartOfText, kDropped };

/// States are made when they are first met, and equal states have one id. A text that could be read
/// in more than kMaxStacks ways at once loses those beyond them, which makes the language smaller
/// and never larger. Not thread-safe.
class GrammarAutomaton {
 public:
  static constexpr size_t kMaxStacks = 512;

  /// `rules` is finished and outlives this. `max_token_bytes` is how many bytes the longest token
  /// has: counts further away from their ends than that look alike in mask_key().
  GrammarAutomaton(const GrammarRules& rules, size_t max_token_bytes);

  StateId start(LeadingBlank blank) const;
  /// kDeadState if the text cannot go on so.
  StateId next(StateId state, uint8_t byte) {
    const auto& row = states_[state].row;
    const StateId known = row ? (*row)[byte] : kUnknown;
    return known == kUnknown ? compute_next(state, byte) : known;
  }
  /// The text may end here.
  bool accepts(StateId state) const { return states_[state].accepts; }
  /// Something may follow.
  bool continues(StateId state) const { return states_[state].continues; }
  /// The state of `other`, an automaton of the same grammar, in this one.
  StateId import(const GrammarAutomaton& other, StateId state);

  /// The height of the lowest frame that steps from this state looked at so far, and that of its
  /// highest stack.
  uint32_t lowest_frame(StateId state) const { return states_[state].lowest; }
  uint32_t highest_frame(StateId state) const { return states_[state].highest; }
  /// Describes the `depth` topmost levels of the state's stacks. Two states with the same
  /// description allow the same tokens if in one of them no token looks below these levels.
  void mask_key(StateId state, uint32_t depth, std::vector<uint32_t>& key) const;

  size_t size_bytes() const { return size_bytes_; }
  size_t n_states() const { return states_.size(); }
  /// Grows with the work done; for budgets.
  uint64_t work() const { return work_; }

 private:
  static constexpr StateId kUnknown = UINT32_MAX - 1;
  using FrameId = uint32_t;
  static constexpr FrameId kBottom = 0;

  // What is still to be read: from place `at` of a node (kLiteral: bytes, kSequence: children,
  // kRepeat: rounds done), then the frames below. A stack is named by its topmost frame.
  struct Frame {
    NodeId node;
    uint32_t at;
    FrameId below;
    uint32_t height;
    uint32_t closure;  // number in closures_, kNoClosure
  };
  static constexpr uint32_t kNoClosure = UINT32_MAX;
  // The stacks with a byte on top, or kBottom, that a stack comes to without reading.
  struct Closure {
    uint32_t begin, count;
    uint32_t lowest;  // height of the lowest frame looked at
  };
  struct State {
    uint32_t begin, count;  // its stacks, sorted
    uint32_t lowest, highest;
    bool accepts, continues;
    bool drops_blank;
    std::unique_ptr<std::array<StateId, 256>> row;
  };

  FrameId frame(NodeId node, uint32_t at, FrameId below);
  uint32_t closure_of(FrameId stack);
  void expand(FrameId stack, std::vector<FrameId>& open);
  bool mark(FrameId stack);
  StateId state_of(std::vector<FrameId> stacks, bool drops_blank);
  StateId compute_next(StateId state, uint8_t byte);
  StateId step(StateId state, uint8_t byte);
  void append_frame(const Frame& shown, std::vector<uint32_t>& key) const;

  const GrammarRules& rules_;
  uint32_t far_;  // rounds that no token can do
  std::vector<Frame> frames_;
  IdTable frame_ids_;
  std::vector<Closure> closures_;
  std::vector<FrameId> closure_stacks_;
  std::vector<State> states_;
  std::vector<FrameId> state_stacks_;
  IdTable state_ids_;
  StateId start_ = 0, start_after_blank_ = 0;
  std::vector<uint32_t> marks_;  // by frame: the last mark
  uint32_t mark_ = 0;
  size_t size_bytes_ = 0;
  uint64_t work_ = 0;
};

}  // namespace mixtral
