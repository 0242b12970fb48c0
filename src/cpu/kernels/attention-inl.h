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

// Positions [first, end).
struct Span {
  size_t first, end;
  bool empty() const { return first >= end; }
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

// scores[0..15] of Q queries against the 16 keys of t.tile. One key's sum runs over the dimensions
// in order.
template <int Q>
void score_keys(const AttentionTile& t, size_t query, float* scores) {
  const float* q = t.queries + query * t.padded_dim;
  F32x16 sums[Q];
#pragma GCC unroll 16
  for (int i = 0; i < Q; ++i) sums[i] = set1(0);
  for (size_t d = 0; d < t.task->head_dim; ++d) {
    const F32x16 keys = load(t.tile + 16 * d);
#pragma GCC unroll 16
    for (size_t i = 0; i < Q; ++i) sums[i] = fma(set1(q[i * t.padded_dim + d]), keys, sums[i]);
  }
  const F32x16 scale = set1(1.0f / __builtin_sqrtf(static_cast<float>(t.task->head_dim)));
#pragma GCC unroll 16
  for (size_t i = 0; i < Q; ++i) store(scores + i * kPageTokens, mul(sums[i], scale));
}

// The next smaller number of queries that a function is made for.
constexpr int fewer_queries(int q) { return q > 8 ? 8 : q > 6 ? 6 : q > 4 ? 4 : q / 2; }

template <int Q>
void score_from(const AttentionTile& t, size_t query, float* scores) {
  for (; query + Q <= t.n_queries(); query += Q)
    score_keys<Q>(t, query, scores + query * kPageTokens);
  if constexpr (Q > 1) score_from<fewer_queries(Q)>(t, query, scores);
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
  const F32x16 old = exp(sub(set1(t.largest[query]), set1(new_largest)));
  const float factor = reduce_max(old);
  const float sum = reduce_add(add(add(part[0], part[1]), add(part[2], part[3])));
  t.sums[query] = t.sums[query] * factor + sum;
  t.largest[query] = new_largest;
  float* result = t.results + query * t.padded_dim;
  for (size_t d = 0; d < t.padded_dim; d += 16) store(result + d, mul(load(result + d), old));
}

// results += weight * value over places [span) of t.tile, for Q queries that see them all.
template <int Q>
void add_values(const AttentionTile& t, size_t query, const float* weights, const Span& span) {
  if (span.empty()) return;
  float* results = t.results + query * t.padded_dim;
  for (size_t d = 0; d < t.padded_dim; d += 16) {
    F32x16 sums[Q];
#pragma GCC unroll 16
    for (size_t i = 0; i < Q; ++i) sums[i] = load(results + i * t.padded_dim + d);
    for (size_t p = span.first; p < span.end; ++p) {
      const F32x16 value = load(t.tile + p * t.padded_dim + d);
#pragma GCC unroll 16
      for (size_t i = 0; i < Q; ++i)
        sums[i] = fma(set1(weights[i * kPageTokens + p]), value, sums[i]);
    }
#pragma GCC unroll 16
    for (size_t i = 0; i < Q; ++i) store(results + i * t.padded_dim + d, sums[i]);
  }
}

// The part of `positions` (at most 16, the first being `positions.first`) that a query sees, as
// places in the tile.
inline Span seen_in(const AttentionTile& t, size_t query, const Span& positions) {
  const Span seen = overlap(visible(*t.task, t.row_of(query)), positions);
  return seen.empty() ? Span{0, 0} : Span{seen.first - positions.first, seen.end - positions.first};
}

// Q queries at once where they see the same; the rest of each, before and after, alone.
template <int Q>
void add_values_from(const AttentionTile& t, size_t query, size_t weights_at,
                     const Span& positions) {
  for (; query + Q <= t.n_queries(); query += Q) {
    const float* weights = t.scores + query * kPageTokens + weights_at;
    const Span first = seen_in(t, query, positions), last = seen_in(t, query + Q - 1, positions);
    if (first.first == last.first && first.end == last.end) {
      add_values<Q>(t, query, weights, first);
      continue;
    }
    for (size_t i = 0; i < Q; ++i)
      add_values<1>(t, query + i, weights + i * kPageTokens, seen_in(t, query + i, positions));
  }
  if constexpr (Q > 1) add_values_from<fewer_queries(Q)>(t, query, weights_at, positions);
}

// One page for all queries of the tile; `span` are its positions that any of them sees.
void attend_page(const AttentionTile& t, const Span& span) {
  const AttentionTask& task = *t.task;
  const KvLayout& layout = task.kv->layout;
  const std::byte* page = task.kv->pages[span.first / kPageTokens];
  const size_t page_first = span.first / kPageTokens * kPageTokens;
  const std::byte* keys = page + layout.keys_offset(task.layer, task.kv_head);
  const std::byte* values = page + layout.values_offset(task.layer, task.kv_head);
  for (size_t at = 0; at < kPageTokens; at += 16) {
    const Span part = overlap(span, {page_first + at, page_first + at + 16});
    if (part.empty()) continue;
    widen_keys(layout, keys, at, t.tile);
    score_from<kQueryTile>(t, 0, t.scores + at);
  }
  for (size_t query = 0; query < t.n_queries(); ++query) {
    const Span seen =
        overlap(visible(task, t.row_of(query)), {page_first, page_first + kPageTokens});
    if (!seen.empty()) soften(t, query, {seen.first - page_first, seen.end - page_first});
  }
  for (size_t at = 0; at < kPageTokens; at += 16) {
    const Span positions = {page_first + at, page_first + at + 16};
    const Span part = overlap(span, positions);
    if (part.empty()) continue;
    widen_values(layout, values, at, part.first - page_first, part.end - page_first, t.tile);
    add_values_from<kQueryTile>(t, 0, at, positions);
  }
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
