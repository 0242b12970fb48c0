// What has to hold of a grammar before anything is matched with it. All walks are loops: grammars
// may be nested as deeply as they have nodes.
#include <algorithm>

#include "grammar/grammar_rules.h"
#include "io/quoted.h"

namespace mixtral {
namespace {

// (a?){n} is in all of n + 1 states at once, so n must stay small.
constexpr uint32_t kMaxRepeatsOfNullable = 32;

}  // namespace

std::span<const NodeId> GrammarRules::needs(NodeId id) const {
  const Node& node = nodes_[id];
  switch (node.kind) {
    case NodeKind::kSequence:
    case NodeKind::kAlternatives: return children(node);
    case NodeKind::kRepeat: return std::span(&node.begin, 1);
    case NodeKind::kRule: return std::span(&bodies_[node.begin], 1);
    case NodeKind::kLiteral:
    case NodeKind::kSet: break;
  }
  return {};
}

// The smallest solution of: an alternative holds if one of its children does, a rule if its body
// does, a repeat if its child does. With kAllChildren a sequence holds if all its children do, and
// a repeat if it may be left out too.
std::vector<bool> GrammarRules::solve(Sequence sequence,
                                      FunctionRef<bool(const Node&)> leaf_holds) const {
  const bool all = sequence == Sequence::kAllChildren;
  std::vector<uint32_t> n_dependents(nodes_.size() + 1);
  for (NodeId id = 0; id < nodes_.size(); ++id) {
    for (const NodeId child : needs(id)) ++n_dependents[child + 1];
  }
  for (size_t i = 1; i < n_dependents.size(); ++i) n_dependents[i] += n_dependents[i - 1];
  std::vector<NodeId> dependents(n_dependents.back());
  std::vector<uint32_t> filled(n_dependents.begin(), n_dependents.end() - 1);

  std::vector<uint32_t> missing(nodes_.size());  // children that have to hold yet
  std::vector<bool> holds(nodes_.size());
  std::vector<NodeId> news;
  for (NodeId id = 0; id < nodes_.size(); ++id) {
    for (const NodeId child : needs(id)) dependents[filled[child]++] = id;
    const Node& node = nodes_[id];
    const bool is_leaf = node.kind == NodeKind::kLiteral || node.kind == NodeKind::kSet;
    missing[id] = node.kind == NodeKind::kSequence && all ? node.count : 1;
    const bool left_out = all && node.kind == NodeKind::kRepeat && node.min == 0;
    const bool at_once = is_leaf ? leaf_holds(node) : missing[id] == 0 || left_out;
    if (!at_once) continue;
    holds[id] = true;
    news.push_back(id);
  }
  while (!news.empty()) {
    const NodeId child = news.back();
    news.pop_back();
    for (uint32_t i = n_dependents[child]; i < n_dependents[child + 1]; ++i) {
      const NodeId id = dependents[i];
      if (holds[id] || --missing[id] > 0) continue;
      holds[id] = true;
      news.push_back(id);
    }
  }
  return holds;
}

void GrammarRules::take_out(const std::vector<bool>& matches_something) {
  for (Node& node : nodes_) {
    if (node.kind == NodeKind::kAlternatives) {
      const auto begin = children_.begin() + node.begin;
      const auto end = std::remove_if(begin, begin + node.count,
                                      [&](NodeId child) { return !matches_something[child]; });
      node.count = static_cast<uint32_t>(end - begin);
    } else if (node.kind == NodeKind::kRepeat && !matches_something[node.begin]) {
      node = {NodeKind::kSequence};
    }
  }
}

// What matches the empty text only would cost steps without end: rules of rules of nothing.
void GrammarRules::empty_out(const std::vector<bool>& has_bytes) {
  for (NodeId id = 0; id < nodes_.size(); ++id) {
    if (!has_bytes[id]) nodes_[id] = {NodeKind::kSequence};
  }
}

Status GrammarRules::check_repeats() {
  for (Node& node : nodes_) {
    if (node.kind != NodeKind::kRepeat || !nodes_[node.begin].nullable) continue;
    node.min = 0;
    if (node.max != kUnbounded && node.max > kMaxRepeatsOfNullable) {
      return fail(ErrorCode::kUnsupported,
                  "what may be empty is repeated up to {} times, at most {} are supported",
                  node.max, kMaxRepeatsOfNullable);
    }
  }
  return {};
}

std::span<const NodeId> GrammarRules::may_begin_with(NodeId id) const {
  const auto all = needs(id);
  if (nodes_[id].kind != NodeKind::kSequence) return all;
  size_t n = 0;
  while (n < all.size() && nodes_[all[n]].nullable) ++n;
  return all.first(std::min(n + 1, all.size()));
}

Status GrammarRules::check_left_recursion() const {
  enum : uint8_t { kNew, kOpen, kDone };
  struct Visit {
    NodeId id;
    size_t next;
  };
  std::vector<uint8_t> seen(nodes_.size(), kNew);
  std::vector<Visit> path;
  seen[root_] = kOpen;
  path.push_back({root_, 0});
  while (!path.empty()) {
    Visit& visit = path.back();
    const auto next = may_begin_with(visit.id);
    if (visit.next == next.size()) {
      seen[visit.id] = kDone;
      path.pop_back();
      continue;
    }
    const NodeId child = next[visit.next++];
    if (seen[child] == kOpen) {
      const auto in_cycle = std::find_if(path.rbegin(), path.rend(), [&](const Visit& other) {
        return nodes_[other.id].kind == NodeKind::kRule;
      });
      const bool named = in_cycle != path.rend();
      return fail(ErrorCode::kUnsupported, "rule {} begins with itself (left recursion)",
                  in_quotes(named ? names_[nodes_[in_cycle->id].begin] : "root"));
    }
    if (seen[child] != kNew) continue;
    seen[child] = kOpen;
    path.push_back({child, 0});
  }
  return {};
}

Status GrammarRules::finish(NodeId root, const ByteSet& spellable) {
  if (too_large()) {
    return fail(ErrorCode::kTooLarge, "the grammar has more than {} parts", kMaxGrammarNodes);
  }
  root_ = root;
  for (ByteSet& members : sets_) members = members & spellable;
  const auto spelled = [&](const Node& node) {
    if (node.kind == NodeKind::kSet) return !byte_set(node).empty();
    const std::string_view text = bytes(node);
    return std::all_of(text.begin(), text.end(),
                       [&](char c) { return spellable.contains(static_cast<uint8_t>(c)); });
  };
  const auto matches_something = solve(Sequence::kAllChildren, spelled);
  if (!matches_something[root]) return fail(ErrorCode::kBadInput, "no text matches the grammar");
  take_out(matches_something);
  empty_out(solve(Sequence::kAnyChild, spelled));
  const auto nullable = solve(Sequence::kAllChildren, [](const Node&) { return false; });
  for (NodeId id = 0; id < nodes_.size(); ++id) nodes_[id].nullable = nullable[id];
  MIXTRAL_TRY(check_repeats());
  return check_left_recursion();
}

}  // namespace mixtral
