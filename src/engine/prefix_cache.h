// Pages that outlive their sequences, found again by the tokens that they hold.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/kv_sequence.h"

namespace mixtral {

/// What a prompt shares with what was computed before.
struct PrefixMatch {
  size_t n_tokens = 0;
  std::vector<PageId> pages;  ///< by index; kNoPage where the window will not look
};

/// A tree for each salt. A node is a page: its path from the root says which tokens lie before it,
/// so equal paths mean equal keys and values. Children are sorted by their tokens; the last page of
/// a path may be partly filled, and is used as far as its tokens agree. Not thread-safe.
class PrefixCache {
 public:
  /// `pool` must outlive this.
  PrefixCache(KvPool& pool, size_t sliding_window) : pool_(pool), sliding_window_(sliding_window) {}
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  /// The longest beginning of `ids` whose pages are there, as far as the next position needs them.
  /// The result is valid until the next call of anything.
  const PrefixMatch& find(const std::string& salt, std::span<const int32_t> ids);
  /// Keeps the pages of `kv`, which hold the tokens `ids` from position 0 on. Where the same tokens
  /// are here already, `kv` takes those pages instead of its own. With a partly filled last page
  /// nobody may write to it from now on but by copying it.
  void insert(const std::string& salt, std::span<const int32_t> ids, KvSequence& kv);
  /// Drops everything that begins with the first page of `ids`.
  void forget(const std::string& salt, std::span<const int32_t> ids);
  /// Frees the page that was not needed for the longest time among those that nobody else holds;
  /// false if there is none.
  bool evict_one();

  /// Pages here, whoever else holds them.
  size_t n_pages() const { return n_pages_; }

 private:
  struct Node;
  struct ByTokens {
    using is_transparent = void;
    bool operator()(std::span<const int32_t> a, std::span<const int32_t> b) const;
  };
  using Children = std::map<std::vector<int32_t>, std::unique_ptr<Node>, ByTokens>;
  struct Node {
    Node* parent = nullptr;
    Children children;
    Children::iterator self;            // in the parent's children
    const std::string* salt = nullptr;  // of a root
    PageId page = kNoPage;              // kNoPage of a root, and where a window has moved on
    uint64_t last_used = 0;
  };
  struct ByAge {
    bool operator()(const Node* a, const Node* b) const { return a->last_used < b->last_used; }
  };

  static std::pair<Node*, size_t> longest_common(Node& parent, std::span<const int32_t> tokens);
  static Node* covering_child(Node& parent, std::span<const int32_t> tokens);
  Node& add_child(Node& parent, std::span<const int32_t> tokens);
  bool has_visible_pages(size_t n_tokens) const;
  void touch_path();
  void set_page(Node& node, PageId page);
  void prune(Node* node);
  void remove_tree(Node& top);

  KvPool& pool_;
  size_t sliding_window_;
  std::map<std::string, Node> roots_;
  std::set<Node*, ByAge> by_age_;  // nodes with a page; every node has an age of its own
  uint64_t clock_ = 0;
  size_t n_pages_ = 0;
  std::vector<Node*> path_;  // of the current call: node i holds page i
  PrefixMatch match_;
};

}  // namespace mixtral
