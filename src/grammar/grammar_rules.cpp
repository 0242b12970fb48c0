#include "grammar/grammar_rules.h"

#include <algorithm>

namespace mixtral {
namespace {

constexpr size_t kMaxChildren = 4 * kMaxGrammarNodes;

uint64_t hash_of(NodeKind kind) { return hash_with(0, static_cast<uint64_t>(kind) + 1); }

}  // namespace

NodeId GrammarRules::find_or_add(uint64_t hash, FunctionRef<bool(const Node&)> is_it,
                                 FunctionRef<Node()> make) {
  if (const auto found = ids_.find(hash, [&](uint32_t id) { return is_it(nodes_[id]); })) {
    return *found;
  }
  if (too_large() || children_.size() > kMaxChildren) {
    // finish() tells; until then any node does.
    if (!too_large()) nodes_.resize(kMaxGrammarNodes, {NodeKind::kSequence});
    return 0;
  }
  nodes_.push_back(make());
  const auto id = static_cast<NodeId>(nodes_.size() - 1);
  ids_.insert(hash, id);
  return id;
}

NodeId GrammarRules::literal(std::string_view text) {
  if (text.empty()) return empty();
  uint64_t hash = hash_of(NodeKind::kLiteral);
  for (const char c : text) hash = hash_with(hash, static_cast<uint8_t>(c));
  return find_or_add(
      hash,
      [&](const Node& node) { return node.kind == NodeKind::kLiteral && bytes(node) == text; },
      [&] {
        Node node{NodeKind::kLiteral};
        node.begin = static_cast<uint32_t>(bytes_.size());
        node.count = static_cast<uint32_t>(text.size());
        bytes_ += text;
        return node;
      });
}

NodeId GrammarRules::set(const ByteSet& members) {
  uint64_t hash = hash_of(NodeKind::kSet);
  for (const uint64_t word : members.words()) hash = hash_with(hash, word);
  return find_or_add(
      hash,
      [&](const Node& node) { return node.kind == NodeKind::kSet && byte_set(node) == members; },
      [&] {
        Node node{NodeKind::kSet};
        node.begin = static_cast<uint32_t>(sets_.size());
        sets_.push_back(members);
        return node;
      });
}

NodeId GrammarRules::sequence(std::span<const NodeId> children) {
  std::vector<NodeId> kept;
  for (const NodeId child : children) {
    const Node& node = nodes_[child];
    if (node.kind != NodeKind::kSequence || node.count > 0) kept.push_back(child);
  }
  return with_children(NodeKind::kSequence, std::move(kept));
}

NodeId GrammarRules::alternatives(std::span<const NodeId> children) {
  std::vector<NodeId> kept;
  for (const NodeId child : children) {
    const bool few = kept.size() < 64;  // a hash table is not worth it: equal ones only cost time
    if (few && std::find(kept.begin(), kept.end(), child) != kept.end()) continue;
    kept.push_back(child);
  }
  return with_children(NodeKind::kAlternatives, std::move(kept));
}

NodeId GrammarRules::with_children(NodeKind kind, std::vector<NodeId> kept) {
  if (kept.size() == 1) return kept[0];
  uint64_t hash = hash_of(kind);
  for (const NodeId child : kept) hash = hash_with(hash, child);
  return find_or_add(
      hash,
      [&](const Node& node) {
        if (node.kind != kind) return false;
        const auto there = children(node);
        return std::equal(there.begin(), there.end(), kept.begin(), kept.end());
      },
      [&] {
        Node node{kind};
        node.begin = static_cast<uint32_t>(children_.size());
        node.count = static_cast<uint32_t>(kept.size());
        children_.insert(children_.end(), kept.begin(), kept.end());
        return node;
      });
}

NodeId GrammarRules::repeat(NodeId child, uint32_t min, uint32_t max) {
  if (max == 0) return empty();
  if (min == 1 && max == 1) return child;
  const uint64_t hash =
      hash_with(hash_with(hash_with(hash_of(NodeKind::kRepeat), child), min), max);
  return find_or_add(
      hash,
      [&](const Node& node) {
        return node.kind == NodeKind::kRepeat && node.begin == child && node.min == min &&
               node.max == max;
      },
      [&] {
        Node node{NodeKind::kRepeat};
        node.begin = child;
        node.min = min;
        node.max = max;
        return node;
      });
}

NodeId GrammarRules::one_of(std::vector<std::string> texts) {
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  if (texts.empty()) return nothing();
  // Open places where texts part, from the shallowest on; `node` is what follows `depth` bytes of
  // `text`.
  struct Fork {
    size_t depth;
    std::vector<NodeId> ways;
  };
  std::vector<Fork> open;
  std::string_view text = texts[0];
  NodeId node = empty();
  size_t depth = text.size();
  const auto from = [&](size_t begin) {
    return sequence({literal(text.substr(begin, depth - begin)), node});
  };
  const auto close = [&](size_t down_to, bool also_equal) {
    while (!open.empty() &&
           (open.back().depth > down_to || (also_equal && open.back().depth == down_to))) {
      open.back().ways.push_back(from(open.back().depth));
      node = alternatives(open.back().ways);
      depth = open.back().depth;
      open.pop_back();
    }
  };
  for (size_t i = 1; i < texts.size(); ++i) {
    const auto parting = std::mismatch(text.begin(), text.end(), texts[i].begin(), texts[i].end());
    const auto common = static_cast<size_t>(parting.first - text.begin());
    close(common, false);
    if (open.empty() || open.back().depth < common) open.push_back({common, {}});
    open.back().ways.push_back(from(common));
    text = texts[i];
    node = empty();
    depth = text.size();
  }
  close(0, true);
  return from(0);
}

uint32_t GrammarRules::add_rule(std::string name) {
  bodies_.push_back(nothing());
  names_.push_back(std::move(name));
  return static_cast<uint32_t>(bodies_.size() - 1);
}

NodeId GrammarRules::reference(uint32_t rule) {
  return find_or_add(
      hash_with(hash_of(NodeKind::kRule), rule),
      [&](const Node& node) { return node.kind == NodeKind::kRule && node.begin == rule; },
      [&] {
        Node node{NodeKind::kRule};
        node.begin = rule;
        return node;
      });
}

ByteSet GrammarRules::used_bytes() const {
  ByteSet used;
  for (const char c : bytes_) used.add(static_cast<uint8_t>(c));
  for (const ByteSet& members : sets_) {
    for (int byte = 0; byte < 256; ++byte) {
      if (members.contains(static_cast<uint8_t>(byte))) used.add(static_cast<uint8_t>(byte));
    }
  }
  return used;
}

}  // namespace mixtral
