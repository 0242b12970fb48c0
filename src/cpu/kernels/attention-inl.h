// Attention with a softmax that is updated page by page ("Online normalizer calculation for
// softmax", arXiv:1805.02867). Included by table_*.cpp inside their anonymous namespace and target
// region.
//
// For one query the order of sums is fixed: pages ascending from that of its first visible
// position; in a page, its visible positions ascending, one fused multiply-add each. Tiles only
// choose which queries and positions are worked on together.

// A run of rows of one task, with the scratch they use.
struct AttentionTile {
  const AttentionTask* task;
  size_t first_row, n_rows;
  size_t padded_dim;
  float *queries, *results, *scores, *largest, *sums, *tile;

  size_t n_queries() const { return n_rows * task->group; }
  size_t row_of(size_t query) const { return first_row + query / task->group; }
};

inline Span visible(const AttentionTask& task, size_t row) {
  const size_t end = task.first_position + row + 1;
  const bool cut = task.sliding_window != 0 && end > task.sliding_window;
  return {cut ? end - task.sliding_window : 0, end};
}
inline Span overlap(const Span& a, const Span& b) {
  return {a.first > b.first ? a.first : b.first, a.end < b.end ? a.end : b.end};
}

// Copies the queries of the tile, padded with zeros, and starts their sums.
void start_tile(const AttentionTile& t) {
  const AttentionTask& task = *t.task;
  for (size_t query = 0; query < t.n_queries(); ++query) {
    const float* q = task.q + t.row_of(query) * task.q_stride + query % task.group * task.head_dim;
    for (size_t d = 0; d < t.padded_dim; d += 16) {
      const size_t left = task.head_dim - d;
      store(t.queries + query * t.padded_dim + d, load_part(q + d, left < 16 ? left : 16));
      store(t.results + query * t.padded_dim + d, set1(0));
    }
    t.largest[query] = -__builtin_inff();
    t.sums[query] = 0;
  }
}

// scores[0..16 V) of Q queries against the keys of t.tile [head_dim, 16 V]. One key's sum runs over
// the dimensions in order.
template <int Q, int V>
void score_keys(const AttentionTile& t, size_t query, float* scores) {
  const float* q = t.queries + query * t.padded_dim;
  F32x16 sums[Q][V];
#pragma GCC unroll 16
  for (size_t i = 0; i < Q; ++i) {
#pragma GCC unroll 2
    for (size_t v = 0; v < V; ++v) sums[i][v] = set1(0);
  }
  for (size_t d = 0; d < t.task->head_dim; ++d) {
    F32x16 keys[V];
#pragma GCC unroll 2
    for (size_t v = 0; v < V; ++v) keys[v] = load(t.tile + 16 * (V * d + v));
#pragma GCC unroll 16
    for (size_t i = 0; i < Q; ++i) {
      const F32x16 x = set1(q[i * t.padded_dim + d]);
#pragma GCC unroll 2
      for (size_t v = 0; v < V; ++v) sums[i][v] = fma(x, keys[v], sums[i][v]);
    }
  }
  const F32x16 scale = set1(1.0f / __builtin_sqrtf(static_cast<float>(t.task->head_dim)));
#pragma GCC unroll 16
  for (size_t i = 0; i < Q; ++i) {
#pragma GCC unroll 2
    for (size_t v = 0; v < V; ++v) store(scores + i * kPageTokens + 16 * v, mul(sums[i][v], scale));
  }
}

// The next smaller number of queries that a function is made for.
constexpr int fewer_queries(int q) { return q > 8 ? 8 : q > 6 ? 6 : q > 4 ? 4 : q / 2; }

template <int Q, int V>
void score_from(const AttentionTile& t, size_t query, float* scores) {
  for (; query + Q <= t.n_queries(); query += Q)
    score_keys<Q, V>(t, query, scores + query * kPageTokens);
  if constexpr (Q > 1) score_from<fewer_queries(Q), V>(t, query, scores);
}

// Turns one query's scores of a page into weights, zero outside `seen` (places in the page), and
// rescales what the query has summed up so far to the new maximum.
void soften(const AttentionTile& t, size_t query, const Span& seen) {
  float* scores = t.scores + query * kPageTokens;
  const F32x16 nothing = set1(-__builtin_inff());
  F32x16 part[4];
  F32x16 largest = set1(t.largest[query]);
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i) {
    const size_t first = seen.first < 16 * i ? 0 : seen.first - 16 * i;
    const size_t end = seen.end < 16 * i ? 0 : seen.end - 16 * i;
    part[i] =
        keep_lanes(load(scores + 16 * i), first < 16 ? first : 16, end < 16 ? end : 16, nothing);
    largest = max(part[i], largest);
  }
  const float new_largest = reduce_max(largest);
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i) {
    part[i] = exp(sub(part[i], set1(new_largest)));
    store(scores + 16 * i, part[i]);
  }
  const float sum = reduce_add(add(add(part[0], part[1]), add(part[2], part[3])));
  const bool same_largest = new_largest == t.largest[query];  // as on most pages
  if (same_largest) {
    t.sums[query] += sum;
    return;
  }
  const F32x16 old = exp(sub(set1(t.largest[query]), set1(new_largest)));
  t.sums[query] = t.sums[query] * reduce_max(old) + sum;
  t.largest[query] = new_largest;
  float* result = t.results + query * t.padded_dim;
  for (size_t d = 0; d < t.padded_dim; d += 16) store(result + d, mul(load(result + d), old));
}

// results[d, d + 16 V) += weight * value over places `span` of t.tile [kPageTokens, 16 V], for Q
// queries that see them all.
template <int Q, int V>
void add_values(const AttentionTile& t, size_t query, size_t d, const Span& span) {
  if (span.empty()) return;
  float* results = t.results + query * t.padded_dim + d;
  const float* weights = t.scores + query * kPageTokens;
  F32x16 sums[Q][V];
#pragma GCC unroll 16
  for (size_t i = 0; i < Q; ++i) {
#pragma GCC unroll 2
    for (size_t v = 0; v < V; ++v) sums[i][v] = load(results + i * t.padded_dim + 16 * v);
  }
  for (size_t p = span.first; p < span.end; ++p) {
    F32x16 values[V];
#pragma GCC unroll 2
    for (size_t v = 0; v < V; ++v) values[v] = load(t.tile + 16 * (V * p + v));
#pragma GCC unroll 16
    for (size_t i = 0; i < Q; ++i) {
      const F32x16 weight = set1(weights[i * kPageTokens + p]);
#pragma GCC unroll 2
      for (size_t v = 0; v < V; ++v) sums[i][v] = fma(weight, values[v], sums[i][v]);
    }
  }
#pragma GCC unroll 16
  for (size_t i = 0; i < Q; ++i) {
#pragma GCC unroll 2
    for (size_t v = 0; v < V; ++v) store(results + i * t.padded_dim + 16 * v, sums[i][v]);
  }
}

// The places of the page from position `page_first` on that a query sees.
inline Span seen_in(const AttentionTile& t, size_t query, size_t page_first) {
  const Span seen =
      overlap(visible(*t.task, t.row_of(query)), {page_first, page_first + kPageTokens});
  return seen.empty() ? Span{0, 0} : Span{seen.first - page_first, seen.end - page_first};
}

// Q queries at once over the places that all of them see; before and after these, each alone.
template <int Q, int V>
void add_values_from(const AttentionTile& t, size_t query, size_t d, size_t page_first) {
  for (; query + Q <= t.n_queries(); query += Q) {
    const Span first = seen_in(t, query, page_first), last = seen_in(t, query + Q - 1, page_first);
    const Span all = overlap(first, last);
    if (first.first == last.first && first.end == last.end) {
      add_values<Q, V>(t, query, d, all);
      continue;
    }
    for (size_t i = 0; i < Q; ++i) {
      const Span seen = seen_in(t, query + i, page_first);
      add_values<1, V>(t, query + i, d, all.empty() ? seen : Span{seen.first, all.first});
    }
    add_values<Q, V>(t, query, d, all);
    for (size_t i = 0; i < Q && !all.empty(); ++i)
      add_values<1, V>(t, query + i, d, {all.end, seen_in(t, query + i, page_first).end});
  }
  if constexpr (Q > 1) add_values_from<fewer_queries(Q), V>(t, query, d, page_first);
}

// One page for all queries of the tile; `span` are its positions that any of them sees.
void attend_page(const AttentionTile& t, const Span& span) {
  const AttentionTask& task = *t.task;
  const KvLayout& layout = task.kv->layout;
  const std::byte* page = task.kv->pages[span.first / kPageTokens];
  const size_t page_first = span.first / kPageTokens * kPageTokens;
  const std::byte* keys = page + layout.keys_offset(task.layer, task.kv_head);
  const std::byte* values = page + layout.values_offset(task.layer, task.kv_head);
  constexpr size_t kLanes = 16 * kTileVectors;
  for (size_t at = 0; at < kPageTokens; at += kLanes) {
    if (overlap(span, {page_first + at, page_first + at + kLanes}).empty()) continue;
    widen_keys<kTileVectors>(layout, keys, at, t.tile);
    score_from<kQueryTile, kTileVectors>(t, 0, t.scores + at);
  }
  for (size_t query = 0; query < t.n_queries(); ++query) {
    const Span seen = seen_in(t, query, page_first);
    if (!seen.empty()) soften(t, query, seen);
  }
  const Span places = {span.first - page_first, span.end - page_first};
  size_t d = 0;
  for (; d + kLanes <= t.padded_dim; d += kLanes) {
    widen_values<kTileVectors>(layout, values, d, places, t.tile);
    add_values_from<kQueryTile, kTileVectors>(t, 0, d, page_first);
  }
  if (d == t.padded_dim) return;
  widen_values<1>(layout, values, d, places, t.tile);
  add_values_from<kQueryTile, 1>(t, 0, d, page_first);
}

void finish_tile(const AttentionTile& t) {
  const AttentionTask& task = *t.task;
  for (size_t query = 0; query < t.n_queries(); ++query) {
    float* y = task.y + t.row_of(query) * task.q_stride + query % task.group * task.head_dim;
    const F32x16 sum = set1(t.sums[query]);
    for (size_t d = 0; d < task.head_dim; d += 16) {
      const size_t left = task.head_dim - d;
      store_part(y + d, div(load(t.results + query * t.padded_dim + d), sum),
                 left < 16 ? left : 16);
    }
  }
}

void attention(const AttentionTask& task) {
  const AttentionScratch at(task.group, task.head_dim);
  AttentionTile t = {&task,
                     0,
                     0,
                     at.padded_dim,
                     task.scratch + at.queries,
                     task.scratch + at.results,
                     task.scratch + at.scores,
                     task.scratch + at.largest,
                     task.scratch + at.sums,
                     task.scratch + at.tile};
  const size_t tile_rows = attention_tile_rows(task.group);
  for (; t.first_row < task.n_rows; t.first_row += tile_rows) {
    const size_t left = task.n_rows - t.first_row;
    t.n_rows = left < tile_rows ? left : tile_rows;
    start_tile(t);
    const Span all = {visible(task, t.first_row).first,
                      visible(task, t.first_row + t.n_rows - 1).end};
    for (size_t page = all.first / kPageTokens; page * kPageTokens < all.end; ++page)
      attend_page(t, overlap(all, {page * kPageTokens, (page + 1) * kPageTokens}));
    finish_tile(t);
  }
}
