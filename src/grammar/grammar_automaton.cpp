#include "grammar/grammar_automaton.h"

#include <algorithm>
#include <unordered_map>

namespace mixtral {
namespace {

// Where more steps lead to the bytes that may come next, those found by then are all.
constexpr size_t kMaxClosureSteps = 4096;

}  // namespace

GrammarAutomaton::GrammarAutomaton(const GrammarRules& rules, size_t max_token_bytes)
    : rules_(rules), far_(static_cast<uint32_t>(max_token_bytes) + 1) {
  frames_.push_back({0, 0, kBottom, 0, kNoClosure});
  marks_.push_back(0);
  const Closure all = closures_[closure_of(frame(rules_.root(), 0, kBottom))];
  const auto begin = closure_stacks_.begin() + all.begin;
  const std::vector<FrameId> stacks(begin, begin + all.count);
  start_after_blank_ = state_of(stacks, false);
  start_ = state_of(stacks, true);
}

StateId GrammarAutomaton::start(LeadingBlank blank) const {
  return blank == LeadingBlank::kDropped ? start_ : start_after_blank_;
}

GrammarAutomaton::FrameId GrammarAutomaton::frame(NodeId node, uint32_t at, FrameId below) {
  const uint64_t hash = hash_with(hash_with(hash_with(0, node), at), below);
  const auto known = frame_ids_.find(hash, [&](uint32_t id) {
    const Frame& other = frames_[id];
    return id != kBottom && other.node == node && other.at == at && other.below == below;
  });
  if (known) return *known;
  const auto id = static_cast<FrameId>(frames_.size());
  frames_.push_back({node, at, below, frames_[below].height + 1, kNoClosure});
  marks_.push_back(0);
  frame_ids_.insert(hash, id);
  size_bytes_ += sizeof(Frame) + sizeof(uint32_t) + 4 * sizeof(uint32_t);
  return id;
}

bool GrammarAutomaton::mark(FrameId stack) {
  if (marks_[stack] == mark_) return false;
  marks_[stack] = mark_;
  return true;
}

// Puts the stacks that `stack` may become without reading a byte on `open`, the last to be looked
// at first.
void GrammarAutomaton::expand(FrameId stack, std::vector<FrameId>& open) {
  const auto [id, at, below, height, closure] = frames_[stack];
  const Node& node = rules_.node(id);
  switch (node.kind) {
    case NodeKind::kSequence: {
      const auto children = rules_.children(node);
      if (children.empty()) {
        open.push_back(below);
      } else {
        // The last child needs nothing behind it: so lists do not grow the stack.
        const FrameId rest = at + 1 < children.size() ? frame(id, at + 1, below) : below;
        open.push_back(frame(children[at], 0, rest));
      }
      return;
    }
    case NodeKind::kAlternatives: {
      const auto children = rules_.children(node);
      for (auto child = children.rbegin(); child != children.rend(); ++child) {
        open.push_back(frame(*child, 0, below));
      }
      return;
    }
    case NodeKind::kRepeat: {
      if (at >= node.min) open.push_back(below);
      const uint32_t done = node.max == kUnbounded ? std::min(at + 1, node.min) : at + 1;
      const bool last = node.max != kUnbounded && done == node.max;
      open.push_back(frame(node.begin, 0, last ? below : frame(id, done, below)));
      return;
    }
    case NodeKind::kRule: open.push_back(frame(rules_.body(node), 0, below)); return;
    case NodeKind::kLiteral:
    case NodeKind::kSet: return;
  }
}

uint32_t GrammarAutomaton::closure_of(FrameId stack) {
  if (frames_[stack].closure != kNoClosure) return frames_[stack].closure;
  ++mark_;
  Closure closure{static_cast<uint32_t>(closure_stacks_.size()), 0, frames_[stack].height};
  std::vector<FrameId> open{stack};
  mark(stack);
  for (size_t steps = 0; !open.empty(); ++steps) {
    if (steps > kMaxClosureSteps && closure.count > 0) break;
    const FrameId here = open.back();
    open.pop_back();
    closure.lowest = std::min(closure.lowest, frames_[here].height);
    const NodeKind kind = rules_.node(frames_[here].node).kind;
    if (here == kBottom || kind == NodeKind::kLiteral || kind == NodeKind::kSet) {
      if (closure.count == kMaxStacks) break;
      closure_stacks_.push_back(here);
      ++closure.count;
      continue;
    }
    const size_t before = open.size();
    expand(here, open);
    open.erase(std::remove_if(open.begin() + static_cast<ptrdiff_t>(before), open.end(),
                              [&](FrameId next) { return !mark(next); }),
               open.end());
    ++work_;
  }
  frames_[stack].closure = static_cast<uint32_t>(closures_.size());
  closures_.push_back(closure);
  size_bytes_ += sizeof(Closure) + closure.count * sizeof(FrameId);
  return frames_[stack].closure;
}

StateId GrammarAutomaton::state_of(std::vector<FrameId> stacks, bool drops_blank) {
  if (stacks.empty()) return kDeadState;
  if (stacks.size() > kMaxStacks) stacks.resize(kMaxStacks);
  std::sort(stacks.begin(), stacks.end());
  uint64_t hash = hash_with(0, drops_blank);
  for (const FrameId stack : stacks) hash = hash_with(hash, stack);
  const auto known = state_ids_.find(hash, [&](uint32_t id) {
    const State& state = states_[id];
    return state.drops_blank == drops_blank &&
           std::equal(stacks.begin(), stacks.end(), state_stacks_.begin() + state.begin,
                      state_stacks_.begin() + state.begin + state.count);
  });
  if (known) return *known;

  State state{};
  state.begin = static_cast<uint32_t>(state_stacks_.size());
  state.count = static_cast<uint32_t>(stacks.size());
  state.accepts = stacks[0] == kBottom;
  state.continues = stacks.back() != kBottom;
  state.drops_blank = drops_blank;
  state.lowest = UINT32_MAX;
  for (const FrameId stack : stacks) {
    if (stack == kBottom) continue;
    state.highest = std::max(state.highest, frames_[stack].height);
    state.lowest = std::min(state.lowest, frames_[stack].height);
  }
  state_stacks_.insert(state_stacks_.end(), stacks.begin(), stacks.end());
  const auto id = static_cast<StateId>(states_.size());
  states_.push_back(std::move(state));
  state_ids_.insert(hash, id);
  size_bytes_ += sizeof(State) + stacks.size() * sizeof(FrameId) + 4 * sizeof(uint32_t);
  return id;
}

StateId GrammarAutomaton::compute_next(StateId state, uint8_t byte) {
  const StateId next = step(state, byte);
  auto& row = states_[state].row;
  if (!row) {
    row = std::make_unique<std::array<StateId, 256>>();
    row->fill(kUnknown);
    size_bytes_ += sizeof(*row);
  }
  (*row)[byte] = next;
  return next;
}

StateId GrammarAutomaton::step(StateId state, uint8_t byte) {
  if (states_[state].drops_blank && byte == ' ') {
    states_[state].lowest = 0;
    return start_after_blank_;
  }
  const auto [begin, count] = std::pair(states_[state].begin, states_[state].count);
  std::vector<FrameId> moved;      // stacks with a byte on top
  std::vector<uint32_t> closures;  // of the stacks that have to be expanded
  for (uint32_t i = begin; i < begin + count; ++i) {
    const FrameId stack = state_stacks_[i];
    if (stack == kBottom) continue;
    const auto [id, at, below, height, closure] = frames_[stack];
    const Node& node = rules_.node(id);
    if (node.kind == NodeKind::kSet) {
      if (rules_.byte_set(node).contains(byte)) closures.push_back(closure_of(below));
      continue;
    }
    const std::string_view text = rules_.bytes(node);
    if (static_cast<uint8_t>(text[at]) != byte) continue;
    if (at + 1 < text.size()) {
      moved.push_back(frame(id, at + 1, below));
    } else {
      closures.push_back(closure_of(below));
    }
  }
  ++mark_;
  for (const FrameId stack : moved) mark(stack);
  uint32_t lowest = states_[state].lowest;
  for (const uint32_t number : closures) {
    const Closure& closure = closures_[number];
    lowest = std::min(lowest, closure.lowest);
    work_ += closure.count;
    for (uint32_t i = closure.begin; i < closure.begin + closure.count; ++i) {
      if (moved.size() < kMaxStacks && mark(closure_stacks_[i]))
        moved.push_back(closure_stacks_[i]);
    }
  }
  work_ += count;
  states_[state].lowest = lowest;
  return state_of(std::move(moved), false);
}

StateId GrammarAutomaton::import(const GrammarAutomaton& other, StateId state) {
  const State& from = other.states_[state];
  std::unordered_map<FrameId, FrameId> known{{kBottom, kBottom}};
  std::vector<FrameId> stacks, path;
  for (uint32_t i = from.begin; i < from.begin + from.count; ++i) {
    FrameId at = other.state_stacks_[i];
    for (; !known.contains(at); at = other.frames_[at].below) path.push_back(at);
    FrameId here = known[at];
    for (; !path.empty(); path.pop_back()) {
      const Frame& copied = other.frames_[path.back()];
      here = frame(copied.node, copied.at, here);
      known[path.back()] = here;
    }
    stacks.push_back(here);
  }
  return state_of(std::move(stacks), from.drops_blank);
}

void GrammarAutomaton::append_frame(const Frame& shown, std::vector<uint32_t>& key) const {
  const Node& node = rules_.node(shown.node);
  key.push_back(shown.node);
  // Without bytes a round takes nothing, so any number of them may follow.
  if (node.kind != NodeKind::kRepeat || rules_.node(node.begin).nullable) {
    key.push_back(shown.at);
    return;
  }
  // Tokens are too short to come from afar to either end of the count.
  key.push_back(shown.at < node.min ? std::min(node.min - shown.at, far_) : 0);
  key.push_back(node.max == kUnbounded ? 0 : std::min(node.max - shown.at, far_));
}

void GrammarAutomaton::mask_key(StateId state, uint32_t depth, std::vector<uint32_t>& key) const {
  constexpr uint32_t kAccepts = UINT32_MAX, kEnds = UINT32_MAX - 1, kGoesOn = UINT32_MAX - 2;
  const State& of = states_[state];
  std::vector<std::vector<uint32_t>> parts(of.count);
  for (uint32_t i = 0; i < of.count; ++i) {
    FrameId stack = state_stacks_[of.begin + i];
    std::vector<uint32_t>& part = parts[i];
    if (stack == kBottom) {
      part.push_back(kAccepts);
      continue;
    }
    // Levels count from the highest stack on, so that stacks keep their places among each other.
    for (; stack != kBottom && frames_[stack].height + depth > of.highest;
         stack = frames_[stack].below) {
      append_frame(frames_[stack], part);
    }
    part.push_back(depth > of.highest ? kEnds : kGoesOn);
  }
  std::sort(parts.begin(), parts.end());
  key.assign({depth, of.drops_blank});
  for (const auto& part : parts) key.insert(key.end(), part.begin(), part.end());
}

}  // namespace mixtral
