#include "bench_serve.h"

#include <algorithm>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <optional>
#include <thread>

#include "core/process_memory.h"
#include "core/rng.h"
#include "table.h"

namespace mixtral {
namespace {

double seconds_between(Clock::time_point start, Clock::time_point end) {
  return std::chrono::duration<double>(end - start).count();
}

double share(double part, double whole) { return whole > 0 ? part / whole : 0; }

// Wakes the one who listens to all streams.
class Bell {
 public:
  void ring() {
    {
      const std::lock_guard lock(mutex_);
      rung_ = true;
    }
    changed_.notify_one();
  }
  void wait_until(Clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, deadline, [this] { return rung_; });
    rung_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool rung_ = false;
};

struct Caller {
  Clock::time_point arrival;
  bool is_intruder = false;
  std::optional<Stream> stream;
  Clock::time_point last_heard;
  std::vector<uint64_t> steps;  // of each token
  bool is_done = false;
};

// One run of a case: callers that come, and what they hear and when.
class ServeRun {
 public:
  ServeRun(Engine& engine, ServeResult& result, size_t index)
      : engine_(engine), result_(result), test_(result.test), index_(index), random_(index + 1) {
    for (size_t i = 0; i < test_.shared_prefix; ++i) prefix_.push_back(random_id());
  }

  Status run() {
    const EngineStats before = engine_.stats();
    const Clock::time_point start = Clock::now();
    callers_ = std::vector<Caller>(test_.n_streams + (test_.intruder_tokens > 0 ? 1 : 0));
    plan_arrivals(start);
    while (n_done_ < callers_.size()) {
      MIXTRAL_TRY(let_in());
      bell_.wait_until(next_arrival());
      for (Caller& caller : callers_) MIXTRAL_TRY(listen(caller));
    }
    result_.run_seconds.push_back(seconds_between(start, Clock::now()));
    result_.most_to_fewest = std::max(result_.most_to_fewest, most_to_fewest());
    return settle(before);
  }

 private:
  // The intruder's moment is not known before half of the others answer.
  void plan_arrivals(Clock::time_point start) {
    double at = 0;
    for (size_t i = 0; i < test_.n_streams; ++i) {
      if (test_.rate > 0 && i > 0) at -= std::log(1 - random_.uniform()) / test_.rate;
      callers_[i].arrival =
          start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(at));
    }
    if (test_.intruder_tokens == 0) return;
    callers_.back().is_intruder = true;
    callers_.back().arrival = Clock::time_point::max();
  }

  Clock::time_point next_arrival() const {
    // Not the largest time point: some clocks overflow on waiting for that.
    Clock::time_point next = Clock::now() + std::chrono::seconds(1);
    for (const Caller& caller : callers_) {
      if (!caller.stream) next = std::min(next, caller.arrival);
    }
    return next;
  }

  Status let_in() {
    const Clock::time_point now = Clock::now();
    for (Caller& caller : callers_) {
      if (caller.stream || caller.arrival > now) continue;
      if (test_.rate == 0) caller.arrival = now;
      MIXTRAL_TRY(Stream stream, engine_.submit(request_of(caller)));
      caller.stream.emplace(std::move(stream));
      caller.stream->on_ready([this] { bell_.ring(); });
    }
    return {};
  }

  Request request_of(const Caller& caller) {
    Request request;
    if (!caller.is_intruder) request.prompt_ids = prefix_;
    const size_t n = caller.is_intruder ? test_.intruder_tokens : test_.prompt_tokens;
    while (request.prompt_ids.size() < n) request.prompt_ids.push_back(random_id());
    request.max_tokens = caller.is_intruder ? 1 : test_.answer_tokens;
    request.ignore_end = true;
    request.routing = test_.routing;
    request.sampling.temperature = 0;
    request.cache_salt = std::to_string(index_);
    return request;
  }

  Status listen(Caller& caller) {
    if (!caller.stream || caller.is_done) return {};
    while (auto event = caller.stream->try_next()) {
      if (auto* end = std::get_if<AnswerEnd>(&*event); end != nullptr && end->error) {
        return tl::unexpected(*std::move(end->error));
      }
      if (auto* token = std::get_if<AnswerToken>(&*event)) hear_token(caller, token->step);
    }
    if (caller.stream->done()) {
      caller.is_done = true;
      ++n_done_;
    }
    return {};
  }

  void hear_token(Caller& caller, uint64_t step) {
    const Clock::time_point now = Clock::now();
    if (!caller.steps.empty()) {
      result_.gaps.push_back(seconds_between(caller.last_heard, now));
    } else {
      auto& to = caller.is_intruder ? result_.intruders : result_.first_tokens;
      to.push_back(seconds_between(caller.arrival, now));
      const bool is_time = !caller.is_intruder && ++n_answering_ == (test_.n_streams + 1) / 2;
      if (is_time && test_.intruder_tokens > 0) callers_.back().arrival = now;
    }
    caller.last_heard = now;
    caller.steps.push_back(step);
  }

  // While all of them stream, by the engine's steps: when a token is heard depends on the listener.
  double most_to_fewest() const {
    uint64_t start = 0, end = std::numeric_limits<uint64_t>::max();
    for (const Caller& caller : callers_) {
      if (caller.is_intruder) continue;
      start = std::max(start, caller.steps.front());
      end = std::min(end, caller.steps.back());
    }
    ptrdiff_t most = 0, fewest = std::numeric_limits<ptrdiff_t>::max();
    for (const Caller& caller : callers_) {
      if (caller.is_intruder) continue;
      const auto n = std::count_if(caller.steps.begin(), caller.steps.end(),
                                   [&](uint64_t step) { return step > start && step <= end; });
      most = std::max(most, n);
      fewest = std::min(fewest, n);
    }
    return share(static_cast<double>(most), static_cast<double>(fewest));
  }

  // The last stream ends a moment before its pages are given back.
  Status settle(const EngineStats& before) {
    EngineStats after = engine_.stats();
    for (int i = 0; i < 100 && after.pages_used != after.pages_cached; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      after = engine_.stats();
    }
    add_stats(before, after);
    if (after.pages_used == after.pages_cached) return {};
    return fail(ErrorCode::kDevice, "{} pages of the cache were not given back",
                after.pages_used - after.pages_cached);
  }

  void add_stats(const EngineStats& before, const EngineStats& after) {
    result_.prompt_tokens += after.prompt_tokens - before.prompt_tokens;
    result_.cached_tokens += after.cached_tokens - before.cached_tokens;
    result_.generated_tokens += after.generated_tokens - before.generated_tokens;
    result_.preemptions += after.preemptions - before.preemptions;
    result_.step_seconds += after.step_seconds - before.step_seconds;
    result_.overhead_seconds += after.overhead_seconds - before.overhead_seconds;
  }

  int32_t random_id() {
    return static_cast<int32_t>(random_.below(engine_.model().config().vocab_size));
  }

  Engine& engine_;
  ServeResult& result_;
  const ServeCase test_;
  const size_t index_;
  Rng random_;
  std::vector<int32_t> prefix_;
  Bell bell_;  // outlives the streams
  std::vector<Caller> callers_;
  size_t n_done_ = 0, n_answering_ = 0;
};

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(std::ceil(q * static_cast<double>(values.size() - 1)))];
}

// Pages are taken whole: a page more for each sequence, and one for a copy.
size_t positions_needed(const ServeCase& test) {
  const size_t stream = test.prompt_tokens + test.answer_tokens + 2 * kPageTokens;
  return test.n_streams * stream + test.intruder_tokens + 2 * kPageTokens;
}

struct Column {
  const char* title;  // of the table
  const char* name;   // in JSON and CSV
  double (*value)(const ServeResult&);
  int digits;
  double unit = 1;  // of the table, in that of `value`
};

constexpr double kMs = 1e-3, kPercent = 1e-2, kMegabyte = 1e6;

const std::vector<Column>& columns() {
  using R = const ServeResult&;
  static const std::vector<Column> all = {
      {"streams", "n_streams", [](R r) { return double(r.test.n_streams); }, 0},
      {"prompt", "prompt_tokens", [](R r) { return double(r.test.prompt_tokens); }, 0},
      {"answer", "answer_tokens", [](R r) { return double(r.test.answer_tokens); }, 0},
      {"shared", "shared_prefix", [](R r) { return double(r.test.shared_prefix); }, 0},
      {"rate", "rate", [](R r) { return r.test.rate; }, 2},
      {"intruder", "intruder_tokens", [](R r) { return double(r.test.intruder_tokens); }, 0},
      {"routing", "routing", [](R r) { return double(r.test.routing); }, 0},
      {"threads", "threads", [](R r) { return double(r.n_threads); }, 0},
      {"tok/s", "tokens_per_second", [](R r) { return r.tokens_per_second(); }, 2},
      {"first p50 ms", "first_token_p50", [](R r) { return quantile(r.first_tokens, 0.5); }, 1,
       kMs},
      {"first p99", "first_token_p99", [](R r) { return quantile(r.first_tokens, 0.99); }, 1, kMs},
      {"next p50 ms", "next_token_p50", [](R r) { return quantile(r.gaps, 0.5); }, 1, kMs},
      {"next p99", "next_token_p99", [](R r) { return quantile(r.gaps, 0.99); }, 1, kMs},
      {"next max", "next_token_max", [](R r) { return quantile(r.gaps, 1); }, 1, kMs},
      {"intruder ms", "intruder_p50", [](R r) { return quantile(r.intruders, 0.5); }, 1, kMs},
      {"cached %", "cached_share",
       [](R r) { return share(double(r.cached_tokens), double(r.prompt_tokens)); }, 0, kPercent},
      {"preempted", "preemptions", [](R r) { return double(r.preemptions); }, 0},
      {"most/fewest", "most_to_fewest", [](R r) { return r.most_to_fewest; }, 2},
      {"plan MB", "planned_bytes", [](R r) { return double(r.planned_bytes); }, 0, kMegabyte},
      {"taken MB", "resident_bytes", [](R r) { return double(r.resident_bytes); }, 0, kMegabyte},
      {"overhead %", "overhead_share",
       [](R r) { return share(r.overhead_seconds, r.step_seconds); }, 2, kPercent},
  };
  return all;
}

}  // namespace

size_t ServeCase::n_positions() const {
  return std::max(prompt_tokens + answer_tokens, intruder_tokens + 1);
}

double ServeResult::tokens_per_second() const {
  double seconds = 0;
  for (const double run : run_seconds) seconds += run;
  return share(static_cast<double>(generated_tokens), seconds);
}

Result<std::unique_ptr<BenchServer>> BenchServer::load(const std::string& path,
                                                       std::unique_ptr<Backend> backend,
                                                       const std::vector<ServeCase>& cases,
                                                       const ServeSetting& setting,
                                                       Progress* progress) {
  EngineOptions options;
  options.max_sequences = 1;
  options.chunk_tokens = setting.chunk_tokens;
  size_t positions = setting.kv_positions;
  for (const ServeCase& test : cases) {
    options.context_len = std::max(options.context_len, test.n_positions() + 1);
    options.max_sequences = std::max(options.max_sequences, test.n_streams + 1);
    if (setting.kv_positions == 0) positions = std::max(positions, positions_needed(test));
  }
  MIXTRAL_TRY(const Checkpoint checkpoint, Checkpoint::open(path));
  const ModelConfig& config = checkpoint.config();
  const KvLayout layout = {backend->kv_type(), config.n_layers, config.n_kv_heads, config.head_dim};
  const size_t least = scheduler_limits(config, options).max_sequence_pages + 1;
  options.kv_bytes = std::max(pages_of(positions), least) * layout.page_bytes();
  std::unique_ptr<BenchServer> server(new BenchServer);
  server->planned_bytes_ = Engine::plan(checkpoint, *backend, options).total();
  server->resident_before_ = resident_bytes();
  MIXTRAL_TRY(server->engine_, Engine::load(path, std::move(backend), options, progress));
  return server;
}

Status BenchServer::run(ServeResult& result) {
  MIXTRAL_TRY(ServeRun(*engine_, result, n_runs_++).run());
  result.planned_bytes = planned_bytes_;
  const uint64_t resident = resident_bytes();
  result.resident_bytes = resident > resident_before_ ? resident - resident_before_ : 0;
  return {};
}

Json serve_json(const ServeResult& result) {
  Json json = {{"model", result.model}, {"test", "serve"}, {"kv_type", result.kv_type}};
  for (const Column& column : columns()) {
    const double value = column.value(result);
    if (column.digits == 0 && column.unit == 1) {
      json[column.name] = static_cast<uint64_t>(value);
    } else {
      json[column.name] = value;
    }
  }
  return json;
}

std::string serve_table(const std::vector<ServeResult>& results) {
  std::vector<TableRow> rows = {{"model", "KV"}};
  for (const Column& column : columns()) rows[0].push_back(column.title);
  for (const ServeResult& result : results) {
    rows.push_back({result.model, std::string(result.kv_type)});
    for (const Column& column : columns()) {
      rows.back().push_back(
          fmt::format("{:.{}f}", column.value(result) / column.unit, column.digits));
    }
  }
  return table_text(rows, 2);
}

std::string serve_csv(const std::vector<ServeResult>& results) {
  std::string out = "model,test,kv_type";
  for (const Column& column : columns()) out += fmt::format(",{}", column.name);
  out += "\n";
  for (const ServeResult& result : results) {
    out += fmt::format("{},serve,{}", csv_quoted(result.model), result.kv_type);
    for (const Column& column : columns()) out += fmt::format(",{:.6g}", column.value(result));
    out += "\n";
  }
  return out;
}

}  // namespace mixtral
