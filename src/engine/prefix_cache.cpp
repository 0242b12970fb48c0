#include "engine/prefix_cache.h"

#include <algorithm>

#include "core/check.h"

namespace mixtral {
namespace {

using Tokens = std::span<const int32_t>;

size_t n_common(Tokens a, Tokens b) {
  const size_t n = std::min(a.size(), b.size());
  size_t i = 0;
  while (i < n && a[i] == b[i]) ++i;
  return i;
}

Tokens page_of(Tokens ids, size_t index) {
  const size_t begin = index * kPageTokens;
  return ids.subspan(begin, std::min(kPageTokens, ids.size() - begin));
}

}  // namespace

bool PrefixCache::ByTokens::operator()(Tokens a, Tokens b) const {
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
}

PrefixCache::~PrefixCache() {
  for (auto& [salt, top] : roots_) {
    while (!top.children.empty()) remove_tree(*top.children.begin()->second);
  }
}

// The child that shares most tokens with these, and how many. In the order of the children it
// stands beside the place of `tokens`.
std::pair<PrefixCache::Node*, size_t> PrefixCache::longest_common(Node& parent, Tokens tokens) {
  std::pair<Node*, size_t> best = {nullptr, 0};
  const auto look_at = [&](Children::iterator child) {
    const size_t n = n_common(child->first, tokens);
    if (n > best.second) best = {child->second.get(), n};
  };
  const auto next = parent.children.lower_bound(tokens);
  if (next != parent.children.end()) look_at(next);
  if (next != parent.children.begin()) look_at(std::prev(next));
  return best;
}

// The child whose tokens begin with these.
PrefixCache::Node* PrefixCache::covering_child(Node& parent, Tokens tokens) {
  const auto next = parent.children.lower_bound(tokens);
  if (next == parent.children.end() || n_common(next->first, tokens) < tokens.size()) return {};
  return next->second.get();
}

// Takes the place of a partly filled page with fewer of the same tokens. There is one at most,
// right before the new one: another in between would have taken its place already.
PrefixCache::Node& PrefixCache::add_child(Node& parent, Tokens tokens) {
  auto next = parent.children.lower_bound(tokens);
  if (next != parent.children.begin()) {
    const auto before = std::prev(next);
    if (n_common(before->first, tokens) == before->first.size()) remove_tree(*before->second);
  }
  auto node = std::make_unique<Node>();
  node->parent = &parent;
  const auto place =
      parent.children.emplace(std::vector(tokens.begin(), tokens.end()), std::move(node)).first;
  place->second->self = place;
  return *place->second;
}

void PrefixCache::set_page(Node& node, PageId page) {
  if (node.page != kNoPage) {
    by_age_.erase(&node);
    pool_.unkeep(node.page);
    --n_pages_;
  }
  node.page = page;
  if (page == kNoPage) return;
  pool_.keep(page);
  ++n_pages_;
  node.last_used = ++clock_;
  by_age_.insert(&node);
}

// From the end to the beginning: a page is always younger than those that come after it, so the
// oldest that nobody holds has none after it.
void PrefixCache::touch_path() {
  for (size_t i = path_.size(); i-- > 0;) {
    Node& node = *path_[i];
    if (node.page == kNoPage) continue;
    by_age_.erase(&node);
    node.last_used = ++clock_;
    by_age_.insert(&node);
  }
}

// Removes the node and those before it, as long as they hold nothing and lead nowhere.
void PrefixCache::prune(Node* node) {
  while (node->children.empty() && node->page == kNoPage) {
    Node* const parent = node->parent;
    if (parent == nullptr) {
      roots_.erase(*node->salt);
      return;
    }
    parent->children.erase(node->self);
    node = parent;
  }
}

// Without recursion: a path may be long.
void PrefixCache::remove_tree(Node& top) {
  Node* const end = top.parent;
  for (Node* node = &top; node != end;) {
    if (!node->children.empty()) {
      node = node->children.begin()->second.get();
      continue;
    }
    set_page(*node, kNoPage);
    Node* const parent = node->parent;
    parent->children.erase(node->self);
    node = parent;
  }
}

bool PrefixCache::has_visible_pages(size_t n_tokens) const {
  const size_t first = first_visible(n_tokens, sliding_window_) / kPageTokens;
  for (size_t index = first; index < pages_of(n_tokens); ++index) {
    if (path_[index]->page == kNoPage) return false;
  }
  return true;
}

const PrefixMatch& PrefixCache::find(const std::string& salt, Tokens ids) {
  match_.n_tokens = 0;
  match_.pages.clear();
  path_.clear();
  const auto found = roots_.find(salt);
  if (found == roots_.end()) return match_;
  size_t n_tokens = 0;
  for (Node* node = &found->second; n_tokens < ids.size();) {
    const auto [child, n] = longest_common(*node, page_of(ids, n_tokens / kPageTokens));
    if (n == 0) break;
    path_.push_back(child);
    n_tokens += n;
    if (n < kPageTokens) break;
    node = child;
  }
  while (n_tokens > 0 && !has_visible_pages(n_tokens)) {
    n_tokens = (n_tokens - 1) / kPageTokens * kPageTokens;
  }
  path_.resize(pages_of(n_tokens));
  touch_path();
  const size_t first = first_visible(n_tokens, sliding_window_) / kPageTokens;
  for (size_t index = 0; index < path_.size(); ++index) {
    match_.pages.push_back(index < first ? kNoPage : path_[index]->page);
  }
  match_.n_tokens = n_tokens;
  return match_;
}

void PrefixCache::insert(const std::string& salt, Tokens ids, KvSequence& kv) {
  MIXTRAL_CHECK(ids.size() <= kv.n_tokens(), "only what is computed can be kept");
  if (ids.empty()) return;
  const auto place = roots_.try_emplace(salt).first;
  place->second.salt = &place->first;
  Node* node = &place->second;
  path_.clear();
  for (size_t index = 0; index < pages_of(ids.size()); ++index) {
    const Tokens tokens = page_of(ids, index);
    Node* child = covering_child(*node, tokens);
    if (child == nullptr) child = &add_child(*node, tokens);
    const PageId own = kv.pages()[index];
    if (child->page == kNoPage) {
      const bool same = child->self->first.size() == tokens.size();
      if (own != kNoPage && same) set_page(*child, own);
    } else if (own != kNoPage && own != child->page && tokens.size() == kPageTokens) {
      kv.replace(index, child->page);
    }
    path_.push_back(child);
    node = child;
  }
  touch_path();
  prune(node);
}

void PrefixCache::forget(const std::string& salt, Tokens ids) {
  const auto found = roots_.find(salt);
  if (found == roots_.end() || ids.empty()) return;
  Node& top = found->second;
  if (Node* child = covering_child(top, page_of(ids, 0))) remove_tree(*child);
  prune(&top);
}

bool PrefixCache::evict_one() {
  if (pool_.n_reusable() == 0) return false;
  for (Node* node : by_age_) {
    if (pool_.n_holders(node->page) > 1) continue;
    set_page(*node, kNoPage);
    prune(node);  // with a window it may still lead to pages that are in use
    return true;
  }
  return false;
}

}  // namespace mixtral
