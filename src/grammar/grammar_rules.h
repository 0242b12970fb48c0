// The one form that every grammar is brought into: a context-free grammar over bytes, as a graph of
// nodes.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "grammar/byte_set.h"
#include "grammar/id_table.h"

namespace mixtral {

using NodeId = uint32_t;
inline constexpr uint32_t kUnbounded = UINT32_MAX;
/// Grammars of more nodes are refused.
inline constexpr size_t kMaxGrammarNodes = 300'000;

enum class NodeKind : uint8_t {
  kLiteral,       ///< the bytes of a text, never empty
  kSet,           ///< one byte of a set
  kSequence,      ///< all children, in order; without children the empty text
  kAlternatives,  ///< one of the children; without children nothing at all
  kRepeat,        ///< min to max times the child
  kRule,          ///< what the rule's body matches
};

struct Node {
  NodeKind kind;
  bool nullable = false;  ///< matches the empty text; known after finish()
  /// Where the bytes or children lie and how many there are. kSet: `begin` is the set's number;
  /// kRepeat: the child; kRule: the rule's number.
  uint32_t begin = 0, count = 0;
  uint32_t min = 0, max = 0;  ///< kRepeat; kUnbounded
};

/// First built, then finished, then read. Equal nodes are one node. Nodes beyond kMaxGrammarNodes
/// are not made, and finish() then fails. Const functions are thread-safe.
class GrammarRules {
 public:
  NodeId literal(std::string_view bytes);
  NodeId set(const ByteSet& bytes);
  NodeId sequence(std::span<const NodeId> children);
  NodeId sequence(std::initializer_list<NodeId> children) {
    return sequence(std::span(children.begin(), children.size()));
  }
  NodeId alternatives(std::span<const NodeId> children);
  NodeId alternatives(std::initializer_list<NodeId> children) {
    return alternatives(std::span(children.begin(), children.size()));
  }
  NodeId repeat(NodeId child, uint32_t min, uint32_t max);
  NodeId optional(NodeId child) { return repeat(child, 0, 1); }
  NodeId empty() { return sequence({}); }
  NodeId nothing() { return alternatives({}); }
  /// One of the texts; those that begin alike share what they have in common.
  NodeId one_of(std::vector<std::string> texts);

  /// A rule without a body, for which only nothing() stands so far. `name` is for messages.
  uint32_t add_rule(std::string name);
  void define(uint32_t rule, NodeId body) { bodies_[rule] = body; }
  NodeId reference(uint32_t rule);
  bool too_large() const { return nodes_.size() >= kMaxGrammarNodes; }

  /// Prepares for matching with bytes of `spellable` only. Takes out alternatives that no text
  /// matches, so that whatever has begun can be completed. Fails with kTooLarge if there are too
  /// many nodes, with kBadInput if no text at all matches, and with kUnsupported, naming the rule,
  /// on left recursion and on long repeats of what may be empty.
  Status finish(NodeId root, const ByteSet& spellable = ByteSet::all());
  NodeId root() const { return root_; }

  const Node& node(NodeId id) const { return nodes_[id]; }
  size_t n_nodes() const { return nodes_.size(); }
  std::string_view bytes(const Node& node) const {
    return std::string_view(bytes_).substr(node.begin, node.count);
  }
  const ByteSet& byte_set(const Node& node) const { return sets_[node.begin]; }
  std::span<const NodeId> children(const Node& node) const {
    return std::span(children_).subspan(node.begin, node.count);
  }
  NodeId body(const Node& node) const { return bodies_[node.begin]; }
  /// All bytes that stand in literals and sets.
  ByteSet used_bytes() const;

 private:
  NodeId with_children(NodeKind kind, std::vector<NodeId> children);
  NodeId find_or_add(uint64_t hash, FunctionRef<bool(const Node&)> is_it, FunctionRef<Node()> make);
  // Of a node, the nodes whose truth its own depends on.
  std::span<const NodeId> needs(NodeId id) const;
  enum class Sequence { kAllChildren, kAnyChild };
  std::vector<bool> solve(Sequence sequence, FunctionRef<bool(const Node&)> leaf_holds) const;
  void take_out(const std::vector<bool>& matches_something);
  void empty_out(const std::vector<bool>& has_bytes);
  Status check_repeats();
  Status check_left_recursion() const;
  std::span<const NodeId> may_begin_with(NodeId id) const;

  std::vector<Node> nodes_;
  std::vector<NodeId> children_;
  std::string bytes_;
  std::vector<ByteSet> sets_;
  std::vector<NodeId> bodies_;
  std::vector<std::string> names_;
  IdTable ids_;
  NodeId root_ = 0;
};

}  // namespace mixtral
